"""What stages do in a process: a model is loaded once, rows are made, and the faults of a sink are kept to it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vbuild.errors import StageError
from vbuild.executor.faults import Failure, attempt
from vbuild.stage import Clip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from vbuild.executor.work import Job
    from vbuild.stage import Row, Sampled, Sink, Stage

T = TypeVar("T")

MODELS: dict[str, Any] = {}
"""What `load` made in this process, by recipe."""


def loaded(recipe: str, stage: Stage) -> Any:
    """What a stage loads, once a process."""
    if recipe not in MODELS:
        MODELS[recipe] = stage.load()
    return MODELS[recipe]


def rows_of(stage: Stage, clips: Sequence[Clip], model: Any) -> list[Row]:
    """What a stage says of clips, a row each. Raises StageError if it says more or less."""
    rows = list(stage.run(clips, model))
    if len(rows) != len(clips):
        raise StageError(f"{stage.title()}: {len(rows)} rows for {len(clips)} clips; run must give one each")
    return rows


def tabled(
    some: Sequence[T], table: Callable[[Sequence[T]], pa.Table]
) -> tuple[list[pa.Table], list[tuple[T, Failure]]]:
    """Some results as a table; what cannot be stored among others fails alone, and they have a table each."""
    whole = attempt(lambda: table(some)) if some else None
    if not isinstance(whole, Failure):
        return [] if whole is None else [whole], []
    alone = [(one, whole if len(some) == 1 else attempt(partial(table, [one]))) for one in some]
    made = [result for _, result in alone if not isinstance(result, Failure)]
    return made, [(one, result) for one, result in alone if isinstance(result, Failure)]


class Answers:
    """What a hosted stage says here, in this process, of the parts of one clip that its sink cuts."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.waiting: list[Clip] = []
        self.rows: list[Row] = []

    def send(self, part: Sampled) -> None:
        """One part."""
        self.waiting.append(Clip(duration=0.0, frames=part))
        if len(self.waiting) >= self.job.stage.batch:
            self._run()

    def _run(self) -> None:
        waiting, self.waiting = self.waiting, []
        self.rows += rows_of(self.job.stage, waiting, loaded(self.job.recipe, self.job.stage)) if waiting else []

    def joined(self, left: Row) -> Row:
        """The clip's row."""
        self._run()
        return self.job.stage.join(left, self.rows)


class Guarded:
    """A sink that is opened at its first frame, and whose exceptions end it alone."""

    def __init__(self, opener: Callable[[], Sink]) -> None:
        self.opener = opener
        self.inner: Sink | Failure | None = None
        self.result: Row | Failure = {}
        self.spent = 0.0

    def _feed(self, call: Callable[[Sink], T]) -> T | Failure:
        began = time.perf_counter()
        if self.inner is None:
            self.inner = attempt(self.opener)
        inner = self.inner
        result = inner if isinstance(inner, Failure) else attempt(lambda: call(inner))
        if isinstance(result, Failure):
            self.inner = result
        self.spent += time.perf_counter() - began
        return result

    def frame(self, frame: Any, time: float) -> None:
        """One frame of the clip."""
        self._feed(lambda sink: sink.frame(frame, time))

    def packet(self, packet: Any) -> None:
        """One packet of sound."""
        self._feed(lambda sink: sink.packet(packet))

    def close(self) -> Row:
        """The end of the clip; what comes of it is in `result`."""
        self.result = self._feed(lambda sink: sink.close())
        return {}
