"""No value of a column has more clips than it may."""

import os
from collections import Counter
from dataclasses import replace

import made
import numpy as np
import pyarrow as pa
import pytest
from footage import video
from hypothesis import given, settings
from hypothesis import strategies as st
from project import Project, dropped

from vbuild.config import Source
from vbuild.decisions.balance import Balance
from vbuild.decisions.caps import capacity, grouped, over
from vbuild.decisions.cluster import Cluster
from vbuild.decisions.dedup import Dedup
from vbuild.engine import build
from vbuild.errors import UsageError
from vbuild.maintenance.history import builds, diff
from vbuild.plan.order import arrange


@pytest.fixture
def project(tmp_path, pool):
    """Clips of six videos."""
    project = Project(tmp_path, {"tone": made.Tone()})
    for n in range(6):
        project.put(f"{n}.mp4", pool[n])
    return project


@given(st.lists(st.integers(-1, 3), max_size=30), st.integers(1, 5), st.randoms())
@settings(max_examples=200)
def test_the_first_of_each_value_stay(codes, most, random):
    """As many as may, by rank; those of no value all stay."""
    codes = np.array(codes, np.int64)
    rank = np.array(random.sample(range(len(codes)), len(codes)), np.int64)
    gone = over(codes, rank, most)
    for code in set(codes.tolist()):
        rows = np.flatnonzero(codes == code)
        stays = rows[np.argsort(rank[rows])]
        wanted = stays if code < 0 else stays[:most]
        assert set(rows[~gone[rows]].tolist()) == set(wanted.tolist())


def test_values_of_several_columns_are_taken_together():
    """And where one of them is nothing there is no value."""
    columns = [pa.chunked_array([["a", "b", "a", None, "a"]]), pa.chunked_array([[1, 1, 1, 1, 2]])]
    codes = grouped(columns)
    assert codes[0] == codes[2]
    assert len({codes[0], codes[1], codes[4]}) == 3
    assert codes[3] == -1


@pytest.mark.parametrize(
    ("most", "share", "clips", "may"),
    [(5, None, 3, 5), (None, 0.29, 100, 29), (None, 0.01, 30, 1), (3, 0.5, 100, 3), (80, 0.5, 100, 50), (1, 1.0, 0, 1)],
)
def test_a_share_is_one_of_the_clips_that_come_to_it(most, share, clips, may):
    """Rounded down as it is written, one at least; of two caps the lower holds."""
    assert capacity(Balance(most=most, share=share), clips) == may


@pytest.mark.parametrize("wrong", [{"most": 0}, {"share": 0.0}, {"share": 1.5}, {"of": ()}])
def test_caps_that_are_none_are_refused(wrong):
    """By name."""
    with pytest.raises(UsageError, match=rf"^{next(iter(wrong))}="):
        Balance(**{"most": 1, **wrong})


@pytest.mark.parametrize(
    ("balance", "said"),
    [
        (Balance(of=("uri",)), r"stages\.b\.most: say how many"),
        (Balance(of=("tone",), most=1), r"stages\.b\.of=tone: no stage writes such a column; did you mean 'tone_"),
        (Balance(of=("point",), most=1), r"stages\.b\.of=point: it is vector\[4\]"),
        (Balance(of=("uri",), most=1, keep="tone_men"), r"stages\.b\.keep='tone_men'.*did you mean 'tone_mean'"),
    ],
)
def test_what_does_not_fit_a_dataset_is_refused(project, balance, said):
    """With the key, and the nearest name."""
    project.stages |= {"point": made.Point(), "b": balance}
    with pytest.raises(UsageError, match=said):
        arrange(project.config())


def test_the_best_of_each_source_stay(project):
    """By `keep`, and what goes is told by the decision's name; no stage runs for another cap."""
    project.stages["few"] = Balance(of=("uri",), most=1, keep="tone_mean desc")
    project.build()
    rows = [*project.rows().values()]
    best = {}
    for row in rows:
        best[row["uri"]] = max(best.get(row["uri"], -1), row["tone_mean"])
    stays = [row for row in rows if row["kept"]]
    assert {row["uri"]: row["tone_mean"] for row in stays} == best
    assert len(stays) == len(best)
    assert dropped(project) == {None: len(stays), "few": len(rows) - len(stays)}
    made.CALLS.clear()
    project.stages["few"] = Balance(of=("uri",), most=2)
    report = project.build()
    assert not made.CALLS
    assert max(Counter(row["uri"] for row in project.rows().values() if row["kept"]).values()) == 2
    assert {d.name: d.dropped for d in report.decisions} == {"few": dropped(project).get("few", 0)}


def test_dear_stages_see_what_is_left(project):
    """It stands behind dedups and before captions, as written first or last."""
    project.stages = {
        "few": Balance(of=("kind",), most=2),
        "pack": made.Pack(),
        "kind": Cluster(of="point", k=2),
        "dedup": Dedup(of="point", eps=0.0),
        "point": made.Point(),
        **project.stages,
    }
    order = arrange(project.config())
    assert [[*(s.name for s in w.stages), *(d.name for d in w.decisions)] for w in order.waves] == [
        ["tone", "point", "dedup"],
        ["kind"],
        ["few"],
        ["pack"],
    ]
    made.CALLS.clear()
    report = project.build()
    kept = [row for row in project.rows().values() if row["kept"]]
    assert Counter(row["kind"] for row in kept) == {0: 2, 1: 2}
    assert made.CALLS["Pack"] == report.kept == 4


