"""What a worker is given, how it is done, and what comes back: rows and failures, never an exception."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vbuild.errors import FULL, StageError, StoreError, VbuildError, is_stop
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.stage import Blob, Clip, Decode, Moved, Request, Row, Sampled, Sink, Sound, Stage
from vbuild.store.actions import encode
from vbuild.store.failures import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence, Set
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from vbuild.store.blobs import Blobs

T = TypeVar("T")


@dataclass(frozen=True)
class Span:
    """A clip of the work's video, or all of it."""

    start_pts: int
    end_pts: int
    duration: float
    """Seconds."""

    @property
    def start(self) -> float:
        """Seconds of the source's clock."""
        ticks = self.end_pts - self.start_pts
        return self.start_pts * self.duration / ticks if ticks else 0.0


@dataclass(frozen=True)
class Job:
    """One instance's actions in a work."""

    recipe: str
    stage: Stage
    spans: tuple[int, ...]
    """The rows of `Work.spans` that it is for."""
    keys: tuple[bytes, ...]
    """The key of each action."""
    items: tuple[bytes, ...]
    """The id of the clip or video that each action is for, which a failure names."""
    columns: tuple[Mapping[str, Row], ...]
    """What each action reads, by port."""


@dataclass(frozen=True)
class Work:
    """One item for a worker: a pass over (a part of) one video, or a number of actions that read columns only."""

    uri: str
    stream: int
    spans: tuple[Span, ...]
    jobs: tuple[Job, ...]
    bitrate: int | None = None
    """Bits a second of the video's picture."""
    fps: float | None = None
    """The video's frames a second."""
    through: bool = False
    """Whether the video has to be read from its start."""
    decode: Decode = Decode()
    memory: int = 0
    """Bytes that it takes beside a bare worker."""

    def actions(self) -> set[tuple[str, bytes]]:
        """What it does, by recipe and key."""
        return {(job.recipe, key) for job in self.jobs for key in job.keys}

    def only(self, actions: Set[tuple[str, bytes]]) -> Work:
        """The part of it that is some actions, by recipe and key."""
        jobs = []
        for job in self.jobs:
            kept = [n for n, key in enumerate(job.keys) if (job.recipe, key) in actions]
            if kept:
                spans, keys, items = (tuple(of[n] for n in kept) for of in (job.spans, job.keys, job.items))
                columns = tuple(job.columns[n] for n in kept)
                jobs.append(Job(job.recipe, job.stage, spans, keys, items, columns))  # type: ignore[arg-type]
        rows = sorted({row for job in jobs for row in job.spans})
        place = {row: n for n, row in enumerate(rows)}
        jobs = [replace(job, spans=tuple(place[row] for row in job.spans)) for job in jobs]
        return replace(self, spans=tuple(self.spans[row] for row in rows), jobs=tuple(jobs))

    def parts(self) -> list[Work]:
        """The same, a work for each span."""
        rows = range(len(self.spans))
        actions = [
            {(j.recipe, k) for j in self.jobs for r, k in zip(j.spans, j.keys, strict=True) if r == row} for row in rows
        ]
        return [self.only(part) for part in actions if part]


@dataclass
class Done:
    """What a work left."""

    tables: list[tuple[str, pa.Table]] = field(default_factory=list)
    """Recipe id → results."""
    failures: list[Failed] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Failure:
    """An exception of a stage, as plain data."""

    error: str
    message: str


def attempt(call: Callable[[], T]) -> T | Failure:
    """What a call returns, or its failure: the one place where anything that a stage may raise is caught.

    Raises StoreError where there is no room, and KeyboardInterrupt: no item is to blame for those.
    """
    try:
        return call()
    except Exception as error:  # the isolation boundary: one bad item must not end a build
        if is_stop(error):
            raise KeyboardInterrupt from error
        if _full(error):
            raise StoreError(f"{describe(error)}; free space, and build again: what was done is kept") from None
        return Failure(type(error).__name__, describe(error))


