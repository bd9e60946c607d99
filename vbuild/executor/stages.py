"""What stages do in a process: a model is loaded once, rows are made, and the faults of a sink are kept to it."""

from __future__ import annotations

import time
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vbuild.errors import StageError
from vbuild.executor.faults import Failure, attempt
from vbuild.stage import Frames, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from vbuild.executor.work import Job
    from vbuild.stage import Clip, Row, Sampled, Sink
    from vbuild.windows import Stretch

T = TypeVar("T")

MODELS: dict[str, tuple[list[Any], Any]] = {}
"""What `load` made in this process, by recipe, and the knobs of the stage that it was made for."""

KNOBS = {"knob", "lent"}
"""Marks of fields that may change without another recipe; a stage that is lent has knobs of its own."""

BATCHING = {f.name for f in fields(Stage)}
"""Knobs that all stages have: they are nothing to a model."""


def loaded(recipe: str, stage: Stage) -> Any:
    """What a stage loads, once a process, and anew where a knob of its own is another, such as a server's address."""
    knobs = [getattr(stage, f.name) for f in fields(stage) if {*f.metadata} & KNOBS and f.name not in BATCHING]
    if recipe not in MODELS or MODELS[recipe][0] != knobs:
        MODELS[recipe] = knobs, stage.load()
    return MODELS[recipe][1]


def rows_of(stage: Stage, clips: Sequence[Clip], model: Any) -> list[Row | Failure]:
    """What a stage says of clips, a row each or why there is none. Raises StageError if it says more or less."""
    rows = list(stage.run(clips, model))
    if len(rows) != len(clips):
        raise StageError(f"{stage.title()}: {len(rows)} rows for {len(clips)} clips; run must give one each")
    return [attempt(partial(_raised, row)) if isinstance(row, Exception) else row for row in rows]


def _raised(error: Exception) -> Row:
    raise error


def in_windows(stage: Stage) -> bool:
    """Whether a stage is given clips window by window."""
    request = stage.asks()
    return isinstance(request, Frames) and request.windows is not None


class Windowing:
    """Sends each window of a clip, as a pass cuts it, to where the model is."""

    def __init__(self, send: Callable[[Sampled, Stretch], None]) -> None:
        self.send = send
        self.windows: list[Stretch] = []

    def frame(self, frame: Any, time: float) -> None:  # noqa: ARG002
        """One window and its frames."""
        window, frames = frame
        self.windows.append(window)
        self.send(frames, window)

    def packet(self, packet: Any) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """All windows."""
        return {"windows": self.windows}


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
        self.rows: list[Row | Failure] = []

    def send(self, part: Clip) -> None:
        """One part."""
        self.waiting.append(part)
        if len(self.waiting) >= self.job.stage.batch:
            self._run()

    def _run(self) -> None:
        waiting, self.waiting = self.waiting, []
        self.rows += self._asked(waiting) if waiting else []

    def _asked(self, parts: list[Clip]) -> list[Row | Failure]:
        """What is said of parts; if all fail together, of each by itself, so that only the guilty fail."""
        model = loaded(self.job.recipe, self.job.stage)
        rows = attempt(lambda: rows_of(self.job.stage, parts, model))
        if not isinstance(rows, Failure):
            return rows
        return [rows] if len(parts) == 1 else [row for part in parts for row in self._asked([part])]

    def joined(self, left: Row) -> tuple[Row | None, Failure | None]:
        """The clip's row, and what failed of it."""
        self._run()
        failed = next((row for row in self.rows if isinstance(row, Failure)), None)
        if failed is not None and not failed.spares(self.job.stage):
            return None, failed
        rows = [None if isinstance(row, Failure) else row for row in self.rows]
        return self.job.stage.join(left, rows), failed


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
