"""What `doctor` finds is so, and what is wrong shows in the exit code."""

import json
from importlib.metadata import version

import pytest
from footage import video
from made import Tone
from project import Project

from vbuild.cli.main import run
from vbuild.media.options import ENCODERS
from vbuild.stages.transcode import Transcode


def found(capsys, *arguments, code=0):
    """What it says, by part and name."""
    assert run(["doctor", "--json", *arguments]) == code
    return {(one["part"], one["what"]): one for one in json.loads(capsys.readouterr().out)}


@pytest.fixture
def project(tmp_path):
    """A store with a dataset of one video."""
    made = Project(tmp_path, {"tone": Tone(), "transcode": Transcode(preset="ultrafast")})
    made.put("one.mp4", video(tmp_path / "one.mp4", seconds=2, fps=8, size=(64, 48)))
    made.build()
    return made


def test_versions_encoders_and_the_store_are_looked_at(project, capsys):
    """A store that is well is said to be so, with what it holds."""
    told = found(capsys, "--store", str(project.store))
    assert told["libraries", "av"]["found"] == version("av")
    assert {name for part, name in told if part == "encoders"} == set(ENCODERS)
    assert told["encoders", "libx264"]["state"] == "ok"
    assert told["store", "datasets"]["found"] == "1, 0 being built now"
    assert told["store", "health"]["state"] == "ok"


def test_what_is_damaged_is_found_and_left_as_it_is(project, capsys):
    """Exit code 1, the remedy, and nothing is changed."""
    for path in (project.store / "blobs").rglob("*.mp4"):
        path.unlink()
    before = sorted(path for path in project.store.rglob("*"))
    told = found(capsys, "--store", str(project.store), code=1)
    (wrong,) = (one for one in told.values() if one["state"] == "wrong" and one["remedy"])
    assert wrong["remedy"] == "vbuild verify --all"
    assert "is gone" in wrong["found"]
    assert sorted(path for path in project.store.rglob("*")) == before


def test_a_store_that_is_not_there_is_no_fault(tmp_path, capsys):
    """It is not made either."""
    told = found(capsys, "--store", str(tmp_path / "a" / "b"))
    assert told["store", str(tmp_path / "a" / "b")]["found"] == "not there yet"
    assert not (tmp_path / "a").exists()
    assert run(["doctor", "--store", str(tmp_path / "a")]) == 0
    assert "all is well" in capsys.readouterr().out
