"""Runs tasks on this machine: in processes that joblib's loky starts, or in the build's own process."""

from __future__ import annotations

import faulthandler
import os
import resource
import shutil
import signal
import sys
import time
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from heapq import nlargest
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread
from typing import IO, TYPE_CHECKING, Protocol

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from vbuild.executor.faults import Failure, attempt
from vbuild.executor.memory import WORKER, budget
from vbuild.executor.perform import model, perform
from vbuild.executor.work import Done, together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from vbuild.config import Limits, Local
    from vbuild.executor.work import Job, Task
    from vbuild.store.blobs import Blobs
    from vbuild.store.failures import Failed


class Executor(Protocol):
    """Takes tasks and gives back, in any order, what each left."""

    ahead: int
    """How many tasks it likes to hold, so that no worker waits."""

    def fits(self, task: Task) -> bool:
        """Whether there is memory for a task beside those that fly; there is always for one."""

    def submit(self, ticket: int, task: Task) -> None:
        """Takes one task under a ticket."""

    def next(self) -> tuple[int, Done]:
        """Waits for any task to be done."""

    def close(self) -> None:
        """Ends the workers."""


class Inline:
    """Runs each task in this process, when its result is asked for. Limits are for processes of their own."""

    ahead = 1

    def __init__(self, blobs: Blobs, build: str) -> None:
        self.blobs, self.build = blobs, build
        self.queue: deque[tuple[int, Task]] = deque()

    def fits(self, task: Task) -> bool:  # noqa: ARG002
        """One runs at a time."""
        return True

    def submit(self, ticket: int, task: Task) -> None:
        """Takes one task under a ticket."""
        self.queue.append((ticket, task))

    def next(self) -> tuple[int, Done]:
        """Does the oldest task."""
        ticket, task = self.queue.popleft()
        return ticket, perform(task, self.blobs, self.build)

    def close(self) -> None:
        """Nothing is left behind."""


class Processes:
    """Runs tasks in processes, one task at a time each, started afresh and never forked.

    A process that dies, by a crash, a kill or a limit, takes its pool with it: the tasks that were in flight are then
    done again one by one, and the one that kills its worker clip by clip, then stage by stage, so that only what is to
    blame fails, by name.
    """

    def __init__(self, workers: int, blobs: Blobs, build: str, limits: Limits, memory: float | None = None) -> None:
        self.workers, self.blobs, self.build, self.limits = workers, blobs, build, limits
        self.memory = budget(memory)
        self.ahead = workers * 2
        self.notes = Path(mkdtemp(prefix="vbuild-"))
        self.pool = self._pool(workers)
        self.flying: dict[Future[Done], tuple[int, Task]] = {}
        self.ready: deque[tuple[int, Done]] = deque()

    def _pool(self, workers: int) -> ProcessPoolExecutor:
        # loky replaces a worker that has grown by 300 MB, as one does that decodes large frames; nobody need know.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        begin = (os.getpid(), self.limits.memory, str(self.notes))
        return ProcessPoolExecutor(max_workers=workers, initializer=_begin, initargs=begin)

    def fits(self, task: Task) -> bool:
        """Whether the memory is enough for it beside those that fly, whichever of them run together; or none flies."""
        flying = [w.memory for _, w in self.flying.values()]
        together = nlargest(self.workers, [*flying, task.memory])
        return not flying or sum(WORKER + memory for memory in together) <= self.memory

    def submit(self, ticket: int, task: Task) -> None:
        """Takes one task under a ticket."""
        try:
            future = self._submit(self.pool, task)
        except BrokenProcessPool:
            self._recover()
            future = self._submit(self.pool, task)
        self.flying[future] = ticket, task

    def _submit(self, pool: ProcessPoolExecutor, task: Task) -> Future[Done]:
        future: Future[Done] = pool.submit(_limited, task, self.blobs, self.build, self._seconds(task))
        return future

    def _seconds(self, task: Task) -> float | None:
        """How long a task may take."""
        return None if self.limits.seconds is None else self.limits.seconds * max(len(task.spans), 1)

    def next(self) -> tuple[int, Done]:
        """Waits for any task to be done."""
        while not self.ready:
            done, _ = wait(self.flying, return_when=FIRST_COMPLETED)
            for future in done:
                if isinstance(future.exception(), BrokenProcessPool):
                    self._recover()
                    break
                self.ready.append((self.flying.pop(future)[0], future.result()))
        return self.ready.popleft()

    def _recover(self) -> None:
        """A worker died: what was in flight is done again, one by one, and the pool made new."""
        suspects = [task for future, task in self.flying.items() if not _finished(future)]
        self.ready.extend((self.flying[f][0], f.result()) for f in self.flying if _finished(f))
        self.flying.clear()
        self.pool.shutdown(wait=True, kill_workers=True)
        alone = self._pool(1)
        for ticket, task in suspects:
            done, alone = self._alone(task, alone)
            self.ready.append((ticket, done))
        alone.shutdown(wait=True, kill_workers=True)
        self.pool = self._pool(self.workers)

    def _alone(self, task: Task, pool: ProcessPoolExecutor) -> tuple[Done, ProcessPoolExecutor]:
        """Does a task in a pool of one; if that dies, its parts one by one, and what cannot be parted is to blame.

        Returns the pool too, a new one where it died.
        """
        failed, pool = self._loaded(task, pool)
        rest = task.only(task.actions() - {(f.recipe, f.key) for f in failed})
        try:
            return together([Done(failures=failed), self._submit(pool, rest).result()]), pool
        except BrokenProcessPool as error:
            codes, pool = _codes(error), self._renewed(pool)
        dones = [Done(failures=failed)]
        parts = rest.parts()
        if len(parts) == 1:
            dones.append(Done(failures=rest.failed(self._blame(codes))))
        for part in parts if len(parts) > 1 else ():
            done, pool = self._alone(part, pool)
            dones.append(done)
        return together(dones), pool

    def _loaded(self, task: Task, pool: ProcessPoolExecutor) -> tuple[list[Failed], ProcessPoolExecutor]:
        """Has a worker load what stages need, which has no limit of time; the actions of those of which it dies twice.

        No clip is to blame for that.
        """
        failed: list[Failed] = []
        for job in task.jobs:
            for last in (False, True):
                try:
                    pool.submit(_load, job).result()
                    break
                except BrokenProcessPool as error:
                    codes, pool = _codes(error), self._renewed(pool)
                if last:
                    why = replace(self._blame(codes), kind="place")
                    why = replace(why, message=f"a worker process died twice while it loaded ({codes})")
                    failed += task.failed(why, {(job.recipe, key) for key in job.keys})
        return failed, pool

    def _renewed(self, pool: ProcessPoolExecutor) -> ProcessPoolExecutor:
        pool.shutdown(wait=True, kill_workers=True)
        return self._pool(1)

    def _blame(self, codes: str) -> Failure:
        """Of what the last worker died that had one action alone."""
        note = max(self.notes.iterdir(), key=lambda path: path.stat().st_mtime_ns, default=None)
        trace = "" if note is None else note.read_text(errors="replace")
        if trace.startswith(OVER):
            why = f"it took longer than limits.seconds={self.limits.seconds:g}"
            return Failure("OutOfTime", why, "item", trace, passing=True)
        return Failure("WorkerDied", f"its worker process died of it ({codes})", "program", trace, passing=True)

    def close(self) -> None:
        """Ends the workers."""
        # Told to kill, loky's own thread stumbles over tasks that it has not taken up; it takes up as many as fly.
        while not all(future.running() or future.done() for future in self.flying):
            time.sleep(0.001)
        self.pool.shutdown(wait=True, kill_workers=True)
        shutil.rmtree(self.notes, ignore_errors=True)