def _full(error: BaseException | None) -> bool:
    """Whether an error, or what it came of, is that there is no room."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def describe(error: Exception) -> str:
    """An exception in one line; for what is no error of ours, with its kind."""
    line = " ".join(str(error).split())
    return line if isinstance(error, VbuildError) else f"{type(error).__name__}: {line}".rstrip(": ")


MODELS: dict[str, Any] = {}
"""What `load` made in this process, by recipe."""


def model(job: Job) -> Any:
    """What a job's stage loads, once a process."""
    if job.recipe not in MODELS:
        MODELS[job.recipe] = job.stage.load()
    return MODELS[job.recipe]


def perform(work: Work, blobs: Blobs, build: str) -> Done:
    """Does a work. What a stage raises fails its own action; all others go on."""
    began = time.perf_counter()
    with blobs.scratch() as scratch:
        runners = [_Runner(work, job, blobs, scratch, build) for job in work.jobs]
        decoding = [runner for runner in runners if runner.request is not None]
        for runner in runners:
            if runner.request is None:
                runner.read_only()
        if decoding:
            _decode(work, decoding)
        done = Done()
        for runner in runners:
            runner.finish(done)
    done.seconds = time.perf_counter() - began
    return done


def _decode(work: Work, runners: Sequence[_Runner]) -> None:
    """One pass over the video, which serves every runner."""
    cuts = [
        Cut(
            span.start_pts,
            span.end_pts,
            {str(n): r.request for n, r in enumerate(runners) if r.request and r.wants(row) and not r.job.stage.sink},
            {
                str(n): (r.request, r.sink(row))
                for n, r in enumerate(runners)
                if r.request and r.wants(row) and r.job.stage.sink
            },
        )
        for row, span in enumerate(work.spans)
    ]

    def apart(index: int, name: str, call: Callable[[], object]) -> bool:
        why = attempt(call)
        if isinstance(why, Failure):
            runners[int(name)].fail(index, why)
        return not isinstance(why, Failure)

    began = time.perf_counter()
    stream = iter(footage(work.uri, work.stream, cuts, work.decode, apart, through=work.through))
    left = set(range(len(cuts)))
    while True:
        taken = attempt(lambda: next(stream, None))
        if taken is None or isinstance(taken, Failure):
            break
        left.discard(taken.index)
        for n, runner in enumerate(runners):
            if runner.waits(taken.index):
                runner.take(taken.index, taken.found.get(str(n)), taken.frames, taken.warning)
    why = taken or Failure("MediaError", "no frame could be decoded")
    for row in left:
        for runner in runners:
            if runner.waits(row):
                runner.fail(row, why)
    shared = time.perf_counter() - began - sum(runner.spent for runner in runners)
    for runner in runners:
        runner.share = max(shared, 0.0) / sum(len(r.job.spans) for r in runners)


def _put_away(row: Row, blobs: Blobs) -> Row:
    """A row with its blobs in the store."""
    return {f: _put(value, blobs) for f, value in row.items()}


def _put(value: Any, blobs: Blobs) -> Any:
    if isinstance(value, list) and any(isinstance(item, Blob) for item in value):
        return [_put(item, blobs) for item in value]
    return blobs.put(value.data, value.suffix) if isinstance(value, Blob) else value


