"""The pairs of an embedding are known among what was compared, whoever compared it and whatever left the store."""

import made
import pytest
from project import Project, ran

from vbuild.decisions.dedup import Dedup
from vbuild.digest import keys_of
from vbuild.executor.config import Local
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


def test_nothing_is_compared_twice(project, pool, monkeypatch):
    """Old vectors are compared with new ones only."""
    from vbuild.decisions import duplicates

    sizes = []
    near = duplicates.near_pairs
    monkeypatch.setattr(
        duplicates, "near_pairs", lambda v, fresh, reach: sizes.append((len(v), fresh.sum())) or near(v, fresh, reach)
    )
    project.again()
    assert sizes == []
    project.put("1.mp4", pool[0])
    project.build()
    ((all_, fresh),) = sizes
    assert 0 < fresh < all_
    project.local, project.shard = Local(workers=0), 1
    project.stages["dedup"] = Dedup(of="point", eps=0.5)
    project.build()
    assert len(sizes) == 1
