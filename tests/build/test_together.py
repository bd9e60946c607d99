"""Builds at once on one store agree, and a build that is killed costs nothing but what it had not stored."""

import os
import subprocess
import sys
import time
from pathlib import Path

import made
import pytest
from project import Project, ran

from vbuild.stages.dedup import Dedup

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
project = Project(Path(sys.argv[1]), STAGES, name=sys.argv[2])
print("ready", flush=True)
sys.stdin.read(1)
project.build()
print("built", flush=True)
"""


def builder(root, name):
    """A process that is ready to build a dataset, and does at a sign."""
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests.parent), str(tests), str(tests / "build")])
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(root), name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def go(processes):
    """Sends them off together, when all are ready."""
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        process.stdin.write("g")
        process.stdin.flush()


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


@pytest.mark.parametrize("names", [("one", "two"), ("one", "one")])
def test_builds_at_once_agree(project, tmp_path, names):
    """Of two datasets over one store, and of one dataset twice."""
    processes = [builder(tmp_path, name) for name in names]
    go(processes)
    said = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    wanted = fresh(project, tmp_path)
    for name in names:
        built = Project(tmp_path, STAGES, name=name)
        assert built.tables() == wanted
        assert not ran(built.again())
        assert built.tables() == wanted


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
