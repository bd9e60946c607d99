"""The processes that hold models: one a device, each of which has two batches in hand, so that it never waits."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from joblib.externals.loky.process_executor import BrokenProcessPool

from vbuild.errors import PlaceError
from vbuild.executor import host
from vbuild.executor.pool import TRIES, Pool, blamed, do, finished, pool, unloadable, wait_settled
from vbuild.executor.work import Batch, Done, Opening, Task, together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vbuild.config import Limits
    from vbuild.executor.config import Local
    from vbuild.executor.faults import Failure
    from vbuild.stage import Stage
    from vbuild.store.blobs import Blobs

Hosted = Batch | Opening | Task
"""What is for a process that holds models; a task is, if it reads columns only."""

AT_ONCE = 2
"""Batches that a process has in hand: one runs, and one lies ready."""

YIELDING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Has threads that wait for one another sleep: passes run on the same cores."""

NVIDIA = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class BuildContext:
    """What is the same for all processes of a build."""

    blobs: Blobs
    build: str
    limits: Limits
    notes: Path
    """Where processes that die leave what they were at."""
    folder: Path
    """Where parcels lie."""
    tell: Callable[[Future[Done]], None]
    """Called with whatever is done."""


def devices(local: Local) -> list[dict[str, str]]:
    """What tells each process its device: of every GPU that may be used, else the processor, parted."""
    if local.devices == "auto":
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        here = sorted(NVIDIA.iterdir()) if NVIDIA.is_dir() else []
        names = [str(n) for n in range(len(here))] if seen is None else [name for name in seen.split(",") if name]
    else:
        names = [str(name) for name in local.devices]
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names] or [{}] * local.hosts


def device_memory(local: Local, memory: int) -> int:
    """Bytes that models may take on each device. `memory`: what all workers may take."""
    if local.device_memory is not None:
        return round(local.device_memory * (1 << 30))
    numbers = [env["CUDA_VISIBLE_DEVICES"] for env in devices(local) if env]
    return gpu_memory(numbers) if numbers else memory // 2 // local.hosts


def gpu_memory(numbers: Sequence[str]) -> int:
    """Bytes of the smallest of some GPUs, as their driver's own program says. Raises PlaceError if it says nothing."""
    query = ["nvidia-smi", f"--id={','.join(numbers)}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603
        return min(int(line) for line in told.split()) << 20
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        why = f"nvidia-smi does not say how much memory the GPUs have ({error}); set executor.device_memory"
        raise PlaceError(why) from error


class Host:
    """One process, made anew when it dies."""

    def __init__(self, run: BuildContext, number: int, env: Mapping[str, str], threads: int) -> None:
        self.run, self.env, self.threads = run, {**YIELDING, **env}, threads
        self.notes = run.notes / f"host-{number}"
        self.notes.mkdir(exist_ok=True)
        self.pool = self._pool()
        self.lost: dict[str, Failure] = {}
        """Recipe → why its model cannot be loaded."""
        self.flying: dict[Future[Done], tuple[int, Hosted]] = {}
        """In the order in which it does them."""

    def _pool(self) -> Pool:
        return pool(1, self.notes, self.threads, None, self.env)  # a limit would count what a GPU's library maps

    @property
    def room(self) -> int:
        """How many batches it would take."""
        return max(0, AT_ONCE - len(self.flying))

    def submit(self, ticket: int, task: Hosted) -> None:
        """Takes a task under a ticket."""
        future: Future[Done] = Future()
        why = self.lost.get(_model(task)[0])
        if why is not None:
            future.set_result(_failed(task, why))
        else:
            try:
                future = self._begun(task)
            except BrokenProcessPool:
                self._renew()
                future = self._begun(task)
        self.flying[future] = ticket, task
        future.add_done_callback(self.run.tell)

    def warm(self, task: Opening) -> None:
        """Loads a model of which another process tells."""
        self.pool.submit(host.load_model, task.recipe, task.stage)

    def _begun(self, task: Hosted) -> Future[Done]:
        run = self.run
        future: Future[Done]
        if isinstance(task, Batch):
            future = self.pool.submit(host.run_batch, task, run.folder, run.blobs, run.build, run.limits.seconds)
        elif isinstance(task, Opening):
            future = self.pool.submit(host.load_model, task.recipe, task.stage)
        else:
            future = self.pool.submit(do, task, run.blobs, run.build, run.limits.over(len(task.spans)), None)
        return future

    def taken(self, future: Future[Done]) -> list[tuple[int, Done]]:
        """What a future left, with its ticket; of all that the process had in hand, if it died."""
        if not isinstance(future.exception(), BrokenProcessPool):
            ticket, _ = self.flying.pop(future)
            return [(ticket, future.result())]
        flights, self.flying = self.flying, {}
        done = [(ticket, f.result()) for f, (ticket, _) in flights.items() if finished(f)]
        lost = [flight for f, flight in flights.items() if not finished(f)]
        self._renew()
        # the first of them was at work when it died; the others are tried whole
        return done + [(ticket, self._again(task, parted=n == 0)) for n, (ticket, task) in enumerate(lost)]

    def _again(self, task: Hosted, *, parted: bool) -> Done:
        """Does a task of a process that died; one by one, if that is to tell who is to blame."""
        recipe, stage = _model(task)
        why = self.lost.get(recipe) or self._unloadable(recipe, stage, TRIES - isinstance(task, Opening))
        if why is not None:
            self.lost[recipe] = why
            return _failed(task, why)
        if isinstance(task, Opening):
            return Done()
        if not parted:
            try:
                return self._begun(task).result()
            except BrokenProcessPool:
                self._renew()
        return together([self._alone(part) for part in _parts(task)])

    def _alone(self, task: Batch | Task) -> Done:
        try:
            return self._begun(task).result()
        except BrokenProcessPool as error:
            why = blamed(self.notes, error, self.run.limits)
            self._renew()
            return _failed(task, why)

    def _unloadable(self, recipe: str, stage: Stage, tries: int) -> Failure | None:
        """Why new processes cannot load a model, if so many die of it. No clip is to blame for that."""
        why = None
        for _ in range(tries):
            try:
                self.pool.submit(host.load_model, recipe, stage).result()
            except BrokenProcessPool as error:
                why = unloadable(self.notes, error, self.run.limits)
                self._renew()
            else:
                return None
        return why

    def _renew(self) -> None:
        self.close()
        self.pool = self._pool()

    def close(self) -> None:
        """Ends it."""
        wait_settled(self.flying)
        self.pool.shutdown(wait=True, kill_workers=True)


def _model(task: Hosted) -> tuple[str, Stage]:
    """The recipe and the stage whose model a task is for."""
    if isinstance(task, Opening):
        return task.recipe, task.stage
    if isinstance(task, Batch):
        return task.parcels[0].recipe, task.stage
    return task.jobs[0].recipe, task.jobs[0].stage


def _parts(task: Batch | Task) -> Sequence[Batch | Task]:
    if isinstance(task, Task):
        return task.split()
    return [replace(task, parcels=(parcel,)) for parcel in task.parcels]


def _failed(task: Hosted, why: Failure) -> Done:
    if isinstance(task, Opening):
        return Done()
    return task.failed(why) if isinstance(task, Batch) else Done(failures=task.failed(why))
