"""The processes that hold models: one a device, each of which has two batches in hand, so that it never waits."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joblib.externals.loky.process_executor import BrokenProcessPool

from vbuild.errors import PlaceError
from vbuild.executor import host
from vbuild.executor.blame import Solo, blame, lost
from vbuild.executor.pool import TRIES, Pool, do, finished, pool, wait_settled
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
        self.run, env = run, {**YIELDING, **env}
        notes = run.notes / f"host-{number}"
        notes.mkdir(exist_ok=True)
        # without a limit of memory, which would count what a GPU's library maps
        self.solo = Solo(lambda: pool(1, notes, threads, None, env), notes, run.limits)
        self.flying: dict[Future[Done], tuple[int, Hosted]] = {}
        """In the order in which it does them."""

    @property
    def room(self) -> int:
        """How many batches it would take."""
        return max(0, AT_ONCE - len(self.flying))

    def submit(self, ticket: int, task: Hosted) -> None:
        """Takes a task under a ticket."""
        future: Future[Done] = Future()
        why = self.solo.lost.get(_model(task)[0])
        if why is not None:
            future.set_result(_lost(task, why))
        else:
            try:
                future = self._begun(self.solo.pool, task)
            except BrokenProcessPool:
                wait_settled(self.flying)
                self.solo.renew()
                future = self._begun(self.solo.pool, task)
        self.flying[future] = ticket, task
        future.add_done_callback(self.run.tell)

    def warm(self, task: Opening) -> None:
        """Loads a model of which another process tells."""
        self.solo.pool.submit(host.load_model, task.recipe, task.stage)

    def _begun(self, workers: Pool, task: Hosted) -> Future[Done]:
        run = self.run
        future: Future[Done]
        if isinstance(task, Batch):
            future = workers.submit(host.run_batch, task, run.folder, run.blobs, run.build, run.limits.seconds)
        elif isinstance(task, Opening):
            future = workers.submit(host.load_model, task.recipe, task.stage)
        else:
            future = workers.submit(do, task, run.blobs, run.build, run.limits.over(len(task.spans)), None)
        return future

    def taken(self, future: Future[Done]) -> list[tuple[int, Done]]:
        """What a future left, with its ticket; of all that the process had in hand, if it died."""
        if not isinstance(future.exception(), BrokenProcessPool):
            ticket, _ = self.flying.pop(future)
            return [(ticket, future.result())]
        flights, self.flying = self.flying, {}
        done = [(ticket, f.result()) for f, (ticket, _) in flights.items() if finished(f)]
        suspects = [flight for f, flight in flights.items() if not finished(f)]
        self.solo.renew()
        # the first of them was at work when it died; the others are tried whole
        return done + [(ticket, self._again(task, parted=n == 0)) for n, (ticket, task) in enumerate(suspects)]

    def _again(self, task: Hosted, *, parted: bool) -> Done:
        """Does a task of a process that died; part by part at once, if that was at work on it."""
        why = self.solo.unloadable(*_model(task), TRIES - isinstance(task, Opening))
        if why is not None:
            return _lost(task, why)
        if isinstance(task, Opening):
            return Done()
        parts: list[Any] = [*task.split()] if parted else [task]
        return together([blame(part, self._tried) for part in parts])

    def _tried(self, task: Batch | Task) -> Done | Failure:
        return self.solo.result(lambda workers: self._begun(workers, task))

    def close(self) -> None:
        """Ends it."""
        wait_settled(self.flying)
        self.solo.close()


def _model(task: Hosted) -> tuple[str, Stage]:
    """The recipe and the stage whose model a task is for."""
    if isinstance(task, Opening):
        return task.recipe, task.stage
    if isinstance(task, Batch):
        return task.parcels[0].recipe, task.stage
    return task.jobs[0].recipe, task.jobs[0].stage


def _lost(task: Hosted, why: Failure) -> Done:
    return Done() if isinstance(task, Opening) else lost(task, why)
