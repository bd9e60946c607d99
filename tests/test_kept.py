"""Moving code changes no recipe and no stored result: a store that was built before still hits, all of it."""

import shutil
from dataclasses import replace

import kept
import made
import pytest
from project import ran

from vbuild.decisions.decision import Decision
from vbuild.recipes import recipe
from vbuild.stages.probe import Probe


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The archive laid out, and what the tables held."""
    root = tmp_path_factory.mktemp("kept")
    return root, kept.unpack(root)


@pytest.fixture
def root(old, tmp_path):
    """A copy of its own of the old store, and its video."""
    shutil.copytree(old[0], tmp_path / "root")
    return tmp_path / "root"


def raised(root):
    """The stages of which a version is higher than that of what is kept, by what the store calls them, with numbers."""
    kept_notes = kept.notes(root / "store")
    stages = {s.title(): s for p in kept.projects(root) for s in kept.instances(p).values()}
    return {t: up for t, s in stages.items() if t in kept_notes and (up := kept.raised(s, kept_notes[t]))}


def excused(project, up):
    """The instances of a dataset that may run: those that are raised, and all that reads of these."""
    stages = kept.instances(project)
    may = {name for name, stage in stages.items() if stage.title() in up}
    for _ in stages:
        for name, stage in stages.items():
            of = [stage.of] if isinstance(stage.of, str) else list((stage.of or {}).values())
            implied = ["probe"] if any(port.rstrip("?") == "probe" for port in stage.reads) else []
            clips = ["split"] if stage.scope == "clip" else []
            may |= {name} if may & {*of, *implied, *clips} else set()
    return may


def test_all_of_an_old_store_hits(root, old):
    """Nothing runs but what was raised on purpose, nothing is stored anew, and the tables hold what they held."""
    before, up, titles = kept.rows(root / "store"), raised(root), set()
    made.CALLS.clear()
    for project in kept.projects(root):
        may = excused(project, up)
        titles |= {kept.instances(project)[name].title() for name in may}
        report = project.build()
        assert ran(report).keys() <= may, f"{project.name}: no version was raised, and these ran"
        assert {count.name for count in report.stages} == kept.instances(project).keys()
        assert all(count.hits > 0 and not count.failed for count in report.stages if count.name not in may)
        if not may:
            assert kept.shown(project, root) == old[1][project.name]
    after = kept.rows(root / "store")
    assert before.items() <= after.items()
    assert {title for title, _, _ in after.keys() - before.keys()} <= titles
    assert up or not made.CALLS


def test_what_is_kept_is_of_the_versions_of_today(root):
    """Else less hits than could: run tools/keep, which makes anew what was raised, and nothing else."""
    assert raised(root) == {}, "run tools/keep"


def test_every_kind_of_stage_is_kept(root):
    """All that the datasets here declare, under the ids that they have now."""
    kept_notes = kept.notes(root / "store")
    now = {s.title(): recipe(s).id for p in kept.projects(root) for s in kept.instances(p).values()}
    assert {title: note.id for title, note in kept_notes.items()} == now, "run tools/keep"
    assert any(isinstance(s, Decision) for s in kept.STAGES.values())
    assert kept.ARCHIVE.stat().st_size < 200_000


@pytest.mark.parametrize("name", ["motion", "transcode", "/probe"])
def test_a_raised_version_is_told_and_excuses_its_readers_alone(root, monkeypatch, name):
    """By name and numbers; the others must hit all the same."""
    stage = type(kept.STAGES.get(name, Probe()))
    then = stage.version
    monkeypatch.setattr(stage, "version", then + 1)
    assert raised(root) == {stage.title(): f"version {then} → {then + 1}"}
    project = kept.projects(root)[0]
    readers = {"motion": {"motion", "described"}, "transcode": {"transcode"}}
    if name in readers:
        assert excused(project, raised(root)) == readers[name]
        assert name in ran(project.build()).keys() <= readers[name]
    else:
        assert excused(project, raised(root)) >= {"probe", "split", "motion", "opened"}


def test_a_recipe_that_moved_under_its_version_runs(root, monkeypatch):
    """Of which `test_all_of_an_old_store_hits` would tell."""
    project = kept.projects(root)[0]
    project.stages["motion"] = replace(project.stages["motion"], fps=3.0)
    assert excused(project, raised(root)) == set()
    assert "motion" in ran(project.build())
    monkeypatch.setattr(made.Pack, "title", classmethod(lambda cls: "made.Packed"))
    assert ran(kept.projects(root)[0].build()).keys() >= {"pack"}