class _Runner:
    """Does the actions of one job and gathers their rows."""

    def __init__(self, work: Work, job: Job, blobs: Blobs, scratch: Path, build: str) -> None:
        self.work, self.job, self.blobs, self.scratch, self.build = work, job, blobs, scratch, build
        self.request: Request | None = job.stage.asks()
        self.places = {row: n for n, row in enumerate(job.spans)}
        self.rows: dict[int, Row | Failure] = {}
        self.warnings: dict[int, str | None] = {}
        self.waiting: list[tuple[int, Clip]] = []
        self.sinks: dict[int, _Guarded] = {}
        self.spent = 0.0
        self.share = 0.0

    def wants(self, row: int) -> bool:
        """Whether the job is for a span of the work."""
        return row in self.places

    def waits(self, row: int) -> bool:
        """Whether it is yet to be given a span that it wants."""
        return row in self.places and row not in self.rows

    def clip(self, row: int, found: Sampled | Moved | np.ndarray | None = None) -> Clip:
        """What the stage is given of a span."""
        return Clip(
            duration=self.work.spans[row].duration,
            start=self.work.spans[row].start,
            bitrate=self.work.bitrate,
            fps=self.work.fps,
            frames=found if isinstance(found, Sampled) else None,
            vectors=found if isinstance(found, Moved) else None,
            sound=None if isinstance(found, Sampled | Moved) else found,
            columns=self.job.columns[self.places[row]],
            scratch=self.scratch,
            uri=self.work.uri if self.job.stage.scope == "video" else None,
        )

    def sink(self, row: int) -> Sink:
        """The sink of a span; what it raises is kept from the pass."""
        opened = self.sinks[row] = _Guarded(lambda: self.job.stage.open(self.clip(row), model(self.job)))
        return opened

    def take(self, row: int, found: Sampled | Moved | np.ndarray | None, frames: int, warning: str | None) -> None:
        """A span is over: its sink is closed, or its samples wait until there is a batch of them."""
        self.warnings[row] = warning
        if not frames and not isinstance(self.request, Sound):
            self.fail(row, Failure("MediaError", warning or "no frame of it can be decoded"))
        elif row in self.sinks:
            sink = self.sinks.pop(row)
            sink.close()
            began = time.perf_counter()
            self._keep(row, sink.result)
            self.spent += sink.spent + time.perf_counter() - began
        else:
            self.waiting.append((row, self.clip(row, found)))
            if len(self.waiting) >= self.job.stage.batch:
                self._flush()

    def read_only(self) -> None:
        """Actions that ask nothing of the footage."""
        for row in self.job.spans:
            self.waiting.append((row, self.clip(row)))
            if len(self.waiting) >= self.job.stage.batch:
                self._flush()

    def fail(self, row: int, why: Failure) -> None:
        """The action of a span failed."""
        if (sink := self.sinks.pop(row, None)) is not None:
            self.spent += sink.spent
        self.rows[row] = why

    def _flush(self) -> None:
        """Runs the clips that wait, together; if that fails, one by one, so that only the guilty fail."""
        waiting, self.waiting = self.waiting, []
        began = time.perf_counter()
        found = attempt(lambda: self._run([clip for _, clip in waiting]))
        if isinstance(found, Failure):
            for row, clip in waiting:
                alone = found if len(waiting) == 1 else attempt(partial(self._run, [clip]))
                self._keep(row, alone if isinstance(alone, Failure) else alone[0])
        else:
            for (row, _), result in zip(waiting, found, strict=True):
                self._keep(row, result)
        self.spent += time.perf_counter() - began

    def _run(self, clips: list[Clip]) -> list[Row]:
        stage = self.job.stage
        rows = list(stage.run(clips, model(self.job)))
        if len(rows) != len(clips):
            raise StageError(f"{stage.title()}: {len(rows)} rows for {len(clips)} clips; run must give one each")
        return rows

    def _keep(self, row: int, result: Row | Failure) -> None:
        """Holds a row that can be stored, its blobs put away; else the failure."""
        self.rows[row] = result if isinstance(result, Failure) else attempt(lambda: _put_away(result, self.blobs))

    def finish(self, done: Done) -> None:
        """Adds the job's rows and failures to what the work left."""
        if self.waiting:
            self._flush()
        stage = self.job.stage
        seconds = self.spent / max(len(self.rows), 1) + self.share
        good = [row for row in self.job.spans if not isinstance(self.rows[row], Failure)]
        table = attempt(lambda: self._table(good, seconds))
        if isinstance(table, Failure):
            for row in good:
                alone = attempt(partial(self._table, [row], seconds))
                if isinstance(alone, Failure):
                    self.rows[row] = alone
                else:
                    done.tables.append((self.job.recipe, alone))
        elif good:
            done.tables.append((self.job.recipe, table))
        for row, why in self.rows.items():
            if isinstance(why, Failure):
                place = self.places[row]
                key, item = self.job.keys[place], self.job.items[place]
                done.failures.append(Failed(key, stage.title(), self.job.recipe, why.error, why.message, item))

    def _table(self, rows: list[int], seconds: float) -> pa.Table:
        found = [self.rows[row] for row in rows]
        return encode(
            self.job.stage,
            [row for row in found if not isinstance(row, Failure)],
            keys=[self.job.keys[self.places[row]] for row in rows],
            warnings=[self.warnings.get(row) for row in rows],
            seconds=seconds,
            build=self.build,
        )


class _Guarded:
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
