"""A drafted dataset can be built as it stands, tells its parameters, and overwrites nothing."""

import io
import re

import pytest
from footage import video

from vbuild.cli.main import run
from vbuild.compose import load
from vbuild.described import shipped
from vbuild.errors import UsageError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VBUILD_STORE", raising=False)
    return tmp_path


def text(here, name="mine"):
    return (here / "conf" / "dataset" / f"{name}.yaml").read_text()


def test_what_is_wanted_is_declared(here, capsys):
    """Source, splitter, length, stages and conditions stand in the file, and nothing else is set."""
    words = ["--source", "videos", "--source", "more/*.mp4", "--split", "content", "--length", "8", "--stage", "motion"]
    words += ["--stage", "vec=perceptual", "--where", "still=motion_mean >= 0.001", "--about", "Films that move"]
    assert run(["init", "mine", *words]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(here / "conf" / "dataset" / "mine.yaml")
    config = load(["+dataset=mine"])
    assert config.source.path == ("videos", "more/*.mp4")
    assert (type(config.split).__name__, config.split.max) == ("Content", 8.0)
    assert {name: stage.title() for name, stage in config.stages.items() if name != "changes"} == {
        "motion": "motion", "vec": "perceptual",
    }  # fmt: skip
    assert config.where == {"still": "motion_mean >= 0.001"}
    from vbuild.declared import datasets

    assert {d.name: d.about for d in datasets()}["mine"] == "Films that move"


def test_without_stages_it_is_as_a_folder(here):
    """The same dataset as +dataset=folder, but for its name and what that prefers."""
    assert run(["init", "mine", "--source", "videos"]) == 0
    mine, folder = load(["+dataset=mine"]), load(["+dataset=folder", "source.path=videos"])
    assert (mine.split, mine.source, [*mine.stages]) == (folder.split, folder.source, [*folder.stages])
    assert mine.stages["transcode"] == folder.stages["transcode"]
    assert mine.stages["dedup"].of == folder.stages["dedup"].of == "fingerprint"


def test_every_parameter_is_told_and_its_comment_sets_the_default(here):
    """Taking every # and the space behind it away from before a key changes nothing."""
    assert run(["init", "mine", "--source", "videos"]) == 0
    before = load(["+dataset=mine"])
    written = text(here)
    for stage in (one for name, one in shipped().items() if name in ("motion", "transcode", "dedup")):
        own = [p for p in stage.parameters if p.role == "parameter"]
        assert all(f"# {p.name}: {p.default}" in written for p in own)
    every = re.sub(r"^( *)# (\w+: )", r"\1\2", written, flags=re.MULTILINE)
    assert every.count("\n    fps: ") == 5
    (here / "conf" / "dataset" / "every.yaml").write_text(every.replace("  still:", "  # still:"))
    after = load(["+dataset=every"])
    assert (after.stages, after.split) == (before.stages, before.split)


def test_it_builds_as_it_stands(here, capsys):
    """A draft of one stage over one film."""
    (here / "videos").mkdir()
    video(here / "videos" / "a.mp4", seconds=2, fps=8, size=(64, 48))
    assert run(["init", "mine", "--source", "videos", "--stage", "quality"]) == 0
    assert run(["build", "mine", "executor.workers=0"]) == 0
    assert "1 clip, 1 kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["demo", "--source", "x"], "a dataset of vbuild's own is called so"),
        (["a/b", "--source", "x"], "a dataset's name is a file's"),
        (["mine", "--stage", "motion"], "give --source PATH"),
        (["mine", "--source", "x", "--stage", "motoin"], "did you mean 'motion'"),
        (["mine", "--source", "x", "--split", "contnet"], "did you mean 'content'"),
        (["mine", "--source", "x", "--where", "a"], "NAME=SQL is expected"),
        (["mine", "--source", "x", "--where", "a=moton_mean > 1"], "did you mean 'motion_mean'"),
        (["mine", "--source", "x", "--length", "0"], "must be longer than 0"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_what_cannot_be_is_refused_and_leaves_nothing(here, words, said):
    """One line, and no file."""
    with pytest.raises(UsageError, match=re.escape(said)):
        run(["init", *words])
    assert [*here.rglob("*.yaml")] == []


def test_nothing_is_overwritten(here):
    """A file that is there stays as it is."""
    assert run(["init", "mine", "--source", "videos"]) == 0
    before = text(here)
    with pytest.raises(UsageError, match="is not overwritten"):
        run(["init", "mine", "--source", "others"])
    assert text(here) == before


def test_what_a_splitter_needs_is_left_to_fill_in(here):
    """A build says which key it is."""
    assert run(["init", "mine", "--source", "videos", "--split", "scenes"]) == 0
    with pytest.raises(UsageError, match=r"split\.file: a value is needed"):
        load(["+dataset=mine"])


class Person(io.StringIO):
    """A terminal at which somebody answers."""

    def isatty(self) -> bool:
        return True


def test_a_person_is_asked_where_nothing_is_given(here, monkeypatch):
    """Source, splitter, length and stages; no answer takes what is offered."""
    monkeypatch.setattr("sys.stderr", Person())
    monkeypatch.setattr("sys.stdin", Person("videos\nnonsense\nfixed_stride\n4\nmotion, quality\n"))
    assert run(["init", "mine"]) == 0
    config = load(["+dataset=mine"])
    assert (config.split.length, [*config.stages]) == (4.0, ["motion", "quality"])
    monkeypatch.setattr("sys.stdin", Person("videos\n\n\n\n"))
    assert run(["init", "other"]) == 0
    assert load(["+dataset=other"]).split.length == 10.0
    monkeypatch.setattr("sys.stdin", Person(""))
    with pytest.raises(UsageError, match="give --source PATH"):
        run(["init", "third"])
