"""What `doctor` finds is so, and what is wrong shows in the exit code."""

import json
import os
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


@pytest.mark.parametrize(
    ("code", "state"),
    [("raise RuntimeError('operator torchvision::nms does not exist')", "wrong"), ("", "ok"), (None, None)],
)
def test_a_torchvision_that_does_not_fit_torch_is_found(tmp_path, monkeypatch, capsys, code, state):
    """It is not needed, and with a broken one transformers loads no model: exit code 1, and how to be rid of it."""
    if code is not None:
        package = tmp_path / "site" / "torchvision"
        (package / "transforms" / "v2").mkdir(parents=True)
        (package / "__init__.py").write_text(code)
        for folder in ("transforms", "transforms/v2"):
            (package / folder / "__init__.py").write_text("")
        about = tmp_path / "site" / "torchvision-9.8.7.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 9.8.7\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    told = found(capsys, "--store", str(tmp_path / "store"), code=1 if state == "wrong" else 0)
    one = told.get(("devices", "torchvision"))
    assert (one and one["state"]) == state
    if one is not None:
        assert one["found"].startswith(f"torchvision 9.8.7 beside torch {version('torch')}")
        assert ("transformers loads no model" in one["found"]) == (state == "wrong")
        assert one["remedy"].startswith("pip uninstall torchvision") == (state == "wrong")


def test_a_store_that_is_not_there_is_no_fault(tmp_path, capsys):
    """It is not made either."""
    told = found(capsys, "--store", str(tmp_path / "a" / "b"))
    assert told["store", str(tmp_path / "a" / "b")]["found"] == "not there yet"
    assert not (tmp_path / "a").exists()
    assert run(["doctor", "--store", str(tmp_path / "a")]) == 0
    assert "all is well" in capsys.readouterr().out
