"""What a person is told: how far a build is, what one that was stopped did, what to do next, what can be built."""

import io
import re
import shutil
import time

import numpy as np
import pytest
from footage import video
from made import Pack, Tone, Word
from project import Project, hits, ran

from vbuild.cli.main import run
from vbuild.cli.progress import Watcher
from vbuild.cli.summary import show
from vbuild.declared import CONF
from vbuild.errors import Stopped
from vbuild.report import Progress


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
    """A build that keeps no clip names no query; one that keeps some does; words only if there are captions."""
    project.where = {"none": "tone_mean > 1000"}
    show(project.build())
    assert "next:" not in capsys.readouterr().out
    project.where = {}
    show(project.build())
    assert "next: vbuild query d\n" in capsys.readouterr().out
    project.stages["word"] = Word(of="tone")
    show(project.build())
    assert 'next: vbuild query d "words"\n' in capsys.readouterr().out


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


# while a build runs


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def on_screen(monkeypatch) -> Screen:
    """Standard error as a terminal of 60 columns, from within a test: pytest sets it anew before each."""
    made = Screen()
    monkeypatch.setattr("sys.stderr", made)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    return made


def drawn(screen) -> list[str]:
    """What was drawn, a line each, without what moves and colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n").splitlines()


def test_bars_show_all_and_each_stage(monkeypatch):
    """With the dataset's name over all, counts, a rate, what failed, within the terminal's width."""
    screen = on_screen(monkeypatch)
    monkeypatch.setattr("vbuild.cli.progress.APPEAR", 0.01)
    with Watcher("films") as watcher:
        for done in range(8):
            watcher(Progress("motion", done, 1, 20))
            time.sleep(0.06)
    lines = drawn(screen)
    assert any(re.search(r"^. films +.* 8/20", line) for line in lines)
    assert any(re.search(r"motion .*8/20 .*/s .*1 failed", line) for line in lines)
    assert max(map(len, lines)) <= 60


def test_bars_appear_before_anything_is_done(monkeypatch):
    """A spinner moves though no stage has said anything, and it says for how long."""
    screen = on_screen(monkeypatch)
    monkeypatch.setattr("vbuild.cli.progress.APPEAR", 0.01)
    with Watcher("films"):
        time.sleep(0.6)
    spins = {line.split()[0] for line in drawn(screen) if "films" in line}
    assert len(spins) > 2


def test_what_is_up_to_date_shows_no_bars(monkeypatch):
    """Nothing is drawn in the first moments."""
    screen = on_screen(monkeypatch)
    with Watcher("films"):
        pass
    assert screen.getvalue() == ""


def test_nothing_new_is_said_where_there_is_no_terminal(monkeypatch, capsys):
    """A line tells that the build is alive, what is going on, and since when nothing came."""
    monkeypatch.setattr("vbuild.cli.progress.SILENCE", 0.0)
    with Watcher("films") as watcher:
        watcher(Progress("motion", 3, 0, 9, "/films/long.mp4"))
        time.sleep(1.3)
    assert re.search(
        r"^vbuild: films: motion 3 of 9; nothing new for \d s; longest at long.mp4$",
        capsys.readouterr().err,
        re.MULTILINE,
    )


def test_quiet_shows_nothing(monkeypatch):
    """Neither bars nor lines."""
    screen = on_screen(monkeypatch)
    with Watcher("films", quiet=True) as watcher:
        watcher(Progress("motion", 9, 0, 9))
        time.sleep(0.5)
    assert screen.getvalue() == ""
