"""The pairs of an embedding are known among what was compared, whoever compared it and whatever left the store."""

import made
import numpy as np
import pytest
from project import Project, ran

from vbuild.decisions.dedup import Dedup
from vbuild.digest import keys_of
from vbuild.executor.config import Local
from vbuild.near.centroids import sampled, unit
from vbuild.near.kmeans import centroids
from vbuild.recipes import recipe
from vbuild.stage import outputs
from vbuild.store.actions import Actions

STAGES = {"tone": made.Tone(), "point": made.Point(), "dedup": Dedup(of="point", eps=0.9)}


def vectors(project):
    """The stored results of the embedding."""
    return Actions(project.store).results(recipe(made.Point()), outputs(made.Point()))


@pytest.fixture
def project(tmp_path, pool):
    """Clips of which all are near one another, of one video."""
    project = Project(tmp_path, STAGES)
    project.put("0.mp4", pool[2])
    project.build()
    return project


def test_a_vector_that_left_the_store_and_comes_back_is_compared_anew(project, pool, tmp_path):
    """What came meanwhile could not be compared with it."""
    path = (project.videos / "0.mp4").rename(tmp_path / "away.mp4")
    held = vectors(project)
    held.delete(keys_of(held.dataset.to_table(columns=["key"])["key"]))
    project.put("1.mp4", pool[3])
    project.put("2.mp4", pool[0])
    project.build()
    path.rename(project.videos / "0.mp4")
    assert ran(project.build())["point"] > 0
    fresh = Project(tmp_path, STAGES, store=tmp_path / "fresh", videos=project.videos)
    fresh.build()
    assert project.tables() == fresh.tables()


def test_vectors_that_another_build_added_meanwhile_are_compared_with(project, pool, tmp_path):
    """Another dataset is built, and compared, between this one's look at the store and its dedup."""
    del project.stages["dedup"]
    project.put("1.mp4", pool[3])
    project.build()
    project.stages |= {**STAGES, "tone": made.Tone(gain=2.0)}
    other = Project(tmp_path, STAGES, store=project.store, name="other", videos=tmp_path / "other")
    other.put("2.mp4", pool[0])
    told = []

    def meanwhile(progress):
        if progress.stage == "tone" and not told:
            told.append(progress)
            other.build()

    assert "point" not in ran(project.build(watch=meanwhile))
    project.put("2.mp4", pool[0])
    project.build()
    fresh = Project(tmp_path, project.stages, store=tmp_path / "fresh", videos=project.videos)
    fresh.build()
    assert told
    assert project.tables() == fresh.tables()


def told(report):
    """How many vectors were, or would be, compared, and with how many that were before."""
    (decided,) = report.decisions
    return decided.new, decided.known


def distinct(project):
    """How many different vectors there are."""
    return len(np.unique(keys_of(vectors(project).dataset.to_table()["digest__value"])))


def test_nothing_is_compared_twice(project, pool):
    """Old vectors are compared with new ones only, and with a narrower eps, another order or rule none at all."""
    first = distinct(project)
    assert told(project.again()) == (0, first)
    project.put("1.mp4", pool[0])
    assert told(project.build()) == (distinct(project) - first, first)
    assert distinct(project) > first
    everything = (0, distinct(project))
    project.local, project.shard = Local(workers=0), 1
    for changed in ({"eps": 0.5}, {"keep": "tone_mean"}, {"keep": "random"}, {"rule": "components"}):
        project.stages["dedup"] = Dedup(of="point", **{"eps": 0.9, **changed})
        assert told(project.build()) == everything


def test_a_plan_says_what_it_would_compare_and_does_not(project, pool):
    """What stands behind is unknown until then."""
    assert told(project.plan()) == (0, distinct(project))
    assert project.plan().up_to_date
    project.stages |= {"dedup": Dedup(of="point", eps=0.95), "pack": made.Pack()}
    before = sorted(path.name for path in project.store.rglob("*"))
    planned = project.plan()
    assert told(planned) == (distinct(project), 0)
    assert planned.decisions[0].unknown == planned.clips
    assert not planned.up_to_date
    pack = next(stage for stage in planned.stages if stage.name == "pack")
    assert (pack.ran, pack.unknown) == (0, planned.clips)
    assert sorted(path.name for path in project.store.rglob("*")) == before
    assert told(project.build()) == (distinct(project), 0)
    assert told(project.plan()) == (0, distinct(project))


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_what_lies_far_from_its_centroid_is_kept_first_or_last(tmp_path, pool, keep):
    """Distances are found once, and a plan knows them then."""
    project = Project(tmp_path, {**STAGES, "dedup": Dedup(of="point", eps=0.9, keep=keep, clusters=1)})
    for n in range(3):
        project.put(f"{n}.mp4", pool[n])
    assert project.plan().decisions[0].dropped == 0
    project.build()
    table = vectors(project).dataset.to_table()
    wanted = keys_of(table["digest__value"])
    points = unit(np.stack(table["value"].to_pylist()))
    _, once = np.unique(wanted, return_index=True)
    sample = points[once][sampled(wanted[once], 100)].astype(np.float32)
    middle = centroids(sample, 1, seed=None, rounds=4)[0]
    far = np.round(1 - points @ middle, 6)
    clips = project.rows().values()
    rows = {tuple(point): distance for point, distance in zip(table["value"].to_pylist(), far, strict=True)}
    distances = {row["clip_id"]: rows[tuple(row["point"])] for row in clips}
    best = (max if keep == "hard" else min)(distances.values())
    assert {distances[row["clip_id"]] for row in clips if row["kept"]} == {best}
    planned = project.plan()
    assert planned.decisions[0].dropped == sum(not row["kept"] for row in clips) > 0
    assert planned.up_to_date
