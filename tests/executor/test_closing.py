"""An executor can be closed at any time, as a person's Ctrl-C does."""

import os
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


PRESS = """
import os, signal
if os.environ.get("PRESSED"):
    os.kill(os.getpid(), signal.SIGINT)
"""

START = """
import os, sys
from pathlib import Path
from vbuild.executor.pool import pool
os.environ["PRESSED"] = "1"
workers = pool(1, Path(sys.argv[1]), 1, None, {})
print(workers.submit(len, "four").result())
workers.shutdown(wait=True)
"""


def test_workers_that_start_do_not_hear_of_ctrl_c(tmp_path):
    """One that comes while Python itself starts, long before any code of ours, has them say nothing and work."""
    (tmp_path / "sitecustomize.py").write_text(PRESS)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    env = {**os.environ, "PYTHONPATH": path}
    args = [sys.executable, "-c", START, str(tmp_path)]
    done = subprocess.run(args, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("4\n", "", 0)