def test_several_stand_behind_one_another(project):
    """Each over what the one before it left: the second's share is of that."""
    project.stages |= {
        "few": Balance(of=("uri",), most=2, keep="start_s"),
        "fewer": Balance(of=("tone_step",), share=0.2, keep="start_s desc"),
    }
    project.build()
    rows = [*project.rows().values()]
    left = [row for row in rows if row["dropped_by"] != "few"]
    assert all(row["start_s"] < 2 for row in left)
    assert max(Counter(row["tone_step"] for row in rows if row["kept"]).values()) <= max(1, int(0.2 * len(left)))
    assert dropped(project)["fewer"] > 0


def test_labels_of_a_list_are_capped_and_what_has_none_stays(tmp_path):
    """By the column of a list; a video of which the list says nothing is not judged."""
    project = Project(tmp_path, {"tone": made.Tone(), "few": Balance(of=("who",), most=2)})
    for n in range(3):
        project.put(f"{n}.mp4", video(tmp_path / "made.mp4", seconds=3.0, fps=8, size=(64, 48), seed=n))
    path = tmp_path / "l.csv"
    path.write_text("path,who\nvideos/0.mp4,ann\nvideos/1.mp4,ann\nvideos/2.mp4,\n")
    os.utime(path, (1, 1))
    build(replace(project.config(), source=Source(path=(str(path),))))
    kept = Counter(row["uri"].rpartition("/")[2] for row in project.rows().values() if row["kept"])
    assert kept["0.mp4"] + kept["1.mp4"] == 2
    assert kept["2.mp4"] == 3


def test_a_plan_counts_what_is_open_behind_it(project):
    """`known + up to n`, where a clip may push another out; all is known where nothing is new."""
    project.stages |= {"few": Balance(of=("tone_step",), most=1), "word": made.Word(of="tone")}
    report = project.build()
    project.where = {"long": "duration_s > 0.5"}
    assert project.plan().kept == report.kept
    project.stages["tone"] = made.Tone(gain=0.5)
    plan = project.plan()
    (few,) = [decision for decision in plan.decisions if decision.name == "few"]
    assert few.unknown == plan.clips
    (word,) = [stage for stage in plan.stages if stage.name == "word"]
    assert word.unknown + word.hits > 0


def test_a_keeper_that_a_cap_drops_brings_nobody_back(project):
    """As with a predicate behind a dedup: the duplicate stays one."""
    project.stages |= {
        "point": made.Point(),
        "dedup": Dedup(of="point", eps=0.0),
        "few": Balance(of=("codec",), most=1),
    }
    project.build()
    rows = project.rows()
    capped = {key for key, row in rows.items() if row["dropped_by"] == "few"}
    assert any(row["duplicate_of"] in capped for row in rows.values())
    assert sum(row["kept"] for row in rows.values()) == 1


def test_where_what_it_reads_has_stopped_the_last_word_counts(project, pool, tmp_path):
    """A place that fails empties no dataset: who was kept is kept, and what came since waits."""
    file = tmp_path / "file"
    file.touch()
    project.stages = {
        "tone": made.Needy(file=str(file)),
        "point": made.Point(),
        "kind": Cluster(of="point", k=2),
        "few": Balance(of=("tone_step",), most=1),
        "fewer": Balance(of=("kind",), most=3),
    }
    project.where = {"near": "kind_distance < 0.5"}
    project.build()
    before = {key: (row["kept"], row["dropped_by"]) for key, row in project.rows().items()}
    assert {"few", None} <= {by for _, by in before.values()}
    file.unlink()
    project.put("9.mp4", pool[9])
    report = project.build()
    assert report.wrong
    after = {key: (row["kept"], row["dropped_by"]) for key, row in project.rows().items()}
    assert {key: after[key] for key in before} == before
    assert not any(kept for key, (kept, _) in after.items() if key not in before)
    file.touch()
    project.build()
    fresh = Project(tmp_path, project.stages, where=project.where, store=tmp_path / "fresh", videos=project.videos)
    fresh.build()
    assert project.tables() == fresh.tables()


def test_a_difference_of_builds_tells_of_the_cap(project, pool):
    """Whether it was declared otherwise, or more clips of one kind came, or a column changed."""
    project.stages["few"] = Balance(of=("tone_step",), most=2, keep="start_s, duration_s")
    project.build()
    folder = project.store / "datasets" / project.name
    for n in range(6, 12):
        project.put(f"{n}.mp4", pool[n])
    project.build()
    reasons = {flip.reason for flip in diff(folder, *builds(folder)[-2:]).flips}
    assert reasons == {"more clips of its tone_step stand before it"}
    project.stages["few"] = Balance(of=("tone_step",), most=1, keep="start_s, duration_s")
    project.build()
    assert {flip.reason for flip in diff(folder, *builds(folder)[-2:]).flips} == {"stages.few.most 2 → 1"}
