"""Columns say what they are and in which unit, in the tables themselves, read from what stages say of themselves."""

import json

import lance
import numpy as np
import pytest
from footage import video
from made import Tone, Word
from project import TABLES, Project

from vbuild.cli.main import run
from vbuild.contract import member_class
from vbuild.dataset.told import about
from vbuild.described import shipped
from vbuild.stage import by_parameters
from vbuild.stages.motion import Motion
from vbuild.stages.transcode import Transcode


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    made = Project(folder, {"tone": Tone(), "move": Motion(), "word": Word(of="tone"), "file": Transcode()})
    film = video(
        folder / "a.mp4", seconds=2, fps=8, size=(64, 48), picture=lambda at: np.full((48, 64, 3), 90, np.uint8)
    )
    made.put("a.mp4", film)
    made.build()
    return made


def told(project, table):
    """Column → what it says of itself."""
    schema = lance.dataset(str(project.store / "datasets" / "d" / f"{table}.lance")).schema
    return {f.name: {k.decode(): v.decode() for k, v in (f.metadata or {}).items()} for f in schema}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_says_what_it_is(project, table):
    """In words."""
    assert {name for name, said in told(project, table).items() if not said.get("about")} == set()


def test_units_and_stages_stand_beside_it(project):
    """As the stage's docstring has it, and no copy of it."""
    found = told(project, "clips")
    assert found["start_s"]["unit"] == "s"
    assert found["move_mean"] == {"about": about(Motion, "mean"), "stage": "motion 2"}
    assert "over all pixels and frames" in found["move_mean"]["about"]
    assert found["file_bytes"]["unit"] == "bytes"
    assert found["file_uri"]["about"].startswith("Where in the store the file is")
    assert found["tone_mean"]["stage"] == "made.Tone 1"


@pytest.mark.parametrize("name", [n for n, one in shipped().items() if one.kind == "stage"])
def test_every_column_of_every_stage_has_words(name):
    """Some sentence of its docstring."""
    one = shipped()[name]
    cls = member_class(one.target, name)
    for field in () if by_parameters(cls) else cls.writes:
        said = about(cls, field)
        assert said
        assert len(said) < 700
        assert not said.startswith("-")


def test_show_tells_it(project, capsys):
    """In the table and as JSON."""
    assert run(["show", "d", "--store", str(project.store), "--json"]) == 0
    (clips,) = (t for t in json.loads(capsys.readouterr().out)["tables"] if t["name"] == "clips")
    columns = {c["name"]: c for c in clips["columns"]}
    assert columns["move_mean"]["about"] == about(Motion, "mean")
    assert run(["show", "d", "--store", str(project.store)]) == 0
    assert about(Motion, "mean") in capsys.readouterr().out


def test_other_words_rewrite_no_value(project, monkeypatch):
    """When a stage's docstring says it otherwise, the tables do so after a build, with the same files."""
    folder = project.store / "datasets" / "d" / "clips.lance" / "data"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    monkeypatch.setattr(Tone, "__doc__", "How light it is.\n\n`mean`: of all pixels.")
    report = project.again()
    assert report.changed == {"clips": {"added": 0, "updated": 0, "deleted": 0}}
    assert told(project, "clips")["tone_mean"]["about"] == "of all pixels"
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert project.again().build is None
