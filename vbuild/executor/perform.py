"""A worker's side: does a work, and keeps each stage's faults from all others."""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vbuild.errors import StageError, StoreError
from vbuild.executor.faults import Failure, attempt
from vbuild.executor.work import Done, together
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.stage import Blob, Clip, Moved, Request, Row, Sampled, Sink, Sound
from vbuild.store.actions import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    import pyarrow as pa

    from vbuild.executor.work import Job, Work
    from vbuild.store.blobs import Blobs
    from vbuild.store.failures import Failed

T = TypeVar("T")

MODELS: dict[str, Any] = {}
"""What `load` made in this process, by recipe."""


def model(job: Job) -> Any:
    """What a job's stage loads, once a process."""
    if job.recipe not in MODELS:
        MODELS[job.recipe] = job.stage.load()
    return MODELS[job.recipe]


def perform(
    work: Work, blobs: Blobs, build: str, limit: Callable[[], AbstractContextManager[object]] = nullcontext
) -> Done:
    """Does a work. What a stage raises fails its own action; all others go on.

    `limit` ends the process where it takes too long; what stages load is no part of that.
    """
    failed: list[Failed] = []
    for job in work.jobs:
        why = attempt(partial(model, job), loads=True)
        if isinstance(why, Failure):
            failed += work.failed(why, {(job.recipe, key) for key in job.keys})
    rest = work.only(work.actions() - {(f.recipe, f.key) for f in failed}) if failed else work
    with limit():
        done = _done(rest, blobs, build)
        crowded = [f for f in done.failures if f.crowded]
        if crowded and len(rest.actions()) > 1:
            done.failures = [f for f in done.failures if not f.crowded]
            done = together([done, *(_done(rest.only({(f.recipe, f.key)}), blobs, build) for f in crowded)])
    done.failures += failed
    return done


def _done(work: Work, blobs: Blobs, build: str) -> Done:
    """Does all of a work at once."""
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
        taken = attempt(lambda: next(stream, None), reads=True)
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
    if not isinstance(value, Blob):
        return value
    if isinstance(value.data, Path) and not value.data.is_file():
        raise StageError(f"{value.data.name}: the stage names a file that it did not leave")
    try:
        return blobs.put(value.data, value.suffix)
    except OSError as error:
        raise StoreError(f"{blobs.folder}: it cannot be written ({error})") from error


class _Runner:
    """Does the actions of one job and gathers their rows."""

    def __init__(self, work: Work, job: Job, blobs: Blobs, scratch: Path, build: str) -> None:
        self.work, self.job, self.blobs, self.scratch, self.build = work, job, blobs, scratch, build
        self.request: Request | None = job.stage.asks()
        self.reads = self.request is None and not job.columns
        """Whether the stage opens the file itself."""
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
            columns={port: read[self.places[row]] for port, read in self.job.columns.items()},
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
        found = attempt(lambda: self._run([clip for _, clip in waiting]), reads=self.reads)
        if isinstance(found, Failure):
            guilty = len(waiting) == 1 or found.kind == "place"
            for row, clip in waiting:
                alone = found if guilty else attempt(partial(self._run, [clip]), reads=self.reads)
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
                done.failures.append(why.of(stage, self.job.recipe, self.job.keys[place], self.job.items[place]))

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
