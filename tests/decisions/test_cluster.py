"""Clusters are columns of a dataset that follow from its clips, whatever came first."""

import os
from dataclasses import replace

import made
import numpy as np
import pytest
from project import Project, dropped, ran

from vbuild.config import checked
from vbuild.decisions.balance import Balance
from vbuild.decisions.cluster import Cluster
from vbuild.decisions.decision import Decision
from vbuild.decisions.dedup import Dedup
from vbuild.errors import UsageError
from vbuild.plan.order import arrange
from vbuild.stage import Stage
from vbuild.store import clusters

STAGES = {"tone": made.Tone(), "point": made.Point(), "kind": Cluster(of="point", k=3)}


def placed(project):
    """The columns of the clusters."""
    return {key: (row["kind"], row["kind_distance"]) for key, row in project.rows().items()}


@pytest.fixture
def project(tmp_path, pool):
    """Clips of six videos."""
    project = Project(tmp_path, STAGES)
    for n in range(6):
        project.put(f"{n}.mp4", pool[n])
    return project


def test_it_is_a_decision_that_makes_columns():
    """It has no version, and what it makes is no result of a stage."""
    assert not issubclass(Cluster, Stage)
    embed = {"_target_": "vbuild.stages.perceptual.Perceptual"}
    config = checked(
        {
            "source": {"path": "x"},
            "split": {"_target_": "vbuild.split.fixed_stride.FixedStride"},
            "stages": {"e": embed, "c": {"_target_": "vbuild.decisions.cluster.Cluster", "of": "e", "k": 5}},
        },
        declared="d",
    )
    assert config.under(Decision) == {"c": Cluster(of="e", k=5)}
    assert list(Cluster.adds) == ["", "distance"]


def test_clips_of_a_kind_are_together(project):
    """Clips of one colour have one number; each has the distance to its middle, and no stage ran for it."""
    report = project.build()
    assert "kind" not in ran(report)
    rows = project.rows()
    by_vector = {}
    for row in rows.values():
        by_vector.setdefault(tuple(row["point"]), set()).add((row["kind"], row["kind_distance"]))
    assert all(len(found) == 1 for found in by_vector.values())
    assert {row["kind"] for row in rows.values()} == {0, 1, 2}
    middles = {}
    for row in rows.values():
        middles.setdefault(row["kind"], set()).add(tuple(row["point"]))
    for row in rows.values():
        mine = np.array(row["point"])
        middle = np.sum(list(middles[row["kind"]]), axis=0)
        cosine = mine @ middle / np.linalg.norm(middle) / np.linalg.norm(mine)
        assert row["kind_distance"] == pytest.approx(1 - cosine, abs=2e-6)


def test_the_order_of_arrival_changes_nothing(project, pool, tmp_path):
    """Videos that came one by one, in another order and in shards, are in the clusters of those built at once."""
    project.build()
    slow = Project(tmp_path / "slow", STAGES)
    slow.shard = 1
    for n in (4, 1, 5, 0, 3, 2):
        slow.put(f"{n}.mp4", pool[n])
        slow.build()
    assert placed(slow) == placed(project)


def test_what_is_known_is_not_computed_again(project, pool, monkeypatch):
    """A build in which nothing changed asks for no vector; a clip that falls and returns costs nothing."""
    from vbuild.near import kmeans

    seen = []
    nearest = kmeans.nearest
    monkeypatch.setattr(kmeans, "nearest", lambda v, m: seen.append(len(v)) or nearest(v, m))
    project.build()
    before, first = placed(project), sum(seen)
    assert first > 0
    seen.clear()
    project.again()
    assert seen == []
    gone = (project.videos / "5.mp4").rename(project.store / "away.mp4")
    project.build()
    seen.clear()
    gone.rename(project.videos / "5.mp4")
    project.build()
    assert seen == []
    assert placed(project) == before


def test_centroids_of_a_file_hold_clusters_fast(project, pool, tmp_path):
    """What a build found may be given to others: then a clip stays where it is, whatever comes."""
    project.build()
    (file,) = (project.store / "clusters").glob("*/*.npy")
    kept = tmp_path / "kinds.npy"
    kept.write_bytes(file.read_bytes())
    project.stages["kind"] = Cluster(of="point", centroids=kept)
    project.build()
    before = placed(project)
    for n in range(6, 12):
        project.put(f"{n}.mp4", pool[n])
    project.build()
    assert {key: value for key, value in placed(project).items() if key in before} == before
    moved = np.load(kept)[::-1]
    np.save(kept, moved)
    os.utime(kept, (5, 5))
    project.build()
    assert {key: 2 - value for key, (value, _) in before.items()} == {
        key: value for key, (value, _) in placed(project).items() if key in before
    }


