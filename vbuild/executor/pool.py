"""Pools of processes on this machine: what one does at its start, how it keeps to its limits, and of what it died."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from multiprocessing import resource_tracker
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from joblib.externals.loky import ProcessPoolExecutor, process_executor
from joblib.externals.loky.backend import resource_tracker as loky_tracker

from vbuild.executor.faults import Failure
from vbuild.executor.perform import perform
from vbuild.executor.spool import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from joblib.externals.loky.process_executor import BrokenProcessPool

    from vbuild.config import Limits
    from vbuild.executor.work import Done, Errand, Task
    from vbuild.store.blobs import Blobs

TRIES = 2
"""How often a model is loaded that cannot be."""

OVER = "Timeout ("
"""How the note of a worker begins whose time was over."""

NOTE: list[IO[str]] = []
"""Where a worker that dies leaves what it was at."""

POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""By these numeric libraries choose how many threads they have, when they are loaded."""


YIELDS = 5
"""By how much a pass is nicer than the model that it feeds: the decoders stand back where both want the cores."""


class Pool(ProcessPoolExecutor):  # type: ignore[misc]
    """Processes that Ctrl-C does not reach, not even while they start: it is for the build's process alone."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Starts processes as they are needed; they inherit that the signal waits, until they leave it alone."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(*args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pool(workers: int, notes: Path, threads: int, memory: float | None, env: Mapping[str, str]) -> Pool:
    """Processes, started afresh and never forked, each with so many threads for numeric libraries, and GiB at most."""
    for tracker in (resource_tracker, loky_tracker):  # that it starts would have the signal heard again
        tracker.ensure_running()
    begin = (os.getpid(), memory, str(notes), dict.fromkeys(POOLS, str(threads)) | dict(env))
    return Pool(max_workers=workers, initializer=_begin, initargs=begin, env=begin[-1])


def _begin(build: int, memory: float | None, notes: str, env: Mapping[str, str]) -> None:
    """A worker leaves Ctrl-C to the build's process, and keeps to its memory: what asks for more gets a MemoryError."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.environ.update(env)
    # it would replace a worker that has grown by 300 MB, as one does that decodes large frames or holds a model
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize  # noqa: SLF001  it has no other door
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


class Watchdog:
    """Ends the process when its time is over, even where the interpreter is stuck in C."""

    def __init__(self, seconds: float | None) -> None:
        self.left = seconds
        self.since = 0.0

    def _start(self) -> None:
        if self.left is not None:
            self.since = time.monotonic()
            faulthandler.dump_traceback_later(max(self.left, 0.001), exit=True, file=NOTE[0])

    def _stop(self) -> None:
        if self.left is not None:
            faulthandler.cancel_dump_traceback_later()
            self.left -= time.monotonic() - self.since

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the time counts."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While it does not, within that."""
        self._stop()
        try:
            yield
        finally:
            self._start()


def do(
    task: Task | Errand, blobs: Blobs, build: str, seconds: float | None, spool: tuple[Path, int, int] | None
) -> Done:
    """Does a task within its time. `spool`: folder, budget and ticket of what it hands over."""
    if spool is not None:
        _yield()
    watch = Watchdog(seconds)
    outbox = None if spool is None else Outbox(*spool, watch.paused)
    return perform(task, blobs, build, watch.running, outbox)


@cache
def _yield() -> None:
    """Makes this process a nicer one, once."""
    os.nice(YIELDS)


def codes(error: BrokenProcessPool) -> str:
    """How the workers of a pool ended."""
    cause = str(error)
    return cause[cause.rfind("{") + 1 : cause.rfind("}")] if "{" in cause else "no exit code"


def finished(future: Future[Done]) -> bool:
    """Whether a future has a result."""
    return future.done() and not future.cancelled() and future.exception() is None


def wait_settled(futures: Iterable[Future[Done]]) -> None:
    """Waits until a pool may be told to kill its workers: loky's thread stumbles over what it has not taken up."""
    while not all(future.running() or future.done() for future in futures):
        time.sleep(0.001)


def unloadable(notes: Path, error: BrokenProcessPool, limits: Limits) -> Failure:
    """That processes died while they loaded, for which no clip is to blame."""
    why = f"a worker process died twice while it loaded ({codes(error)})"
    return replace(blamed(notes, error, limits), kind="place", message=why)


def blamed(notes: Path, error: BrokenProcessPool, limits: Limits) -> Failure:
    """What it was that the last worker died of, which had one action alone."""
    note = max(notes.glob("[0-9]*"), key=lambda path: path.stat().st_mtime_ns, default=None)
    trace = "" if note is None else note.read_text(errors="replace")
    if trace.startswith(OVER):
        why = f"it took longer than limits.seconds={limits.seconds:g}"
        return Failure("OutOfTime", why, "item", trace, passing=True)
    return Failure("WorkerDied", f"its worker process died of it ({codes(error)})", "program", trace, passing=True)
