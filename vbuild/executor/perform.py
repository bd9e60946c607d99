"""A worker's side: does a task, and keeps each stage's faults from all others."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbuild.errors import StageError, StoreError
from vbuild.executor.faults import Failure, attempt
from vbuild.executor.spool import LAST
from vbuild.executor.stages import Answers, Guarded, Windowing, in_windows, loaded, rows_of, tabled
from vbuild.executor.work import Done, Errand, together
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.stage import Blob, Clip, Moved, Request, Row, Sampled, Sink, Sound
from vbuild.store.actions import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    import pyarrow as pa

    from vbuild.executor.spool import Outbox
    from vbuild.executor.work import Job, Task
    from vbuild.store.blobs import Blobs
    from vbuild.store.failures import Failed
    from vbuild.windows import Stretch


def perform(
    task: Task | Errand,
    blobs: Blobs,
    build: str,
    limit: Callable[[], AbstractContextManager[object]] = nullcontext,
    outbox: Outbox | None = None,
) -> Done:
    """Does a task. What a stage raises fails its own action; all others go on.

    `limit` ends the process where it takes too long; what stages load is no part of that. What hosted stages are to see
    goes to the outbox; without one they run here, as all others. An errand has no limit of time.
    """
    if isinstance(task, Errand):
        return _run_errand(task)
    failed: list[Failed] = []
    for job in task.jobs:
        if outbox is not None and job.stage.hosted:
            continue
        why = attempt(partial(loaded, job.recipe, job.stage), loads=True)
        if isinstance(why, Failure):
            failed += task.failed(why, {(job.recipe, key) for key in job.keys})
    rest = task.only(task.actions() - {(f.recipe, f.key) for f in failed}) if failed else task
    with limit():
        done = _done(rest, blobs, build, outbox)
        crowded = [f for f in done.failures if f.crowded]
        if crowded and len(rest.actions()) > 1:
            done.failures = [f for f in done.failures if not f.crowded]
            done = together([done, *(_done(rest.only({(f.recipe, f.key)}), blobs, build, outbox) for f in crowded)])
    done.failures += failed
    return done


def _run_errand(errand: Errand) -> Done:
    """Does an errand."""
    began = time.perf_counter()
    made = attempt(errand.chore.run)
    done = Done(fault=made) if isinstance(made, Failure) else Done(made=made)
    done.seconds = time.perf_counter() - began
    return done


def _done(task: Task, blobs: Blobs, build: str, outbox: Outbox | None) -> Done:
    """Does all of a task at once."""
    began = time.perf_counter()
    with blobs.scratch() as scratch:
        runners = [_Runner(task, job, blobs, scratch, build, outbox if job.stage.hosted else None) for job in task.jobs]
        decoding = [runner for runner in runners if runner.request is not None]
        for runner in runners:
            if runner.request is None:
                runner.read_only()
        if decoding:
            _decode(task, decoding)
        done = Done()
        for runner in runners:
            runner.finish(done)
    done.seconds = time.perf_counter() - began
    return done


def _decode(task: Task, runners: Sequence[_Runner]) -> None:
    """One pass over the video, which serves every runner."""
    cuts = [
        Cut(
            span.start_pts,
            span.end_pts,
            {str(n): r.request for n, r in enumerate(runners) if r.request and r.wants(row) and not r.streams},
            {
                str(n): (r.request, r.sink(row))
                for n, r in enumerate(runners)
                if r.request and r.wants(row) and r.streams
            },
        )
        for row, span in enumerate(task.spans)
    ]

    def apart(index: int, name: str, call: Callable[[], object]) -> bool:
        why = attempt(call)
        if isinstance(why, Failure):
            runners[int(name)].fail(index, why)
        return not isinstance(why, Failure)

    began = time.perf_counter()
    stream = iter(footage(task.uri, task.stream, cuts, task.decode, apart, through=task.through))
    left = set(range(len(cuts)))
    while True:
        taken = attempt(lambda: next(stream, None), reads=True)
        if taken is None or isinstance(taken, Failure):
            break
        left.discard(taken.index)
        for n, runner in enumerate(runners):
            if runner.waits(taken.index):
                runner.take(taken.index, taken.samples.get(str(n)), taken.frames, taken.warning)
    why = taken or Failure("MediaError", "no frame could be decoded")
    for row in left:
        for runner in runners:
            if runner.waits(row):
                runner.fail(row, why)
    waited = sum(box.waited for box in {id(r.outbox): r.outbox for r in runners if r.outbox}.values())
    shared = time.perf_counter() - began - waited - sum(runner.spent for runner in runners)
    for runner in runners:
        runner.share = max(shared, 0.0) / sum(len(r.job.spans) for r in runners)


def put_away(row: Row, blobs: Blobs) -> Row:
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

    def __init__(
        self, task: Task, job: Job, blobs: Blobs, scratch: Path, build: str, outbox: Outbox | None = None
    ) -> None:
        self.task, self.job, self.outbox = task, job, outbox
        self.blobs, self.scratch, self.build = blobs, scratch, build
        self.request: Request | None = job.stage.asks()
        self.streams = job.stage.sink or in_windows(job.stage)
        """Whether it is given footage while that is decoded."""
        self.reads = self.request is None and not job.columns
        """Whether the stage opens the file itself."""
        self.places = {row: n for n, row in enumerate(job.spans)}
        self.rows: dict[int, Row | Failure] = {}
        self.handed: set[int] = set()
        """The spans whose rows are made elsewhere."""
        self.parts: dict[int, int] = {}
        """How many parts of a span were handed over."""
        self.answers: dict[int, Answers] = {}
        self.beside: dict[int, Failure] = {}
        """What failed of spans that have a row for all that."""
        self.warnings: dict[int, str | None] = {}
        self.waiting: list[tuple[int, Clip]] = []
        self.sinks: dict[int, Guarded] = {}
        self.spent = 0.0
        self.share = 0.0

    def wants(self, row: int) -> bool:
        """Whether the job is for a span of the task."""
        return row in self.places

    def waits(self, row: int) -> bool:
        """Whether it is yet to be given a span that it wants."""
        return row in self.places and row not in self.rows and row not in self.handed

    def clip(self, row: int, sample: Sampled | Moved | np.ndarray | None = None, window: Stretch | None = None) -> Clip:
        """What the stage is given of a span."""
        return Clip(
            duration=self.task.spans[row].duration,
            start=self.task.spans[row].start,
            bitrate=self.task.bitrate,
            fps=self.task.fps,
            frames=sample if isinstance(sample, Sampled) else None,
            window=window,
            vectors=sample if isinstance(sample, Moved) else None,
            sound=None if isinstance(sample, Sampled | Moved) else sample,
            columns={port: read[self.places[row]] for port, read in self.job.columns.items()},
            scratch=self.scratch,
            uri=self.task.uri if self.job.stage.scope == "video" else None,
        )

    def sink(self, row: int) -> Sink:
        """The sink of a span; what it raises is kept from the pass."""
        opened = self.sinks[row] = Guarded(partial(self._opened, row))
        return opened

    def _opened(self, row: int) -> Sink:
        stage = self.job.stage
        if not stage.sink:
            return Windowing(partial(self._send, row))
        model = partial(self._send, row) if stage.hosted else loaded(self.job.recipe, stage)
        return stage.open(self.clip(row), model)

    def take(self, row: int, sample: Sampled | Moved | np.ndarray | None, frames: int, warning: str | None) -> None:
        """A span is over: its sink is closed, or its samples wait until there is a batch of them."""
        self.warnings[row] = warning
        if not frames and not isinstance(self.request, Sound):
            self.fail(row, Failure("MediaError", warning or "no frame of it can be decoded"))
        elif row in self.sinks:
            sink = self.sinks.pop(row)
            sink.close()
            began = time.perf_counter()
            self._closed(row, sink.result)
            self.spent += sink.spent + time.perf_counter() - began
        elif self.outbox is not None:
            self._try(row, lambda: self._hand(row, 0, 1, self.job.stage.prepare(self.clip(row, sample))))
        else:
            self._try(row, lambda: self._wait(row, self.clip(row, sample)))

    def _wait(self, row: int, clip: Clip) -> None:
        """A clip waits for a batch of them."""
        self.waiting.append((row, self.job.stage.prepare(clip) if self.job.stage.hosted else clip))
        if len(self.waiting) >= self.job.stage.batch:
            self._flush()

    def _send(self, row: int, frames: Sampled, window: Stretch | None = None) -> None:
        """Hands a part of a span over, as its sink cuts it, or runs it here."""
        part = self.clip(row, frames, window)
        part = part if window is None else self.job.stage.prepare(part)
        if self.outbox is None:
            self.answers.setdefault(row, Answers(self.job)).send(part)
            return
        count = self.parts[row] = self.parts.get(row, 0) + 1
        self._hand(row, count - 1, None, part)

    def _hand(self, row: int, part: int, parts: int | None, value: Clip | Row) -> None:
        """Hands a span, or a part of it, over to where its model is."""
        assert self.outbox is not None
        place = self.places[row]
        action, item = (self.job.recipe, self.job.keys[place]), self.job.items[place]
        shape = self.job.stage.shape(value) if isinstance(value, Clip) else ()
        bare = value
        if isinstance(value, Clip):  # a row that is read stands for the whole table that it is of
            read = {port: dict(row) for port, row in value.columns.items()}
            bare = replace(value, scratch=None, columns=read)
        self.outbox.send(action, item, part, parts, shape, (bare, self.warnings.get(row)))
        if parts is not None:
            self.handed.add(row)

    def _closed(self, row: int, left: Row | Failure) -> None:
        """A sink is done: it left the row, or, of a hosted stage, what stands beside the parts that it sent."""
        if isinstance(left, Failure) or not self.job.stage.hosted:
            self._keep(row, left)
        elif self.outbox is None:
            answers = self.answers.pop(row, None) or Answers(self.job)
            joined = attempt(lambda: answers.joined(left))
            made, failed = (joined, None) if isinstance(joined, Failure) else joined
            if failed is not None:
                self.beside[row] = failed
            self._keep(row, made if made is not None else self.beside.pop(row))
        else:
            self._try(row, lambda: self._hand(row, LAST, self.parts.pop(row, 0), left))

    def _try(self, row: int, call: Callable[[], None]) -> None:
        """Does something for a span, which fails if that does."""
        why = attempt(call)
        if isinstance(why, Failure):
            self.fail(row, why)

    def read_only(self) -> None:
        """Actions that ask nothing of the footage."""
        for row in self.job.spans:
            self._wait(row, self.clip(row))

    def fail(self, row: int, why: Failure) -> None:
        """The action of a span failed."""
        if (sink := self.sinks.pop(row, None)) is not None:
            self.spent += sink.spent
        self.rows[row] = why

    def _flush(self) -> None:
        """Runs the clips that wait, together; if that fails, one by one, so that only the guilty fail."""
        waiting, self.waiting = self.waiting, []
        began = time.perf_counter()
        rows = attempt(lambda: self._run([clip for _, clip in waiting]), reads=self.reads)
        if isinstance(rows, Failure):
            guilty = len(waiting) == 1 or rows.kind == "place"
            for row, clip in waiting:
                alone = rows if guilty else attempt(partial(self._run, [clip]), reads=self.reads)
                self._keep(row, alone if isinstance(alone, Failure) else alone[0])
        else:
            for (row, _), result in zip(waiting, rows, strict=True):
                self._keep(row, result)
        self.spent += time.perf_counter() - began

    def _run(self, clips: list[Clip]) -> list[Row | Failure]:
        return rows_of(self.job.stage, clips, loaded(self.job.recipe, self.job.stage))

    def _keep(self, row: int, result: Row | Failure) -> None:
        """Holds a row that can be stored, its blobs put away; else the failure."""
        self.rows[row] = result if isinstance(result, Failure) else attempt(lambda: put_away(result, self.blobs))

    def finish(self, done: Done) -> None:
        """Adds the job's rows and failures to what the task left."""
        if self.waiting:
            self._flush()
        stage = self.job.stage
        seconds = self.spent / max(len(self.rows), 1) + self.share
        good = [row for row in self.job.spans if row not in self.handed and not isinstance(self.rows[row], Failure)]
        tables, failed = tabled(good, lambda rows: self._table(rows, seconds))
        done.tables += [(self.job.recipe, table) for table in tables]
        self.rows |= failed
        for row, why in [*self.rows.items(), *self.beside.items()]:
            if isinstance(why, Failure):
                place = self.places[row]
                done.failures.append(why.of(stage, self.job.recipe, self.job.keys[place], self.job.items[place]))

    def _table(self, rows: Sequence[int], seconds: float) -> pa.Table:
        results = [self.rows[row] for row in rows]
        return encode(
            self.job.stage,
            [row for row in results if not isinstance(row, Failure)],
            keys=[self.job.keys[self.places[row]] for row in rows],
            warnings=[self.warnings.get(row) for row in rows],
            seconds=seconds,
            build=self.build,
        )
