"""A dataset's lock: what it holds, and that a build that must be as locked resolves nothing else."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import yaml
from made import CALLS, Tone
from project import Project, ran

from vbuild.declared import datasets
from vbuild.engine import build, plan, up_to_date
from vbuild.errors import UsageError
from vbuild.maintenance import lock
from vbuild.stages.transcode import Transcode


@dataclass(frozen=True, kw_only=True)
class Net(Tone):
    """A stage with a model."""

    weights: ClassVar[str] = "a" * 40

    def models(self):
        """One identity."""
        return {"net": self.weights}


@pytest.fixture
def project(tmp_path, pool, monkeypatch):
    """A locked dataset of two videos, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path, {"net": Net(), "transcode": Transcode(preset="ultrafast")})
    for name, source in zip("ab", pool, strict=False):
        made.put(f"{name}.mp4", source)
    lock.make(made.config())
    return made


def held(project):
    """What stands in the file."""
    return yaml.safe_load((project.videos.parent / "conf/dataset/d.lock.yaml").read_text())


def edited(project, change):
    """The file with something else in it."""
    data = held(project)
    change(data)
    (project.videos.parent / "conf/dataset/d.lock.yaml").write_text(yaml.safe_dump(data))


def test_it_holds_models_encoders_and_the_set_of_videos(project):
    """Beside the dataset's file, by the paths of the keys."""
    data = held(project)
    assert data["models"] == {"stages.net": {"net": "a" * 40}}
    assert list(data["encoders"]["stages.transcode"]) == ["libx264"]
    assert data["videos"]["count"] == 2
    assert len(data["videos"]["digest"]) == 32


def test_a_lock_is_no_dataset(project):
    """It is not listed among those that can be built."""
    assert "d.lock" not in {declared.name for declared in datasets()}


def test_a_build_that_is_as_locked_runs_and_is_up_to_date_afterwards(project):
    """With the short cut too."""
    assert ran(project.build(locked=True))["net"] > 0
    assert up_to_date(project.config(locked=True)) is not None


def test_a_video_that_is_not_held_is_refused_before_anything_runs(project, pool):
    """No action runs, and no result comes to be."""
    project.put("c.mp4", pool[5])
    before = CALLS["Tone"]
    with pytest.raises(UsageError, match=r"locked=true: source: 3 videos, and the lock holds 2 \(d.lock.yaml\)"):
        project.build(locked=True)
    assert CALLS["Tone"] == before
    assert not (project.store / "actions").exists()


def test_another_content_under_the_same_name_is_refused(project, pool):
    """The count is the same, the set is not."""
    project.put("b.mp4", pool[5])
    with pytest.raises(UsageError, match="source: 2 videos, and the lock holds 2 others"):
        project.build(locked=True)


def test_a_video_of_another_name_is_the_same_video(project):
    """The set is one of contents."""
    (project.videos / "a.mp4").rename(project.videos / "z.mp4")
    project.build(locked=True)


def test_without_locked_a_difference_is_said_and_built(project, pool):
    """Once, in the notes of the build that meets it."""
    project.put("c.mp4", pool[5])
    report = project.build()
    assert ran(report)["net"] > 0
    assert report.notes == ["d.lock.yaml: source: 3 videos, and the lock holds 2"]


def test_another_model_is_refused_by_name(project, monkeypatch):
    """Its role and both identities are said."""
    monkeypatch.setattr(Net, "weights", "b" * 40)
    with pytest.raises(UsageError, match=rf"stages.net: model net is {'b' * 40}, and the lock holds {'a' * 40}"):
        project.plan(locked=True)


def test_a_stage_that_the_lock_does_not_know_is_refused(project):
    """It would resolve a model that nobody has agreed to."""
    project.stages["more"] = Net(gain=2.0)
    with pytest.raises(UsageError, match=r"stages.more: model net is a+, and the lock holds none"):
        project.build(locked=True)


def test_another_build_of_an_encoder_is_refused(project):
    """Its files would not be those of before."""
    edited(project, lambda data: data["encoders"]["stages.transcode"].update(libx264="PyAV 1.0"))
    with pytest.raises(UsageError, match=r"stages.transcode: encoder libx264 is PyAV .*, and the lock holds PyAV 1\.0"):
        project.build(locked=True)


def test_a_lock_that_changed_takes_the_short_cut_from_a_locked_build(project):
    """What was up to date under another lock is looked at again."""
    project.build(locked=True)
    edited(project, lambda data: data["videos"].update(count=7))
    with pytest.raises(UsageError, match="the lock holds 7"):
        project.build(locked=True)
    project.build()


def test_a_build_without_a_lock_cannot_be_locked(project):
    """It says what writes one."""
    config = replace(project.config(locked=True), declared="other")
    for verb in (build, plan):
        with pytest.raises(UsageError, match=r"there is no .*other.lock.yaml; vbuild lock \+dataset=other writes it"):
            verb(config)


@pytest.mark.parametrize("text", ["a: [", "videos: 3", "- 1", "", "videos: {count: 1, digest: a}\nmodel: {}"])
def test_a_damaged_lock_is_named_and_written_anew(project, text):
    """Whatever is wrong with it; `vbuild lock` needs nothing of it."""
    path = lock.place("d")
    path.write_text(text)
    with pytest.raises(UsageError, match=r"d.lock.yaml: it is no lock \(.*\); vbuild lock \+dataset=d writes it anew"):
        project.build()
    lock.make(project.config())
    project.build(locked=True)


def test_locking_again_says_what_has_changed(project, pool):
    """Against the lock of before."""
    assert lock.make(project.config())[2] == []
    project.put("c.mp4", pool[5])
    assert lock.make(project.config())[2] == ["source: 3 videos, and the lock holds 2"]


@dataclass(frozen=True, kw_only=True)
class Absent(Tone):
    """A stage whose package is not installed."""

    def check(self):
        """Never."""
        raise UsageError("gain=1.0: the package is not there")


def test_a_stage_that_cannot_run_is_not_locked(project):
    """The key at fault is named, and the lock stays as it was."""
    project.stages["absent"] = Absent()
    before = held(project)
    with pytest.raises(UsageError, match=r"stages.absent.gain=1.0: the package is not there"):
        lock.make(project.config())
    assert held(project) == before
