"""A plan says what the build then runs."""

import made
import pytest
from project import Project, ran

from vbuild.config import FailurePolicy
from vbuild.decisions.dedup import Dedup
from vbuild.split.fixed_stride import FixedStride

STAGES = {
    "tone": made.Tone(),
    "point": made.Point(),
    "dedup": Dedup(of="point", eps=0.001),
    "word": made.Word(of="tone"),
    "length": made.Length(of="word"),
    "pack": made.Pack(),
}


@pytest.fixture
def project(tmp_path, pool):
    """Six videos, nothing built."""
    project = Project(tmp_path, STAGES, where={"dark": "tone_mean > 60"})
    for n in range(6):
        project.put(f"{n}.mp4", pool[n])
    return project


def expected(report):
    """Stage → (actions that are known to be wanted, actions that may be)."""
    return {stage.name: (stage.ran, stage.unknown) for stage in report.stages}


def assert_kept(plan, report):
    """A build runs at least what the plan knew, and at most what it thought possible."""
    for stage in report.stages:
        known, unknown = expected(plan)[stage.name]
        assert known <= stage.ran + stage.failed
        assert plan.videos_unsplit or stage.ran <= known + unknown, stage.name


def changes(project, pool):
    """Changes one behind the other, each with whether a plan can foresee all of it."""
    yield True, lambda: project.stages.update(pack=made.Pack(level=2))
    yield True, lambda: project.stages.update(word=made.Word(of="tone", style="other"))
    yield True, lambda: project.where.update(dark="tone_mean > 30")
    yield True, lambda: project.where.update(dark="tone_mean > 90")
    yield True, lambda: (project.videos / "3.mp4").unlink()
    yield False, lambda: project.stages.update(dedup=Dedup(of="point", eps=0.01))
    yield False, lambda: project.stages.update(tone=made.Tone(gain=0.9))
    yield False, lambda: project.put("7.mp4", pool[7])
    yield False, lambda: setattr(project, "split", FixedStride(length=0.5, min=0.5))
    yield True, lambda: setattr(project, "split", FixedStride(length=1.0, min=0.5))


def test_a_plan_of_nothing_built_knows_the_probes(project):
    """Behind a split that is not known there are no clips yet; and a plan leaves nothing."""
    plan = project.plan()
    assert not plan.up_to_date
    assert plan.videos == plan.videos_unsplit == 6
    assert expected(plan)["probe"] == (6, 0)
    assert expected(plan)["split"] == (0, 6)
    assert not (project.store / "actions").exists()
    assert not (project.store / "runs").exists()


def files(folder):
    """Every file below a folder, with when it was changed."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_plan_writes_no_file(project, pool):
    """Whether nothing is built, or a parameter is another, a blob is gone and a video is new."""
    project.plan()
    assert not files(project.store)
    project.build()
    next((project.store / "blobs").rglob("*.bin")).unlink()
    project.put("7.mp4", pool[7])
    project.stages.update(word=made.Word(of="tone", style="other"), dedup=Dedup(of="point", eps=0.01))
    before = files(project.store)
    assert not project.plan().up_to_date
    assert files(project.store) == before


def test_reasons_are_told_with_values(project, pool):
    """Each reason of the closed set, as a plan says it, with the value that a parameter had when none was given."""
    project.build()
    project.stages.update(word=made.Word(of="tone", style="one"), pack=made.Pack(level=2))
    assert reasons(project)["word"] == {"style 'a clip of step' → 'one'"}
    assert reasons(project)["pack"] == {"level 1 → 2"}
    project.stages.update(word=made.Word(of="tone"), pack=made.Pack())
    next((project.store / "blobs").rglob("*.bin")).unlink()
    assert reasons(project) == {"pack": {"evicted"}}
    project.build()
    project.put("7.mp4", pool[7])
    assert reasons(project) == {"probe": {"new input"}}
    project.stages["other"] = made.Doze()
    assert reasons(project)["other"] == {"first build"}


def test_reasons_tell_versions_models_and_failures(project, monkeypatch):
    """A raised version, another model, and what failed and is tried again."""
    project.stages["word"] = made.Word(of="tone", fails=0)
    assert project.build().failures
    assert "word" not in reasons(project)
    assert reasons(project, failures=FailurePolicy(retry="always"))["word"] == {"failed before"}
    monkeypatch.setattr(made.Tone, "version", 2)
    monkeypatch.setattr(made.Pack, "models", lambda _: {"net": "0123456789"})
    assert reasons(project)["tone"] == {"new version 1 → 2"}
    monkeypatch.setattr(made.Tone, "version", 1)
    assert reasons(project)["pack"] == {"new model net null → 01234567"}
    monkeypatch.setattr(made.Pack, "models", lambda _: {})
    monkeypatch.setattr(made.Pack, "uses", {"passes": 3})
    assert reasons(project)["pack"] == {"new version of passes null → 3"}


def reasons(project, **changes):
    """Stage → why actions have to run."""
    return {stage.name: set(stage.reasons) for stage in project.plan(**changes).stages if stage.reasons}


def test_a_plan_of_what_is_built_is_empty(project):
    """No action is foreseen, and what is dropped is told as the build told it."""
    report = project.build()
    plan = project.plan()
    assert plan.up_to_date
    assert not ran(plan)
    said = [[(d.name, d.dropped, d.unknown) for d in each.decisions] for each in (plan, report)]
    assert said[0] == said[1]
    assert (plan.videos, plan.clips, plan.kept) == (report.videos, report.clips, report.kept)


def test_plans_come_true(project, pool):
    """After each change the build runs what the plan knew; and where the plan knew all, exactly that."""
    project.build()
    for exact, change in changes(project, pool):
        change()
        plan = project.plan()
        report = project.build()
        assert_kept(plan, report)
        if exact:
            assert ran(plan) == {k: v for k, v in ran(report).items() if expected(plan)[k][1] == 0}
            assert plan.kept == report.kept
        compared = any(decision.new for decision in report.decisions)
        assert plan.up_to_date == (not ran(report) and not compared)


def test_what_stands_behind_an_open_decision_is_counted_apart(project):
    """Where the tone is not known, all that follows the predicate on it may be wanted: known + up to n."""
    report = project.build()
    project.stages["tone"] = made.Tone(gain=1.1)
    plan = project.plan()
    assert expected(plan)["tone"] == (report.clips, 0)
    known, unknown = expected(plan)["word"]
    assert known == 0
    assert unknown == report.clips
    assert next(d for d in plan.decisions if d.name == "dark").unknown == report.clips


def test_shards_change_no_plan(project):
    """Counts are those of the whole, however videos are grouped."""
    project.build()
    project.stages["word"] = made.Word(of="tone", style="other")
    whole = ran(project.plan())
    project.shard = 1
    assert ran(project.plan()) == whole
    assert ran(project.build())["word"] == whole["word"]
