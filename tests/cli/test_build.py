"""A build from the command line: by a bare name, quietly, in full, and as JSON."""

import json

import pytest
from footage import video

from vbuild.cli.main import run

DATASET = """\
# @package _global_
# A film and what is none
source: {path: videos}
split: {length: 1, min: 0.5}
stages:
  tone: {_target_: made.Tone}
  needy: {_target_: made.Point, fails: 255, of: null}
executor: {workers: 0}
failures: {tolerate: 1}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with a dataset `films` of one video, of which one stage fails on every clip."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "films.yaml").write_text(DATASET)
    video(tmp_path / "videos" / "a.mp4", seconds=2, fps=8, size=(64, 48))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VBUILD_STORE", raising=False)
    return tmp_path


def test_a_bare_name_is_the_dataset(here, capsys):
    """NAME means +dataset=NAME, with keys on either side."""
    assert run(["plan", "films", "--json"]) == 0
    bare = json.loads(capsys.readouterr().out)
    assert run(["plan", "+dataset=films", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert {**bare, "seconds": 0} == {**whole, "seconds": 0}
    assert bare["dataset"] == "films"
    assert run(["plan", "source.limit=0.5e1", "films", "--check"]) == 3


def test_quiet_says_only_what_went_wrong(here, capsys):
    """No progress, no summary: what makes the build fail, and the exit code."""
    assert run(["build", "films", "-q"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["vbuild: needy failed on all 2 actions that it tried"]
    assert run(["build", "films", "stages.needy=null", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_verbose_tells_every_step_and_each_failure_in_full(here, capsys):
    """Where the record lies, and the traceback of what failed."""
    assert run(["build", "films", "-v"]) == 1
    out, err = capsys.readouterr()
    assert f"record: {here / 'cache' / 'runs'}" in out
    assert out.count("Traceback (most recent call last)") == 2
    assert "vbuild: tone: 2 of 2" in err


def test_a_build_as_json_is_its_report(here, capsys):
    """All of it is one document, and the exit code is as ever."""
    assert run(["+dataset=films", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {stage["name"]: stage["ran"] for stage in told["stages"]}["tone"] == 2
    assert told["wrong"] == ["needy failed on all 2 actions that it tried"]
