"""An executor can be closed at any time, as a person's Ctrl-C does."""

import subprocess
import sys

from processes import running, until

from vbuild.config import Limits
from vbuild.executor.config import Local
from vbuild.executor.local import Processes
from vbuild.executor.work import Task
from vbuild.store.blobs import Blobs


def test_workers_end_without_a_word_though_works_wait(tmp_path):
    """Works that were handed over a moment before do not trip the threads that look after the workers."""
    for _ in range(4):
        processes = Processes(Local(workers=1), Blobs(tmp_path), "b", Limits())
        processes.submit(0, Task("u", 0, (), ()))
        assert processes.next()[0] == 0
        for ticket in (1, 2):
            processes.submit(ticket, Task("u", 0, (), ()))
        processes.close()


CODE = """
import os, sys, time
from pathlib import Path
from vbuild.config import Limits
from vbuild.executor.config import Local
from vbuild.executor.local import Processes
from vbuild.executor.work import Task
from vbuild.store.blobs import Blobs
processes = Processes(Local(workers=2), Blobs(Path(sys.argv[1])), "b", Limits())
processes.submit(0, Task("u", 0, (), ()))
processes.next()
print(*Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(), flush=True)
time.sleep(100)
"""


def test_idle_workers_end_with_a_build_that_is_killed(tmp_path):
    """Though nothing comes for them to do, and nothing tells them."""
    with subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        workers = process.stdout.readline().split()
        assert len(workers) >= 2
        process.kill()
    until(lambda: not any(map(running, workers)))
