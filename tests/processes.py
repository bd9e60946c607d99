"""What tests ask of processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parent


def starting(folder, code, *words):
    """A process that runs code, with the modules of the tests and of one of their folders, and waits for a sign."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), str(TESTS / folder)])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
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


def until(look, seconds=30.0):
    """What is seen when there is something to see."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


def running(pid):
    """Whether a process is there, and no mere zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
