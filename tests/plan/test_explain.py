"""Explain: the parts it shows make the very key, and each way to hit or miss is told."""

import made
import numpy as np
import pytest
from footage import video
from project import Project

from vbuild import digest
from vbuild.cli.explain import explained
from vbuild.engine import explain
from vbuild.errors import UsageError


@pytest.fixture
def project(tmp_path, tmp_path_factory):
    """Two videos, built with a chain of stages and a blob."""
    stages = {"tone": made.Tone(), "word": made.Word(of="tone"), "length": made.Length(of="word"), "pack": made.Pack()}
    project = Project(tmp_path, stages)
    for n in (0, 1):
        project.put(f"{n}.mp4", video(tmp_path / f"{n}.mp4", seconds=2, fps=4, size=(64, 48), seed=n))
    project.build()
    return project


def clip(project):
    """The id of some clip."""
    return min(project.rows())


def actions(project, **asked):
    return {a.stage: a for a in explain(project.config(), **asked).actions}


def test_the_parts_make_the_key(project):
    """Digested as they are shown, the inputs are the key under which the result is found."""
    shown = actions(project, clip=clip(project))
    assert {a.state for a in shown.values()} == {"hit"}
    assert shown["tone"].key == shown["tone"].inputs[0].digest == clip(project)
    (part,) = shown["word"].inputs
    assert (part.name, part.source) == (".step", "tone.step")
    made_of = digest.inputs([part.name], [np.frombuffer(bytes.fromhex(part.digest), "V16")])
    assert bytes(made_of[0].item()).hex() == shown["word"].key


def test_a_stage_is_shown_with_all_that_is_in_its_recipe_and_what_is_not(project):
    """Parameters, defaults, knobs, and the recipes that it was compared with."""
    project.stages["word"] = made.Word(of="tone", style="new", pace=7)
    (stage,) = explain(project.config(), stage="word").stages
    assert stage.manifest["params"] == {"style": "new"}
    assert stage.defaults == {"fails": None}
    assert stage.unkeyed["pace"] == 7
    assert stage.unkeyed["of"] == "tone"
    assert [what for _, what in stage.former] == ["style 'a clip of step' → 'new'"]
    assert stage.to_run
    text = explained(explain(project.config()))
    assert "style 'a clip of step' → 'new'" in text
    assert "probe: 2 hit" in text


def test_each_way_to_miss_is_told(project):
    """Changed parameters, what waits for them, a blob that is gone, a stage that is new, a failure."""
    next(path for path in (project.store / "blobs").rglob("*.bin")).unlink()
    project.stages |= {"tone": made.Tone(gain=0.5), "point": made.Point(fails=300.0), "doze": made.Doze()}
    gone = [actions(project, clip=c)["pack"] for c in project.rows()]
    assert {a.reason for a in gone} == {"hit", "evicted"}
    shown = actions(project, clip=clip(project))
    assert (shown["tone"].reason, shown["tone"].text) == ("new parameters", "gain 1.0 → 0.5")
    assert shown["tone"].former
    assert shown["word"].state == "not known yet"
    assert "tone, which has to run first" in shown["word"].text
    assert shown["doze"].reason == "first build"
    project.build()
    shown = actions(project, clip=clip(project))
    assert shown["point"].state == "failed"
    assert "is too dark" in shown["point"].text


def test_new_input_names_the_part_that_changed(project):
    """The digest that a part has and the one that it had, and what made the difference."""
    whole = dict(project.stages)
    project.stages = {"tone": made.Tone(gain=0.3)}
    project.build()
    project.stages = whole | {"tone": made.Tone(gain=0.3)}
    missing = [a for c in project.rows() for a in (actions(project, clip=c)["word"],) if a.state == "to run"]
    assert missing
    for action in missing:
        assert (action.reason, action.text) == ("new input", "new input: tone: gain 1.0 → 0.3")
        assert action.inputs[0].was not in (None, action.inputs[0].digest)


def test_dropped_clips_are_not_wanted(project):
    """The decision that dropped a clip is named."""
    project.where["none"] = "tone_mean < 0"
    project.build()
    shown = actions(project, clip=clip(project), stage="word")
    assert shown["word"].state == "not wanted"
    assert "dropped by none" in shown["word"].text


def test_a_video_is_found_by_its_path_or_the_end_of_it(project):
    """Its probe and its split are explained; a new one is new input."""
    assert {a.state for a in actions(project, video="0.mp4").values()} == {"hit"}
    assert set(actions(project, video=str(project.videos / "1.mp4"))) == {"probe", "split"}
    project.put("2.mp4", video(project.store / "2.mp4", seconds=1, fps=4, size=(64, 48), seed=5))
    shown = actions(project, video="2.mp4")
    assert shown["probe"].reason == "new input"
    assert shown["split"].state == "not known yet"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"clip": "zz"}, "no such clip"),
        ({"clip": ""}, "4 clips begin so"),
        ({"video": "O.mp4"}, "no such file"),
        ({"video": "0.mp5"}, "did you mean '0.mp4'"),
        ({"stage": "ton"}, "did you mean 'tone'"),
        ({"stage": "probe", "clip": None}, None),
        ({"clip": "a", "video": "b"}, "not both"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(project, asked, said):
    """With the nearest name."""
    if said is None:
        assert explain(project.config(), **asked).stages
        return
    with pytest.raises(UsageError, match=said):
        explain(project.config(), **asked)


def test_the_beginning_of_an_id_is_enough(project):
    """As long as it is one clip's."""
    ids = sorted(project.rows())
    length = next(n for n in range(1, 33) if len({i[:n] for i in ids}) == len(ids))
    assert explain(project.config(), clip=ids[0][:length]).subject.startswith(f"clip {ids[0]}")


def test_explaining_writes_nothing(project):
    """It is a plan."""
    before = {path: path.stat().st_mtime_ns for path in project.store.rglob("*")}
    explain(project.config(), clip=clip(project))
    explain(project.config())
    assert {path: path.stat().st_mtime_ns for path in project.store.rglob("*")} == before
