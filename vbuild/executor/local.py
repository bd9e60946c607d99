"""Runs tasks on this machine: in processes that joblib's loky starts, or in the build's own process."""

from __future__ import annotations

import os
import warnings
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from joblib.externals.loky.process_executor import BrokenProcessPool

from vbuild.executor import host, pool
from vbuild.executor.blame import Solo, blame
from vbuild.executor.folders import NOTES, Folder, sweep
from vbuild.executor.hosts import BuildContext, Host, device_memory, devices
from vbuild.executor.memory import WORKER, budget, fits, parcels
from vbuild.executor.perform import perform
from vbuild.executor.spool import Parcel, Spool, read_parcel
from vbuild.executor.stages import MODELS
from vbuild.executor.work import Batch, Done, Errand, Opening, Task, together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from vbuild.config import Limits
    from vbuild.executor.config import Local
    from vbuild.executor.faults import Failure
    from vbuild.executor.protocol import Needs
    from vbuild.stage import Stage
    from vbuild.store.blobs import Blobs


class InlineExecutor:
    """Runs each task in this process, when its result is asked for, and models too. Limits are for other processes."""

    def __init__(self, blobs: Blobs, build: str) -> None:
        self.blobs, self.build = blobs, build
        self.queue: deque[tuple[int, Task | Opening | Errand]] = deque()

    def room(self, needs: Needs) -> int:  # noqa: ARG002
        """One runs at a time."""
        return 0 if self.queue else 1

    def submit(self, ticket: int, task: Task | Batch | Opening | Errand) -> None:
        """Takes one task under a ticket."""
        assert not isinstance(task, Batch)
        self.queue.append((ticket, task))

    def next(self, within: float | None = None) -> tuple[int, Done] | None:  # noqa: ARG002
        """Does the oldest task."""
        ticket, task = self.queue.popleft()
        return ticket, host.load_model(task.recipe, task.stage) if isinstance(task, Opening) else self._done(task)

    def _done(self, task: Task | Errand) -> Done:
        return perform(task, self.blobs, self.build)

    def fits(self, stages: Sequence[Stage]) -> bool:
        """In half of the memory that there is."""
        return fits(stages, lambda: budget(None) // 2)

    def release(self) -> None:
        """Lets them go."""
        MODELS.clear()

    def pressed(self) -> bool:
        """Nothing is handed over."""
        return False

    def value(self, parcel: Parcel) -> Any:
        """There is none."""

    def drop(self, parcel: Parcel) -> None:
        """There is none."""

    def close(self) -> None:
        """Nothing is left behind."""


@dataclass(frozen=True)
class _Ready:
    """What a task left, told once everything that it handed over was."""

    ticket: int
    done: Done


class Processes:
    """Runs passes in processes, one at a time each, and models in others, all started afresh and never forked.

    A process that dies, by a crash, a kill or a limit, takes its pool with it: the tasks that were in flight are then
    done again one by one, and the one that kills its worker clip by clip, then stage by stage, so that only what is to
    blame fails, by name.
    """

    def __init__(self, local: Local, blobs: Blobs, build: str, limits: Limits) -> None:
        # loky says so of a worker that ended while others work, as one does whose build is over
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        self.workers = local.workers or os.cpu_count() or 1
        self.local, self.blobs, self.build, self.limits = local, blobs, build, limits
        self.memory = budget(local.memory)
        sweep()
        self.held = Folder(NOTES, Path(gettempdir()))
        self.notes = self.held.path
        self.events: SimpleQueue[Future[Done] | Parcel | _Ready] = SimpleQueue()
        self.pool = self._pool(self.workers)
        self.flying: dict[Future[Done], tuple[int, Task | Errand]] = {}
        self.spool: Spool | None = None
        self.hosts: list[Host] = []
        self.ready: deque[tuple[int, Done]] = deque()

    def _pool(self, workers: int) -> pool.Pool:
        return pool.pool(workers, self.notes, 1, self.limits.memory, {})

    def room(self, needs: Needs) -> int:
        """Batches: two a host. Passes: two a worker, if the memory is enough, whichever run together; and always one.

        What passes may hand over takes of that memory too.
        """
        if needs.hosted:
            return max((each.room for each in self.hosts), default=0)
        flying = [task.memory for _, task in self.flying.values()]
        most = nlargest(self.workers, [*flying, needs.memory])
        lent = 0 if self.spool is None else self.spool.budget
        if flying and sum(WORKER + memory for memory in most) + lent > self.memory:
            return 0
        return max(0, self.workers * 2 - len(flying))

    def submit(self, ticket: int, task: Task | Batch | Opening | Errand) -> None:
        """Takes one task under a ticket."""
        if isinstance(task, Opening) and not self.hosts:
            self._start()
        if isinstance(task, Opening):
            first, *others = self.hosts
            first.submit(ticket, task)
            for each in others:
                each.warm(task)
        elif isinstance(task, Errand) or (isinstance(task, Task) and not task.needs.hosted):
            self._fly(ticket, task)
        else:
            max(self.hosts, key=lambda each: each.room).submit(ticket, task)

    def _start(self) -> None:
        """Starts the processes for models, and makes the place where parcels lie."""
        if self.spool is None:
            self.spool = Spool(parcels(self.memory))
            self.spool.follow(self.events.put)
        run = BuildContext(self.blobs, self.build, self.limits, self.notes, self.spool.folder, self.events.put)
        places = devices(self.local)
        threads = max(1, (os.cpu_count() or 1) // len(places))
        self.hosts = [Host(run, number, env, threads) for number, env in enumerate(places)]

    def _fly(self, ticket: int, task: Task | Errand) -> None:
        try:
            future = self._begun(self.pool, ticket, task)
        except BrokenProcessPool:
            self._recover()
            future = self._begun(self.pool, ticket, task)
        self.flying[future] = ticket, task
        future.add_done_callback(self.events.put)

    def _begun(self, workers: pool.Pool, ticket: int, task: Task | Errand) -> Future[Done]:
        spool = None if self.spool is None else (self.spool.folder, self.spool.budget, ticket)
        seconds = self.limits.over(len(task.spans)) if isinstance(task, Task) else None
        future: Future[Done] = workers.submit(pool.do, task, self.blobs, self.build, seconds, spool)
        return future

    def next(self, within: float | None = None) -> tuple[int, Done] | None:
        """Waits for what any task left, or a part of it."""
        while not self.ready:
            try:
                event = self.events.get(timeout=within)
            except Empty:
                return None
            self._take(event)
        return self.ready.popleft()

    def _take(self, event: Future[Done] | Parcel | _Ready) -> None:
        if isinstance(event, Parcel):
            self.ready.append((event.ticket, Done(parcels=[event], finished=False)))
        elif isinstance(event, _Ready):
            self.ready.append((event.ticket, event.done))
        elif event in self.flying:
            if isinstance(event.exception(), BrokenProcessPool):
                self._recover()
            else:
                self._tell(self.flying.pop(event)[0], event.result())
        else:
            for each in self.hosts:
                if event in each.flying:
                    self.ready.extend(each.taken(event))

    def _tell(self, ticket: int, done: Done) -> None:
        """A task is over; what it handed over is told first."""
        if self.spool is not None:
            self.spool.sync()
        self.events.put(_Ready(ticket, done))

    def _recover(self) -> None:
        """A worker died: what was in flight is done again, one by one, and the pool made new."""
        suspects = [task for future, task in self.flying.items() if not pool.finished(future)]
        for future, (ticket, _) in self.flying.items():
            if pool.finished(future):
                self._tell(ticket, future.result())
        self.flying.clear()
        self.pool.shutdown(wait=True, kill_workers=True)
        self._settle()
        alone = Solo(lambda: self._pool(1), self.notes, self.limits, self._settle)
        for ticket, task in suspects:
            if isinstance(task, Errand):
                done = self._again(ticket, task, alone)
            else:
                done = self._alone(ticket, self._left(ticket, task), alone)
            self._tell(ticket, done)
        alone.close()
        self.pool = self._pool(self.workers)

    def _settle(self) -> None:
        """No worker lives: what one left half handed over goes."""
        if self.spool is not None:
            self.spool.sync()
            self.spool.settle()

    def _again(self, ticket: int, errand: Errand, alone: Solo) -> Done:
        """Does an errand in a pool of one, in which nothing takes its memory; it cannot be parted."""
        done = alone.result(lambda workers: self._begun(workers, ticket, errand))
        return done if isinstance(done, Done) else Done(fault=done)

    def _left(self, ticket: int, task: Task) -> Task:
        """What is left of a task besides what it has handed over."""
        return task if self.spool is None else task.only(task.actions() - self.spool.whole.get(ticket, set()))

    def _alone(self, ticket: int, task: Task, alone: Solo) -> Done:
        """Does a task by itself, but for the stages of which a process dies while it loads."""
        failed = [
            failed
            for job in task.jobs
            if not job.stage.hosted and (why := alone.unloadable(job.recipe, job.stage)) is not None
            for failed in task.failed(why, {(job.recipe, key) for key in job.keys})
        ]

        def tried(part: Task) -> Done | Failure:
            for job in part.jobs:  # in a new process, without the limit of the task's time
                if not job.stage.hosted and (why := alone.unloadable(job.recipe, job.stage)) is not None:
                    return why
            return alone.result(lambda workers: self._begun(workers, ticket, part))

        rest = task.only(task.actions() - {(f.recipe, f.key) for f in failed})
        return together([Done(failures=failed), blame(rest, tried, lambda part: self._left(ticket, part))])

    def fits(self, stages: Sequence[Stage]) -> bool:
        """On each of the devices."""
        return fits(stages, lambda: self.device_memory)

    @cached_property
    def device_memory(self) -> int:
        """Bytes that models may take on each device, which a GPU's driver is asked once."""
        return device_memory(self.local, self.memory)

    def release(self) -> None:
        """Ends the processes that hold them; new ones start with the next model."""
        for each in self.hosts:
            each.close()
        self.hosts = []

    def pressed(self) -> bool:
        """Whether passes wait because there is no room for what they hand over."""
        return self.spool is not None and self.spool.pressed()

    def value(self, parcel: Parcel) -> Any:
        """What a parcel holds, and what was lost of its footage."""
        assert self.spool is not None
        return read_parcel(self.spool.folder / parcel.name)

    def drop(self, parcel: Parcel) -> None:
        """A parcel is of no use any more."""
        if self.spool is not None:
            self.spool.drop(parcel)

    def close(self) -> None:
        """Ends the workers, and takes away what they left behind."""
        pool.wait_settled(self.flying)
        self.pool.shutdown(wait=True, kill_workers=True)
        for each in self.hosts:
            each.close()
        if self.spool is not None:
            self.spool.close()
        self.held.close()
