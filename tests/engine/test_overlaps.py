"""Clips that overlap are dropped the same way whatever came first, in whatever goes, and whoever compared them."""

import made
import numpy as np
import pytest
from project import Project, ran

from vbuild.decisions.cluster import Cluster
from vbuild.decisions.dedup import Dedup
from vbuild.errors import UsageError
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride

STAGES = {"tone": made.Tone(), "print": made.Print(), "dedup": Dedup(of="print")}


@pytest.fixture
def project(tmp_path):
    """Clips of one to three seconds."""
    return Project(tmp_path, STAGES, split=FixedStride(length=3.0, min=0.5))


def told(report):
    """How many fingerprints were, or would be, compared, and with how many that were before."""
    (decided,) = report.decisions
    return decided.new, decided.known


@pytest.mark.parametrize("order", [1, 2])
def test_the_order_in_which_videos_come_changes_nothing(tmp_path, project, pool, order):
    """One by one, in shards of one, in two processes: as all at once."""
    project.shard = 1
    for n in np.random.default_rng(order).permutation(len(pool)):
        project.local = Local(workers=2 if n % 4 == 0 else 0)
        project.put(f"{n}.mp4", pool[n])
        project.build()
    assert told(project.again())[0] == 0
    fresh = Project(tmp_path, STAGES, split=project.split, store=tmp_path / "fresh", videos=project.videos)
    report = fresh.build()
    assert project.tables() == fresh.tables()
    assert 0 < sum(not row["kept"] for row in fresh.rows().values()) < report.clips


def test_no_two_that_are_kept_overlap_and_who_goes_has_a_keeper(project, pool):
    """By the definition, of the hashes in the tables."""
    for n, path in enumerate(pool):
        project.put(f"{n}.mp4", path)
    project.build()
    rows = project.rows()
    pairs = {(p["clip_a"], p["clip_b"]): p for p in project.rows("duplicates").values()}
    for (a, b), pair in pairs.items():
        assert not (rows[a]["kept"] and rows[b]["kept"])
        assert pair["similarity"] >= 0.5
    for name, row in rows.items():
        if not row["kept"]:
            keeper = row["duplicate_of"]
            assert rows[keeper]["kept"]
            assert (min(name, keeper), max(name, keeper)) in pairs


def test_a_clip_without_a_frame_that_tells_it_stays(project, pool):
    """It is like nothing, and not like another without."""
    project.stages |= {"print": made.Print(blind=250.0)}
    for n in range(4):
        project.put(f"{n}.mp4", pool[n])
    report = project.build()
    assert told(report) == (0, 0)
    assert all(row["kept"] and row["print"] is None for row in project.rows().values())


def test_nothing_is_compared_twice(project, pool):
    """Another overlap, rank or rule compares nothing, nor does what went and came back; a plan says so."""
    for n in range(6):
        project.put(f"{n}.mp4", pool[n])
    project.build()
    known = told(project.again())[1]
    assert known > 3
    path = (project.videos / "0.mp4").rename(project.videos.parent / "away.mp4")
    project.build()
    path.rename(project.videos / "0.mp4")
    assert told(project.build()) == (0, known)
    for changed in (
        {"overlap": 0.9},
        {"overlap": 0.25},
        {"keep": "tone_mean"},
        {"rule": "components"},
        {"keep": "random"},
    ):
        project.stages["dedup"] = Dedup(of="print", **changed)
        assert told(project.plan()) == (0, known)
        report = project.build()
        assert (told(report), ran(report)) == ((0, known), {})
    project.stages["dedup"] = Dedup(of="print", overlap=0.1)
    assert told(project.plan()) == (known, 0)
    assert told(project.build()) == (known, 0)


@pytest.mark.parametrize("rule", [{"keep": "hard"}, {"reach": 0.3}])
def test_what_speaks_of_vectors_is_refused(project, pool, rule):
    """By the key."""
    project.put("0.mp4", pool[0])
    project.stages["dedup"] = Dedup(of="print", **rule)
    with pytest.raises(UsageError, match=rf"^stages\.dedup\.{next(iter(rule))}=.*print writes no vector"):
        project.plan()


def test_a_vector_that_is_null_is_not_judged(project, pool):
    """Nor compared, nor put into a cluster."""
    project.stages = {"spot": made.Blank(), "dedup": Dedup(of="spot"), "kind": Cluster(of="spot")}
    for n in range(2):
        project.put(f"{n}.mp4", pool[n])
    report = project.build()
    assert (report.decisions[0].new, report.decisions[0].known) == (0, 0)
    assert all(row["kept"] and row["kind"] is None for row in project.rows().values())
