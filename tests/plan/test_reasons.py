"""Reasons: each says what is other than it was, and a plan says what it would cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import made
import pytest
from footage import video
from project import Project

from vbuild.cli.summary import show
from vbuild.digest import Recipe
from vbuild.plan.reasons import difference, distance


@dataclass(frozen=True, kw_only=True)
class Newer(made.Tone):
    """Tone in its second version."""

    version: ClassVar[int] = 2

    @classmethod
    def title(cls):
        return made.Tone.title()


@dataclass(frozen=True, kw_only=True)
class Learned(made.Tone):
    """Tone with a model."""

    model: str = "a" * 40

    def models(self):
        return {"net": self.model}


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> list[Path]:
    """Two videos of 2 s and one of 1 s."""
    folder = tmp_path_factory.mktemp("films")
    return [video(folder / f"{n}.mp4", seconds=s, fps=4, size=(64, 48), seed=n) for n, s in enumerate((2, 2, 1))]


@pytest.fixture
def project(tmp_path, films):
    """Two videos built with a chain of three stages and a blob."""
    stages = {"tone": made.Tone(), "word": made.Word(of="tone"), "length": made.Length(of="word"), "pack": made.Pack()}
    project = Project(tmp_path, stages)
    for n in (0, 1):
        project.put(f"{n}.mp4", films[n])
    project.build()
    return project


def reasons(report, stage):
    return next(s.reasons for s in report.stages if s.name == stage)


def count(report, stage):
    return next(s for s in report.stages if s.name == stage)


def test_the_first_build_of_a_stage_is_one_in_every_shard(tmp_path, films):
    """Results that the build itself wrote a moment ago are no reason; neither are those of another instance."""
    project = Project(tmp_path, {"a": made.Tone(), "b": made.Tone(gain=2.0)})
    project.shard = 1
    for n in (0, 1):
        project.put(f"{n}.mp4", films[n])
    report = project.build()
    assert reasons(report, "a") == reasons(report, "b") == {"first build": 4}


def test_parameters_are_told_with_their_values(project):
    """From what to what, with the value that the default stands for, both ways."""
    project.stages["pack"] = made.Pack(level=2)
    assert reasons(project.plan(), "pack") == {"level 1 → 2": 4}
    assert reasons(project.build(), "pack") == {"level 1 → 2": 4}
    project.stages["pack"] = made.Pack()
    assert reasons(project.plan(), "pack") == {}
    project.stages["pack"] = made.Pack(level=3)
    (reason,) = reasons(project.plan(), "pack")
    assert reason in ("level 1 → 3", "level 2 → 3")


def test_a_former_recipe_is_the_nearest_that_has_the_very_input(project, films):
    """Clips that only an older recipe has seen are told apart from those that none has."""
    project.put("2.mp4", films[2])
    project.stages["tone"] = made.Tone(gain=0.5)
    project.build()
    project.stages["tone"] = made.Tone(gain=0.5, blind=3.0)
    assert reasons(project.plan(), "tone") == {"blind -1.0 → 3.0": 5}


def test_a_new_version_and_a_new_model_have_names_of_their_own(project):
    """A version is told by its numbers, a model by the beginning of its commits."""
    project.stages["tone"] = Newer()
    assert reasons(project.plan(), "tone") == {"new version 1 → 2": 4}
    project.stages = {"tone": Learned()}
    project.build()
    project.stages["tone"] = Learned(model="b" * 40)
    (reason,) = reasons(project.plan(), "tone")
    assert "new model net aaaaaaaa → bbbbbbbb" in reason


def test_a_new_video_is_new_input(project, films):
    """Nothing is said of what was never there."""
    project.put("2.mp4", films[2])
    report = project.build()
    for stage in ("probe", "split", "tone", "pack"):
        assert reasons(report, stage) == {"new input": 1}


def test_new_input_says_what_changed_upstream(project):
    """Where the former input can be shown to have had a result, the change behind it is named, however far up."""
    project.stages["word"] = made.Word(of="tone", style="quite another sentence about step")
    report = project.build()
    assert set(reasons(report, "word")) == {"style 'a clip of step' → 'quite another sentence about st…'"}
    (reason,) = reasons(report, "length")
    assert reason.startswith("new input: word: style 'a clip of step' → ")
    project.stages["tone"] = made.Tone(gain=3.0)
    report = project.build()
    assert set(reasons(report, "word")) == {"new input: tone: gain 1.0 → 3.0"}
    told = set(reasons(report, "length"))
    assert told <= {"new input: word: tone: gain 1.0 → 3.0"}


def test_what_is_gone_was_evicted(project):
    """A blob that is gone, and results that a gc took, were there once."""
    next(path for path in (project.store / "blobs").rglob("*.bin")).unlink()
    assert list(reasons(project.plan(), "pack")) == ["evicted"]
    assert list(reasons(project.again(), "pack")) == ["evicted"]


def test_what_failed_before_is_told_when_it_is_tried_again(project):
    """Not tried again it is counted as failed before, tried again it has that reason."""
    project.stages["word"] = made.Word(of="tone", fails=0, style="x")
    failed = count(project.build(), "word").failed
    project.stages["word"] = made.Word(of="tone", fails=1, style="x")
    failed = failed or count(project.build(), "word").failed
    project.stages["point"] = made.Point(fails=300.0)
    project.build()
    plan = project.plan()
    assert count(plan, "point").failed == 4
    assert count(plan, "point").ran == 0
    from vbuild.config import FailurePolicy

    again = project.plan(failures=FailurePolicy(retry="always"))
    assert reasons(again, "point") == {"failed before": 4}


def test_a_gone_parameter_and_a_former_default_are_words():
    """Of another version nobody knows the defaults."""
    old = Recipe("s", 1, {"a": 1, "text": "one two"}, {}, {})
    new = Recipe("s", 2, {"b": True}, {}, {})
    assert distance(old, new) == 4
    kind, text = difference(old, new, {"b": False, "text": "one"})
    assert kind == "new version"
    assert text == "new version 1 → 2, a 1 → gone, b default → true, text 'one two' → 'one'"


def test_long_texts_are_shown_where_they_part():
    """Two prompts that begin alike are told apart."""
    start = "Describe what happens in the clip, in order. "
    _, text = difference(
        Recipe("s", 1, {"prompt": start + "Be short."}, {}, {}),
        Recipe("s", 1, {"prompt": start + "Be long."}, {}, {}),
        {},
    )
    assert "short" in text
    assert "long" in text
    assert len(text) < 90


def test_costs_are_those_that_were_recorded(project):
    """A changed parameter costs what the same clips cost before; a stage without a record says so."""
    before = project.rows()
    spent = count(project.plan(), "pack").saved
    project.stages["pack"] = made.Pack(level=2)
    project.stages["weight"] = made.Share(of="heavy")
    project.stages["heavy"] = made.Weight(of="probe")
    plan = project.plan()
    pack = count(plan, "pack")
    assert pack.recorded
    assert pack.seconds == pytest.approx(spent, rel=1e-3)
    assert pack.bytes == sum(row["pack_bytes"] for row in before.values())
    assert not count(plan, "heavy").recorded
    assert not count(plan, "weight").recorded


def test_costs_scale_with_the_footage(tmp_path, films):
    """Half the seconds of footage are expected to take half the time."""
    project = Project(tmp_path, {"doze": made.Doze(seconds=0.05)})
    project.put("0.mp4", films[0])
    project.build()
    saved = count(project.plan(), "doze").saved
    project.put("2.mp4", films[2])
    project.stages = {"tone": made.Tone()}
    project.build()
    project.stages = {"doze": made.Doze(seconds=0.05)}
    plan = count(project.plan(), "doze")
    assert (plan.hits, plan.ran) == (2, 1)
    assert plan.seconds == pytest.approx(saved / 2, rel=1e-3)


def test_the_table_of_a_plan_shows_reasons_costs_and_what_is_open(project, films, capsys):
    """People read: hits, known + up to n, failed before, seconds, bytes, why."""
    project.stages["pack"] = made.Pack(level=2)
    show(project.plan(), planned=True)
    out = capsys.readouterr().out
    assert "failed before" in out
    assert "level 1 → 2 (4 clips)" in out
    assert "expected: " in out
    project.put("2.mp4", films[2])
    show(project.plan(), planned=True)
    out = capsys.readouterr().out
    assert "4 + clips of 1 video" in out
    assert "more for the clips of 1 video" in out


def test_tables_that_do_not_follow_are_said_to_be_stale(project):
    """A moved condition runs nothing and changes the dataset; a plan says so, and no more once it is built."""
    assert not project.plan().stale
    project.where["dark"] = "tone_mean > 100000"
    plan = project.plan()
    assert (plan.up_to_date, plan.stale) == (True, True)
    project.build()
    assert not project.plan().stale
