"""What a person is told: how far a build is, what one that was stopped did, what to do next, what can be built."""

import shutil

import numpy as np
import pytest
from footage import video
from made import Pack, Tone
from project import Project, hits, ran

from vbuild.cli.main import run
from vbuild.cli.summary import show
from vbuild.declared import CONF
from vbuild.errors import Stopped


@pytest.fixture
def project(tmp_path):
    """Two videos, each of a dark second and two bright ones."""

    def picture(at):
        return np.full((48, 64, 3), 40 if at < 1 else 150 + 20 * int(at), np.uint8)

    made = Project(tmp_path, {"tone": Tone()})
    for seed in range(2):
        made.put(f"{seed}.mp4", video(tmp_path / f"{seed}.mp4", seconds=3, fps=8, seed=seed, picture=picture))
    return made


def test_no_stage_does_more_than_it_was_to_do(project):
    """Where two stages of one recipe share the work, each is said to have done its own part of it, and no more."""
    project.stages |= {"lit": Pack(level=100), "every": Pack(level=100, clips="all")}
    project.where = {"bright": "tone_mean > 100"}
    told = []
    report = project.build(watch=told.append)
    assert all(one.done + one.failed <= one.known for one in told)
    last = {one.stage: (one.done, one.known) for one in told}
    clips = report.clips
    assert clips > report.kept > 0
    assert last["lit"][0] + last["every"][0] == clips
    assert {name: done for name, (done, known) in last.items() if done == known} == ran(report)


def test_a_build_that_is_stopped_tells_what_it_did(project, capsys):
    """Its summary counts what was committed, which the next build finds, and points to nothing that is not there."""

    def stop(progress):
        if progress.stage == "tone":
            raise KeyboardInterrupt

    with pytest.raises(Stopped) as stopped:
        project.build(watch=stop)
    did = ran(stopped.value.report)["tone"]
    assert did > 0
    show(stopped.value.report)
    said = capsys.readouterr().out
    assert "next:" not in said
    assert str(project.store) not in said
    assert hits(project.build())["tone"] == did


def test_what_is_next_is_said_where_there_is_something(project, capsys):
    """A build that keeps no clip names no query; one that keeps some does."""
    project.where = {"none": "tone_mean > 1000"}
    show(project.build())
    assert "next:" not in capsys.readouterr().out
    project.where = {}
    show(project.build())
    assert 'next: vbuild query d "words"' in capsys.readouterr().out


def listed(capsys) -> list[str]:
    """The lines in which the demo is listed."""
    assert run(()) == 0
    return [line for line in capsys.readouterr().out.splitlines() if line.split()[0] == "demo"]


def test_a_dataset_is_listed_once(tmp_path, monkeypatch, capsys):
    """A packaged dataset of which `./conf` holds a copy is listed once; another of its name is said to be hidden."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CONF, tmp_path / "conf")
    (line,) = listed(capsys)
    assert "hidden" not in line
    (tmp_path / "conf" / "dataset" / "demo.yaml").write_text("# Mine\n")
    (line,) = listed(capsys)
    assert "yours of that name is hidden" in line