OVER = "Timeout ("
"""How the note of a worker begins whose time was over."""

NOTE: list[IO[str]] = []
"""Where a worker that dies leaves what it was at."""


def _begin(build: int, memory: float | None, notes: str) -> None:
    """A worker leaves Ctrl-C to the build's process, and keeps to its memory: what asks for more gets a MemoryError."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    NOTE.append(Path(notes, str(os.getpid())).open("w"))  # noqa: SIM115  for as long as the worker lives
    faulthandler.enable(NOTE[0], all_threads=False)
    Thread(target=_follow, args=(build,), daemon=True).start()
    if memory is not None and sys.platform == "linux":
        size = round(memory * (1 << 30))
        resource.setrlimit(resource.RLIMIT_DATA, (size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _follow(build: int) -> None:
    """Ends a worker whose build's process is gone: it holds both ends of its queue, and would wait for ever."""
    while os.getppid() == build:
        time.sleep(1.0)
    os._exit(1)


def _load(job: Job) -> None:
    """Loads what a stage needs; what it raises, it raises again when a task is done."""
    attempt(partial(model, job), loads=True)


def _limited(task: Task, blobs: Blobs, build: str, seconds: float | None) -> Done:
    """Does a task in a worker, which ends itself when the time is over, even where the interpreter is stuck in C."""
    return perform(task, blobs, build, partial(_within, seconds))


@contextmanager
def _within(seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=NOTE[0])
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _codes(error: BrokenProcessPool) -> str:
    """How the workers of a pool ended."""
    cause = str(error)
    return cause[cause.rfind("{") + 1 : cause.rfind("}")] if "{" in cause else "no exit code"


def _finished(future: Future[Done]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def executor(local: Local, blobs: Blobs, build: str, limits: Limits) -> Executor:
    """The executor for a number of workers: one a core if None, this process if 0."""
    count = os.cpu_count() or 1 if local.workers is None else local.workers
    return Processes(count, blobs, build, limits, local.memory) if count else Inline(blobs, build)
