"""What an executor is: it runs tasks, and knows nothing of datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbuild.executor.spool import Parcel
    from vbuild.executor.work import Batch, Done, Errand, Opening, Task
    from vbuild.stage import Stage


@dataclass(frozen=True)
class Needs:
    """What a task takes, by which executors place it."""

    memory: int = 0
    """Bytes beside those of a bare worker."""
    hosted: bool = False
    """Whether it is for a process that holds models."""


class Executor(Protocol):
    """Takes tasks and gives back, in any order, what each left."""

    def room(self, needs: Needs) -> int:
        """How many tasks of a kind it would take now: two for each that can run, so that nobody waits for the next.

        It is 1 at least where none of the kind runs.
        """

    def submit(self, ticket: int, task: Task | Batch | Opening | Errand) -> None:
        """Takes one task under a ticket."""

    def next(self, within: float | None = None) -> tuple[int, Done] | None:
        """Waits for what any task left, or a part of it; None where nothing came within so many seconds."""

    def fits(self, stages: Sequence[Stage]) -> bool:
        """Whether the models of hosted stages can be held together."""

    def release(self) -> None:
        """The models that are held will not be needed; nothing runs."""

    def pressed(self) -> bool:
        """Whether passes wait because there is no room for what they hand over."""

    def value(self, parcel: Parcel) -> Any:
        """What a parcel holds, and what was lost of its footage."""

    def drop(self, parcel: Parcel) -> None:
        """A parcel is of no use any more."""

    def close(self) -> None:
        """Ends the workers, and takes away what they left behind."""
