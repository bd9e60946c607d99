"""Several dedups of one dataset: each ranks what those before it left, by its own vectors, eps, rank and rule."""

import made
import numpy as np
import pytest
from project import Project

from vbuild.decisions.dedup import Dedup

STAGES = {
    "tone": made.Tone(),
    "point": made.Point(),
    "other": made.Point(bias=400.0),
    "first": Dedup(of="other", eps=1e-6, keep="tone_mean desc"),
    "second": Dedup(of="point", eps=0.02, keep="tone_mean"),
    "third": Dedup(of="point", eps=0.2, keep="start_s desc, tone_mean desc"),
}
"""None of them would leave the next nothing to do: it judges other vectors, or by another eps and rank."""

ORDERS = {
    "tone_mean desc": lambda row: (-row["tone_mean"],),
    "tone_mean": lambda row: (row["tone_mean"],),
    "start_s desc, tone_mean desc": lambda row: (-row["start_s"], -row["tone_mean"]),
}


def plainly(rows, stages):
    """Who is dropped by which, one clip after the other: {clip_id: dedup}; and by each the clips that it kept."""
    left, dropped, kept = list(rows.values()), {}, {}
    for name, dedup in ((name, stage) for name, stage in stages.items() if isinstance(stage, Dedup)):
        kept[name] = []
        for row in sorted(left, key=lambda row: (*ORDERS[dedup.keep](row), row["clip_id"])):
            if any(alike(row, other, dedup) for other in kept[name]):
                dropped[row["clip_id"]] = name
            else:
                kept[name].append(row)
        left = kept[name]
    return dropped, kept


def alike(row, other, dedup):
    """Whether two clips are near-duplicates by the definition."""
    a, b = (np.array(each[dedup.of], np.float64) for each in (row, other))
    return round(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), 6) >= round(1 - dedup.eps, 6)


def check(project):
    """The dataset is what the words say; who stands for a clip was kept by the dedup that dropped it."""
    rows = project.rows()
    dropped, kept = plainly(rows, project.stages)
    assert {key: row["dropped_by"] for key, row in rows.items() if not row["kept"]} == dropped
    for key, name in dropped.items():
        keeper = rows[key]["duplicate_of"]
        assert keeper in {row["clip_id"] for row in kept[name]}
        assert alike(rows[key], rows[keeper], project.stages[name])
    return dropped


@pytest.fixture
def project(tmp_path, pool):
    """Eight videos."""
    project = Project(tmp_path, STAGES)
    for n in range(8):
        project.put(f"{n}.mp4", pool[n])
    return project


def test_each_of_three_dedups_ranks_the_survivors_of_the_one_before(project, pool, tmp_path):
    """Also when clips come; and a build that found them bit by bit is one from nothing."""
    project.build()
    before = check(project)
    assert set(before.values()) == {"first", "second", "third"}
    for n in range(8, 12):
        project.put(f"{n}.mp4", pool[n])
        project.build()
    assert check(project).keys() > before.keys()
    fresh = Project(tmp_path, STAGES, store=tmp_path / "fresh", videos=project.videos)
    fresh.build()
    assert project.tables() == fresh.tables()


@pytest.mark.parametrize(
    "changed",
    [{"second": Dedup(of="point", eps=0.002, keep="tone_mean desc")}, {"first": None}, {"second": None}],
    ids=["another eps and rank", "without the first", "without the second"],
)
def test_those_behind_one_that_changes_decide_anew(project, changed):
    """Of the middle one, or of one that goes; no stage runs."""
    project.build()
    before = check(project)
    for name, stage in changed.items():
        project.stages[name] = stage
        if stage is None:
            del project.stages[name]
    report = project.build()
    assert not any(stage.ran for stage in report.stages)
    assert check(project) != before


def test_pairs_tell_which_dedup_they_are_of(project):
    """Those of each are near-duplicates among the clips that it judged; whom it dropped is in one with its keeper."""
    project.build()
    rows = project.rows()
    dropped, kept = plainly(rows, STAGES)
    judged = set(rows)
    for name in ("first", "second", "third"):
        told = {(p["clip_a"], p["clip_b"]) for p in project.rows("duplicates").values() if p["dedup"] == name}
        assert {clip for pair in told for clip in pair} <= judged
        assert all(alike(rows[a], rows[b], STAGES[name]) for a, b in told)
        gone = {tuple(sorted((key, rows[key]["duplicate_of"]))) for key, by in dropped.items() if by == name}
        assert gone
        assert gone <= told
        judged = {row["clip_id"] for row in kept[name]}