@pytest.mark.parametrize(
    ("centroids", "k", "said"),
    [
        (np.ones((2, 5), np.float32), None, "they have 5 numbers each, and the vectors 4"),
        (np.zeros((2, 4), np.float32), None, "a row of zeros"),
        (np.ones(4, np.float32), None, "rows of numbers are needed"),
        (np.ones((2, 4), np.float32), 3, "holds 2 centroids"),
        (None, None, "it is no .npy file"),
    ],
)
def test_centroids_that_do_not_fit_are_refused(project, tmp_path, centroids, k, said):
    """With the key, and what is wrong."""
    file = tmp_path / "c.npy"
    if centroids is None:
        file.write_text("words")
    else:
        np.save(file, centroids)
    project.stages["kind"] = Cluster(of="point", centroids=file, k=k)
    with pytest.raises(UsageError, match=rf"^stages\.kind\..*{said}"):
        project.build()


def test_conditions_and_orders_read_its_columns(project):
    """A predicate stands behind it; a dedup that keeps by distance, and a cap, too."""
    project.stages["dedup"] = Dedup(of="point", eps=0.0, keep="kind_distance desc")
    project.where = {"far": "kind_distance < 0.002", "one": "kind in (0, 1)"}
    report = project.build()
    assert [d.name for d in report.decisions] == ["kind", "far", "one", "dedup"]
    rows = project.rows().values()
    assert all(row["kind_distance"] >= 0.002 for row in rows if row["dropped_by"] == "far")
    assert all(row["kind_distance"] < 0.002 and row["kind"] < 2 for row in rows if row["kept"])
    assert {"far", "one"} <= dropped(project).keys()


def test_a_clip_without_a_vector_is_in_none(project):
    """Nor is one that was dropped before; neither is judged by a cap."""
    project.stages |= {"point": made.Point(fails=115.0), "few": Balance(of=("kind",), most=1)}
    project.where = {"bright": "tone_mean < 160"}
    project.build()
    rows = project.rows().values()
    none = [row for row in rows if row["point"] is None]
    assert none
    assert all(row["kind"] is None and row["kind_distance"] is None for row in none)
    assert any(row["kept"] for row in none)
    assert all(row["dropped_by"] != "few" for row in none)
    assert any(row["dropped_by"] == "bright" for row in none)


def test_a_plan_tells_what_is_open(project, pool):
    """Before the vectors are there, clusters, what reads them and what stands behind are not known; then they are."""
    project.stages |= {"few": Balance(of=("kind",), most=1), "word": made.Word(of="tone")}
    first = project.plan()
    assert {d.name: d.places for d in first.decisions}["kind"] == {}
    project.build()
    project.where = {"one": "kind = 0"}
    known = project.plan()
    assert {d.name: d.dropped for d in known.decisions}["one"] > 0
    project.put("9.mp4", pool[9])
    grown = project.plan()
    decided = {d.name: (d.dropped, d.unknown) for d in grown.decisions}
    assert decided["few"][1] > 0
    counts = {stage.name: stage for stage in grown.stages}
    assert counts["word"].unknown > 0 or counts["word"].unsplit > 0


def test_a_plan_writes_nothing(project):
    """Of clusters that it has to compute."""
    del project.stages["kind"]
    project.build()
    project.stages["kind"] = STAGES["kind"]
    plan = project.plan()
    assert sum({d.name: d.places for d in plan.decisions}["kind"].values()) == plan.kept
    assert not (project.store / "clusters").exists()


def test_what_cannot_be_read_is_computed_anew(project):
    """A damaged memory is none."""
    project.build()
    before = placed(project)
    for path in (project.store / "clusters").glob("*/*"):
        path.write_bytes(b"damaged")
    project.again()
    assert placed(project) == before
    (path,) = (project.store / "clusters").glob("*/*.npy")
    assert np.load(path).shape == (3, 4)


def test_few_sets_of_centroids_are_remembered(project, monkeypatch):
    """Those that were used last."""
    monkeypatch.setattr(clusters, "KEPT", 2)
    for seed in range(4):
        project.stages["kind"] = Cluster(of="point", k=3, seed=seed)
        project.build()
    assert len([*(project.store / "clusters").glob("*/*.npy")]) == 2
    assert len([*(project.store / "clusters").glob("*/*.arrow")]) == 2


def test_how_many_there_are_follows_from_how_many_vectors(project):
    """Their square root, unless `k` says it."""
    project.stages["kind"] = Cluster(of="point")
    project.build()
    rows = project.rows().values()
    vectors = {tuple(row["point"]) for row in rows}
    assert {row["kind"] for row in rows} == set(range(round(len(vectors) ** 0.5)))


@pytest.mark.parametrize("wrong", [{"k": 0}, {"sample": 0}, {"rounds": 0}, {"k": 10, "sample": 5}, {"seed": -1}])
def test_what_cannot_be_is_refused(wrong):
    """By name."""
    with pytest.raises(UsageError, match=rf"^{next(iter(wrong))}="):
        Cluster(of="e", **wrong)


def test_it_wants_vectors(project):
    """Of an instance that is there and writes some."""
    for of, said in (("tone", "writes no vector"), ("pint", "did you mean 'point'")):
        config = replace(project.config(), stages={**project.stages, "kind": Cluster(of=of)})
        with pytest.raises(UsageError, match=rf"stages\.kind\.of={of}: .*{said}"):
            arrange(config)
