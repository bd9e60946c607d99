"""Where tasks run, as a configuration says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vbuild.errors import UsageError
from vbuild.stage import knob

if TYPE_CHECKING:
    from vbuild.config import Limits
    from vbuild.executor.protocol import Executor
    from vbuild.store.blobs import Blobs


@dataclass(frozen=True, kw_only=True)
class ExecutorConfig:
    """What starts an executor; all its fields are knobs, for where something runs changes nothing of what it writes."""

    def start(self, blobs: Blobs, build: str, limits: Limits) -> Executor:
        """An executor for a build, which closes it."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Local(ExecutorConfig):
    """Processes on this machine."""

    workers: int | None = knob(None)
    """Processes; one a core by default. 0 runs everything in the build's own process."""
    memory: float | None = knob(None)
    """GiB that all workers may take together; three quarters of what the machine or the container has by default. Of
    passes over large pictures, fewer run at once, and always one. An eighth of it, 1 GiB at most, is for what passes
    hand over to models."""
    devices: Literal["auto"] | tuple[int, ...] = knob("auto")
    """The GPUs that models run on, one process each, by number; `auto`: all that there are."""
    hosts: int = knob(1)
    """Processes for models where there is no GPU; the cores are parted among them."""
    device_memory: float | None = knob(None)
    """GiB of each device that models may take. What does not fit there together takes turns: it is decoded for once
    more. By default what the smallest GPU has; without one, half of the memory that workers may take, parted."""

    def __post_init__(self) -> None:
        """Refuses less than nothing."""
        if self.workers is not None and self.workers < 0:
            raise UsageError(f"workers={self.workers}: must be 0 (none) or more processes, or null for one a core")
        if self.hosts < 1:
            raise UsageError(f"hosts={self.hosts}: must be 1 or more processes")
        for name in ("memory", "device_memory"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than 0 GiB, or null for what there is")

    def start(self, blobs: Blobs, build: str, limits: Limits) -> Executor:
        """Processes; or this one, if it is to have none."""
        from vbuild.executor import local

        return local.InlineExecutor(blobs, build) if self.workers == 0 else local.Processes(self, blobs, build, limits)


@dataclass(frozen=True, kw_only=True)
class Inline(ExecutorConfig):
    """The build's own process, one task after the other."""

    def start(self, blobs: Blobs, build: str, limits: Limits) -> Executor:  # noqa: ARG002
        """This process."""
        from vbuild.executor import local

        return local.InlineExecutor(blobs, build)
