"""Clips of one source are on one side, for ever."""

import os
from collections import Counter
from dataclasses import replace

import made
import numpy as np
import pytest
from footage import video
from project import Project

from vbuild.config import Source
from vbuild.decisions.cluster import Cluster
from vbuild.decisions.folding import drawn
from vbuild.decisions.folds import Folds
from vbuild.engine import build
from vbuild.errors import UsageError
from vbuild.plan.order import arrange

GROUPS = np.random.default_rng(0).bytes(16 * 20_000)
GROUPS = np.frombuffer(GROUPS, "V16")

USUAL = {"train": 0.9, "val": 0.05, "test": 0.05}

HALF = Folds(shares={"train": 0.5, "test": 0.5})


def folds(project):
    return {row["uri"].rpartition("/")[2]: row["fold"] for row in project.rows().values()}


@pytest.fixture
def project(tmp_path, pool):
    """Clips of six videos, in two folds."""
    project = Project(tmp_path, {"tone": made.Tone(), "fold": HALF})
    for n in range(6):
        project.put(f"{n}.mp4", pool[n])
    return project


def test_shares_are_what_they_say():
    """To within chance: three deviations of a binomial."""
    found = Counter(drawn(GROUPS, USUAL, 0).tolist())
    for name, share in USUAL.items():
        spread = (share * (1 - share) / len(GROUPS)) ** 0.5
        assert abs(found[name] / len(GROUPS) - share) < 3 * spread


@pytest.mark.parametrize(
    ("then", "most"),
    [
        ({"train": 0.8, "val": 0.1, "test": 0.1}, 0.1),
        ({"train": 0.5, "val": 0.25, "test": 0.25}, 0.4),
        ({"train": 0.855, "val": 0.0475, "test": 0.0475, "demo": 0.05}, 0.05),
        ({"train": 0.9, "val": 0.1}, 0.1),
        ({"train": 0.9, "val": 0.02, "test": 0.03, "demo": 0.05}, 0.1),
    ],
)
def test_other_shares_move_few(then, most):
    """No more than they must where one fold alone loses or wins, and never to a fold that has not grown beside the one
    left; the order in which folds are written means nothing."""
    before, after = drawn(GROUPS, USUAL, 0), drawn(GROUPS, then, 0)
    moved = before != after
    assert moved.mean() < most + 0.01
    for a, b in set(zip(before[moved].tolist(), after[moved].tolist(), strict=True)):
        assert then[b] * USUAL[a] > USUAL.get(b, 0) * then.get(a, 0)
    assert (drawn(GROUPS, dict(reversed(then.items())), 0) == after).all()


def test_another_seed_draws_anew():
    """Independently of the first."""
    one, other = (drawn(GROUPS, {"a": 0.5, "b": 0.5}, seed) for seed in (0, 1))
    assert 0.48 < (one == other).mean() < 0.52


def test_a_fold_of_no_share_has_nobody():
    """A share may be 0, or null, which takes away what another file gave."""
    assert set(drawn(GROUPS, {"a": 1.0, "b": 0.0, "c": None}, 0).tolist()) == {"a"}
    assert Folds(shares={"train": 0.8, "val": None, "test": 0.2}).shares["val"] is None


def test_these_folds_are_as_they_were_when_this_was_written():
    """Where a video belongs never changes, for datasets were trained with it."""
    ids = np.array([np.void(bytes([n] * 16)) for n in range(12)], "V16")
    assert "".join(name[0] for name in drawn(ids, {"train": 0.5, "val": 0.25, "test": 0.25}, 0)) == "ttvttttttttv"


def test_no_other_video_moves_one(project, pool):
    """Nor its name, nor what is dropped, nor another shard; all clips of a video are together."""
    project.build()
    rows = project.rows().values()
    assert all(len({row["fold"] for row in rows if row["uri"] == one["uri"]}) == 1 for one in rows)
    before = folds(project)
    (project.videos / "0.mp4").rename(project.videos / "9-moved.mp4")
    before["9-moved.mp4"] = before.pop("0.mp4")
    for n in range(6, 12):
        project.put(f"{n}.mp4", pool[n])
    project.where, project.shard = {"dark": "tone_mean > 140"}, 1
    project.build()
    after = folds(project)
    assert len(after) == 12
    assert {name: after[name] for name in before} == before
    assert set(after.values()) == {"train", "test"}
    assert any(not row["kept"] for row in project.rows().values())


