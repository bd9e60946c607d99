"""Runs works on this machine: in processes that joblib's loky starts, or in the build's own process."""

from __future__ import annotations

import os
import signal
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Protocol

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from vbuild.executor.work import Done, Work, perform
from vbuild.store.failures import Failed

if TYPE_CHECKING:
    from concurrent.futures import Future

    from vbuild.store.blobs import Blobs


class Executor(Protocol):
    """Takes works and gives back, in any order, what each left."""

    ahead: int
    """How many works it likes to hold, so that no worker waits."""

    def submit(self, ticket: int, work: Work) -> None:
        """Takes one work under a ticket."""

    def next(self) -> tuple[int, Done]:
        """Waits for any work to be done."""

    def close(self) -> None:
        """Ends the workers."""


class Inline:
    """Runs each work in this process, when its result is asked for."""

    ahead = 1

    def __init__(self, blobs: Blobs, build: str) -> None:
        self.blobs, self.build = blobs, build
        self.queue: deque[tuple[int, Work]] = deque()

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

    A process that dies takes its pool with it: the works that were in flight are then done again one by one in a pool
    of one, so that only the one that kills its worker fails, by name.
    """

    def __init__(self, workers: int, blobs: Blobs, build: str) -> None:
        self.workers, self.blobs, self.build = workers, blobs, build
        self.ahead = workers * 2
        self.pool = self._pool(workers)
        self.flying: dict[Future[Done], tuple[int, Work]] = {}
        self.ready: deque[tuple[int, Done]] = deque()

    def _pool(self, workers: int) -> ProcessPoolExecutor:
        # loky replaces a worker that has grown by 300 MB, as one does that decodes large frames; nobody need know.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        return ProcessPoolExecutor(max_workers=workers, initializer=_calm)

    def submit(self, ticket: int, work: Work) -> None:
        """Takes one work under a ticket."""
        try:
            future = self.pool.submit(perform, work, self.blobs, self.build)
        except BrokenProcessPool:
            self._recover()
            future = self.pool.submit(perform, work, self.blobs, self.build)
        self.flying[future] = ticket, work

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
        suspects = [work for future, work in self.flying.items() if not _finished(future)]
        self.ready.extend((self.flying[f][0], f.result()) for f in self.flying if _finished(f))
        self.flying.clear()
        self.pool.shutdown(wait=True, kill_workers=True)
        for ticket, work in suspects:
            self.ready.append((ticket, self._alone(work)))
        self.pool = self._pool(self.workers)

    def _alone(self, work: Work) -> Done:
        """Does a work in a pool of its own; if that pool dies too, the work is to blame."""
        pool = self._pool(1)
        try:
            done: Done = pool.submit(perform, work, self.blobs, self.build).result()
        except BrokenProcessPool as error:
            why = f"the worker died on it ({_cause(error)})"
            done = Done(
                failures=[
                    Failed(key, job.stage.title(), job.recipe, "WorkerDied", why)
                    for job in work.jobs
                    for key in job.keys
                ]
            )
        finally:
            pool.shutdown(wait=True, kill_workers=True)
        return done

    def close(self) -> None:
        """Ends the workers."""
        self.pool.shutdown(wait=True, kill_workers=True)


def _calm() -> None:
    """A worker leaves Ctrl-C to the build's process and keeps to one thread a library."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _finished(future: Future[Done]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _cause(error: BaseException) -> str:
    """How a worker died, as loky tells it: the exit codes."""
    text = str(error)
    start = text.rfind("{")
    return text[start + 1 : text.rfind("}")] if start >= 0 else "without a word"


def executor(workers: int | None, blobs: Blobs, build: str) -> Executor:
    """The executor for a number of workers: one a core if None, this process if 0."""
    count = os.cpu_count() or 1 if workers is None else workers
    return Processes(count, blobs, build) if count else Inline(blobs, build)
