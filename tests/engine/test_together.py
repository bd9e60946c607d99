"""Builds at once on one store agree, and a build that is killed costs nothing but what it had not stored."""

import os
import re
import subprocess
import sys
import time

import made
import pytest
from processes import go, starting
from project import Project, ran

from vbuild.decisions.dedup import Dedup
from vbuild.store.locks import lock_of, locked

STAGES = {
    "tone": made.Tone(),
    "point": made.Point(),
    "dedup": Dedup(of="point", eps=0.1),
    "word": made.Word(of="tone"),
    "pack": made.Pack(),
}

CODE = """
import sys
from pathlib import Path
from project import Project
from test_together import STAGES
videos = Path(sys.argv[3]) if sys.argv[3:] else None
project = Project(Path(sys.argv[1]), STAGES, name=sys.argv[2], videos=videos)
print("ready", flush=True)
sys.stdin.read(1)
project.build()
print("built", flush=True)
"""


def builder(root, name, *videos):
    """A process that is ready to build a dataset, of other videos perhaps, and does at a sign."""
    return starting("engine", CODE, root, name, *videos)


@pytest.fixture
def project(tmp_path, pool):
    """Eight videos, nothing built."""
    project = Project(tmp_path, STAGES, name="one")
    for n in range(8):
        project.put(f"{n}.mp4", pool[n])
    return project


def fresh(project, root):
    """The tables of a build from nothing."""
    other = Project(root, STAGES, store=root / "fresh", name=project.name, videos=project.videos)
    other.build()
    return other.tables()


@pytest.mark.parametrize(
    "names", [("one", "two"), ("one", "one"), ("one", "two", "three"), ("one", "one", "two", "two")], ids=" ".join
)
def test_builds_at_once_agree(project, tmp_path, names):
    """From an empty store: of several datasets over it, of one dataset twice, and of both together."""
    processes = [builder(tmp_path, name) for name in names]
    go(processes)
    said = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(names), said
    wanted = fresh(project, tmp_path)
    for name in names:
        built = Project(tmp_path, STAGES, name=name)
        assert built.tables() == wanted
        assert not ran(built.again())
        assert built.tables() == wanted


def test_builds_at_once_compare_what_either_brings(tmp_path, pool):
    """Two datasets of other videos with one recipe: each is right, and of both no vector is left to compare."""
    halves = [Project(tmp_path, STAGES, name=name, videos=tmp_path / name) for name in ("one", "two")]
    for n in range(12):
        halves[n % 2].put(f"{n}.mp4", pool[n])
    processes = [builder(tmp_path, half.name, half.videos) for half in halves]
    go(processes)
    said = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    for half in halves:
        assert half.tables() == fresh(half, tmp_path / half.name)
    both = Project(tmp_path, STAGES, name="both")
    for n in range(12):
        both.put(f"{n}.mp4", pool[n])
    report = both.build()
    assert not ran(report).keys() & {"tone", "point"}
    assert [decided.new for decided in report.decisions] == [0]
    assert both.tables() == fresh(both, tmp_path / "both")


def test_builds_of_one_dataset_take_turns(project, tmp_path):
    """One of three runs every action, and the others find that nothing is left to do."""
    processes = [builder(tmp_path, "one") for _ in range(3)]
    go(processes)
    said = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, said
    assert len(list((project.store / "runs").iterdir())) == 1


def test_a_build_that_waits_says_for_whom(project, tmp_path):
    """The process that holds the dataset, where it runs, since when, and by which file."""
    with locked(lock_of(project.store / "datasets" / "one")):
        process = builder(tmp_path, "one")
        go([process])
        told = process.stderr.readline()
        assert process.poll() is None
    assert process.communicate(timeout=100)[0] == "built\n"
    said = rf"vbuild: waiting for process {os.getpid()} on \S+ since [\d :-]+, which holds \S+/datasets/\.one\.lock\n"
    assert re.fullmatch(said, told), told


def test_the_next_goes_on_when_the_holder_dies(project, tmp_path):
    """A lock is not left behind by a build that is killed; what it had stored is not run again."""
    first, second = builder(tmp_path, "one"), builder(tmp_path, "one")
    go([first])
    lock = project.store / "datasets" / ".one.lock"
    while not lock.exists() or not lock.read_text():
        time.sleep(0.01)
    go([second])
    time.sleep(0.2)
    first.kill()
    first.communicate(timeout=100)
    assert second.communicate(timeout=100)[0] == "built\n"
    assert project.tables() == fresh(project, tmp_path)


def test_a_build_and_a_restore_take_turns(project):
    """What brings a dataset back waits for the build that writes it."""
    project.build()
    folder = project.store / "datasets" / "one"
    restoring = "from vbuild.maintenance.history import restore; restore(*map(p.Path, sys.argv[1:]), 'last')"
    code = f"import sys, pathlib as p; {restoring}"
    with locked(lock_of(folder)):
        process = subprocess.Popen([sys.executable, "-c", code, str(project.store), str(folder)])
        time.sleep(1.5)
        assert process.poll() is None
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.2, 0.4])
def test_a_build_that_is_killed_is_finished_by_the_next(project, tmp_path, delay):
    """Whenever it dies; and what it left half done is never read."""
    process = builder(tmp_path, "one")
    go([process])
    time.sleep(delay)
    process.kill()
    process.communicate(timeout=100)
    project.build()
    assert project.tables() == fresh(project, tmp_path)
    assert project.again().up_to_date
