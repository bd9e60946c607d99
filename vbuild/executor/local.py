"""Runs works on this machine: in processes that joblib's loky starts, or in the build's own process."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import time
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from heapq import nlargest
from threading import Thread
from typing import TYPE_CHECKING, Protocol

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from vbuild.executor.memory import WORKER, budget
from vbuild.executor.work import Done, Work, perform
from vbuild.store.failures import Failed

if TYPE_CHECKING:
    from concurrent.futures import Future

    from vbuild.config import Limits, Local
    from vbuild.store.blobs import Blobs


class Executor(Protocol):
    """Takes works and gives back, in any order, what each left."""

    ahead: int
    """How many works it likes to hold, so that no worker waits."""

    def fits(self, work: Work) -> bool:
        """Whether there is memory for a work beside those that fly; there is always for one."""

    def submit(self, ticket: int, work: Work) -> None:
        """Takes one work under a ticket."""

    def next(self) -> tuple[int, Done]:
        """Waits for any work to be done."""

    def close(self) -> None:
        """Ends the workers."""


class Inline:
    """Runs each work in this process, when its result is asked for. Limits are for processes of their own."""

    ahead = 1

    def __init__(self, blobs: Blobs, build: str) -> None:
        self.blobs, self.build = blobs, build
        self.queue: deque[tuple[int, Work]] = deque()

    def fits(self, work: Work) -> bool:  # noqa: ARG002
        """One runs at a time."""
        return True

    def submit(self, ticket: int, work: Work) -> None:
        """Takes one work under a ticket."""
        self.queue.append((ticket, work))

    def next(self) -> tuple[int, Done]:
        """Does the oldest work."""
        ticket, work = self.queue.popleft()
        return ticket, perform(work, self.blobs, self.build)

    def close(self) -> None:
        """Nothing is left behind."""


class Processes:
    """Runs works in processes, one work at a time each, started afresh and never forked.

    A process that dies, by a crash, a kill or a limit, takes its pool with it: the works that were in flight are then
    done again one by one, and the one that kills its worker clip by clip, so that only what is to blame fails, by name.
    """

    def __init__(self, workers: int, blobs: Blobs, build: str, limits: Limits, memory: float | None = None) -> None:
        self.workers, self.blobs, self.build, self.limits = workers, blobs, build, limits
        self.memory = budget(memory)
        self.ahead = workers * 2
        self.pool = self._pool(workers)
        self.flying: dict[Future[Done], tuple[int, Work]] = {}
        self.ready: deque[tuple[int, Done]] = deque()

    def _pool(self, workers: int) -> ProcessPoolExecutor:
        # loky replaces a worker that has grown by 300 MB, as one does that decodes large frames; nobody need know.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        return ProcessPoolExecutor(max_workers=workers, initializer=_begin, initargs=(os.getpid(), self.limits.memory))

    def fits(self, work: Work) -> bool:
        """Whether the memory is enough for it beside those that fly, whichever of them run together; or none flies."""
        flying = [w.memory for _, w in self.flying.values()]
        together = nlargest(self.workers, [*flying, work.memory])
        return not flying or sum(WORKER + memory for memory in together) <= self.memory

    def submit(self, ticket: int, work: Work) -> None:
        """Takes one work under a ticket."""
        try:
            future = self._submit(self.pool, work)
        except BrokenProcessPool:
            self._recover()
            future = self._submit(self.pool, work)
        self.flying[future] = ticket, work

    def _submit(self, pool: ProcessPoolExecutor, work: Work) -> Future[Done]:
        future: Future[Done] = pool.submit(_limited, work, self.blobs, self.build, self._seconds(work))
        return future

    def _seconds(self, work: Work) -> float | None:
        """How long a work may take."""
        return None if self.limits.seconds is None else self.limits.seconds * max(len(work.spans), 1)

    def next(self) -> tuple[int, Done]:
        """Waits for any work to be done."""
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
        for ticket, work in suspects:
            self.ready.append((ticket, self._alone(work)))
        self.pool = self._pool(self.workers)

    def _alone(self, work: Work) -> Done:
        """Does a work in a pool of its own; if that dies too, its clips one by one, and what is left is to blame."""
        pool = self._pool(1)
        began = time.monotonic()
        try:
            return self._submit(pool, work).result()
        except BrokenProcessPool as error:
            spent, cause = time.monotonic() - began, str(error)
        finally:
            pool.shutdown(wait=True, kill_workers=True)
        parts = work.parts()
        if len(parts) > 1:
            return _together([self._alone(part) for part in parts])
        kind, why = self._blame(spent, cause)
        return Done(
            failures=[
                Failed(key, job.stage.title(), job.recipe, kind, why, item)
                for job in work.jobs
                for key, item in zip(job.keys, job.items, strict=True)
            ]
        )

    def _blame(self, spent: float, cause: str) -> tuple[str, str]:
        """Of what a worker died that had one clip for so many seconds: the class of the error, and its message."""
        limit = self.limits.seconds
        if limit is not None and spent >= limit:
            return "OutOfTime", f"it took longer than limits.seconds={limit:g}"
        codes = cause[cause.rfind("{") + 1 : cause.rfind("}")] if "{" in cause else "no exit code"
        return "WorkerDied", f"its worker process died of it ({codes})"

    def close(self) -> None:
        """Ends the workers."""
        # Told to kill, loky's own thread stumbles over works that it has not taken up; it takes up as many as fly.
        while not all(future.running() or future.done() for future in self.flying):
            time.sleep(0.001)
        self.pool.shutdown(wait=True, kill_workers=True)


def _begin(build: int, memory: float | None) -> None:
    """A worker leaves Ctrl-C to the build's process, and keeps to its memory: what asks for more gets a MemoryError."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_follow, args=(build,), daemon=True).start()
    if memory is not None and sys.platform == "linux":
        size = round(memory * (1 << 30))
        resource.setrlimit(resource.RLIMIT_DATA, (size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _follow(build: int) -> None:
    """Ends a worker whose build's process is gone: it holds both ends of its queue, and would wait for ever."""
    while os.getppid() == build:
        time.sleep(1.0)
    os._exit(1)


def _limited(work: Work, blobs: Blobs, build: str, seconds: float | None) -> Done:
    """Does a work in a worker, which ends itself when the time is over, even where the interpreter is stuck in C."""
    if seconds is None:
        return perform(work, blobs, build)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  a device
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            return perform(work, blobs, build)
        finally:
            faulthandler.cancel_dump_traceback_later()


def _together(parts: list[Done]) -> Done:
    """What several works left, as one."""
    return Done(
        tables=[table for part in parts for table in part.tables],
        failures=[failed for part in parts for failed in part.failures],
        seconds=sum(part.seconds for part in parts),
    )


def _finished(future: Future[Done]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def executor(local: Local, blobs: Blobs, build: str, limits: Limits) -> Executor:
    """The executor for a number of workers: one a core if None, this process if 0."""
    count = os.cpu_count() or 1 if local.workers is None else local.workers
    return Processes(count, blobs, build, limits, local.memory) if count else Inline(blobs, build)