def test_a_condition_reads_it_before_any_stage_runs(project):
    """`where.training: fold = 'train'`: what is to be tested with costs nothing."""
    project.where = {"training": "fold = 'train'"}
    order = arrange(project.config())
    assert [d.name for d in order.waves[0].decisions] == ["fold", "training"]
    made.CALLS.clear()
    report = project.build()
    assert 0 < made.CALLS["Tone"] == report.kept < report.clips
    assert {row["fold"] for row in project.rows().values() if row["kept"]} == {"train"}
    assert {d.name: d.places for d in report.decisions}["fold"] == {"train": report.kept}


def test_it_takes_no_decode_of_its_own(project):
    """Stages around it share a wave, as if it were not there."""
    project.stages = {"tone": made.Tone(), "fold": HALF, "point": made.Point(), "pack": made.Pack()}
    (wave,) = arrange(project.config()).waves
    assert [s.name for s in wave.stages] == ["tone", "point", "pack"]


def test_a_plan_knows_it(project):
    """Of clips that are known."""
    project.build()
    project.where = {"training": "fold = 'train'"}
    plan = project.plan()
    assert 0 < plan.kept < plan.clips


def test_a_list_may_say_what_belongs_together(tmp_path):
    """All videos of a speaker are on one side; one of which the list says nothing goes by itself."""
    project = Project(tmp_path, {"tone": made.Tone(), "fold": Folds(by="who", shares=HALF.shares)})
    lines = ["path,who"]
    for n in range(8):
        made_ = video(tmp_path / "made.mp4", seconds=1.0, fps=4, size=(64, 48), seed=n)
        project.put(f"{n}.mp4", made_)
        lines.append(f"videos/{n}.mp4,{['ann', 'bob', ''][n % 3]}")
    path = tmp_path / "l.csv"
    path.write_text("\n".join(lines) + "\n")
    os.utime(path, (1, 1))
    build(replace(project.config(), source=Source(path=(str(path),))))
    by = folds(project)
    assert len({by[f"{n}.mp4"] for n in (0, 3, 6)}) == len({by[f"{n}.mp4"] for n in (1, 4, 7)}) == 1
    project.stages["fold"] = HALF
    build(replace(project.config(), source=Source(path=(str(path),))))
    assert {n: fold for n, fold in folds(project).items() if n in ("2.mp4", "5.mp4")} == {
        n: by[n] for n in ("2.mp4", "5.mp4")
    }


def test_clusters_may_say_it_too(project):
    """What is of a kind is on one side."""
    project.stages |= {
        "point": made.Point(),
        "kind": Cluster(of="point", k=4),
        "fold": Folds(by="kind", shares=HALF.shares),
    }
    project.build()
    by = {}
    for row in project.rows().values():
        by.setdefault(row["kind"], set()).add(row["fold"])
    assert all(len(found) == 1 for found in by.values())


@pytest.mark.parametrize(
    ("shares", "said"),
    [({"train": 0.9}, "come to 0.9, not to 1"), ({"a": 2.0, "b": -1.0}, "from 0 to 1"), ({"": 1.0}, "needs a name")],
)
def test_shares_that_are_none_are_refused(shares, said):
    """By name."""
    with pytest.raises(UsageError, match=rf"^shares=.*{said}"):
        Folds(shares=shares)


def test_a_column_that_is_none_is_refused(project):
    """With the nearest; its own is none either."""
    for by, said in (("vido_id", "did you mean 'video_id'"), ("fold", "no stage writes such a column")):
        project.stages["fold"] = Folds(by=by)
        with pytest.raises(UsageError, match=rf"stages\.fold\.by={by}: .*{said}"):
            arrange(project.config())
