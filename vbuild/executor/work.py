"""What a worker is given, and what comes back: rows and failures, never an exception."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from vbuild import uris
from vbuild.executor.protocol import Needs
from vbuild.stage import Decode, Row, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    import pyarrow as pa

    from vbuild.executor.faults import Failure
    from vbuild.executor.spool import Parcel
    from vbuild.near.chores import Chore, Made
    from vbuild.rows import Rows
    from vbuild.store.failures import Failed
    from vbuild.uris import Seen

Action = tuple[str, bytes]
"""A recipe's id and a key."""


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
    """One instance's actions in a task."""

    recipe: str
    stage: Stage
    spans: tuple[int, ...]
    """The rows of `Task.spans` that it is for."""
    keys: tuple[bytes, ...]
    """The key of each action."""
    items: tuple[bytes, ...]
    """The id of the clip or video that each action is for, which a failure names."""
    columns: Mapping[str, Rows]
    """What the actions read, by port."""


@dataclass(frozen=True)
class Task:
    """One item for a worker: a pass over (a part of) one video, or a number of actions that read columns only."""

    uri: str
    stream: int
    spans: tuple[Span, ...]
    jobs: tuple[Job, ...]
    seen: Seen | None = None
    """What the file looked like when its bytes were digested; None for a task that opens none."""
    bitrate: int | None = None
    """Bits a second of the video's picture."""
    fps: float | None = None
    """The video's frames a second."""
    through: bool = False
    """Whether the video has to be read from its start."""
    decode: Decode = Decode()
    memory: int = 0
    """Bytes that it takes beside a bare worker."""

    @property
    def needs(self) -> Needs:
        """What it takes. One that reads columns only and has a model goes to where the model is."""
        return Needs(self.memory, any(job.stage.hosted and job.stage.asks() is None for job in self.jobs))

    def stale(self) -> bool:
        """Whether the file is not the one any more whose bytes its keys are of."""
        return self.seen is not None and uris.altered(self.uri, self.seen)

    def actions(self) -> set[Action]:
        """What it does, by recipe and key."""
        return {(job.recipe, key) for job in self.jobs for key in job.keys}

    def only(self, actions: Set[Action]) -> Task:
        """The part of it that is some actions, by recipe and key."""
        jobs = []
        for job in self.jobs:
            kept = [n for n, key in enumerate(job.keys) if (job.recipe, key) in actions]
            if kept:
                spans, keys, items = (tuple(of[n] for n in kept) for of in (job.spans, job.keys, job.items))
                columns = {port: read.take(kept) for port, read in job.columns.items()}
                jobs.append(Job(job.recipe, job.stage, spans, keys, items, columns))  # type: ignore[arg-type]
        rows = sorted({row for job in jobs for row in job.spans})
        place = {row: n for n, row in enumerate(rows)}
        jobs = [replace(job, spans=tuple(place[row] for row in job.spans)) for job in jobs]
        return replace(self, spans=tuple(self.spans[row] for row in rows), jobs=tuple(jobs))

    def split(self) -> list[Task]:
        """The same, a task for each span; of one span, a task for each stage. One that cannot be parted is alone."""
        if len(self.spans) > 1:
            parts = [
                {(j.recipe, k) for j in self.jobs for r, k in zip(j.spans, j.keys, strict=True) if r == row}
                for row in range(len(self.spans))
            ]
        else:
            parts = [{(job.recipe, key) for key in job.keys} for job in self.jobs]
        return [self.only(part) for part in parts if part]

    def failed(self, why: Failure, actions: Set[Action] | None = None) -> list[Failed]:
        """All of its actions, or some, as failures."""
        return [
            why.of(job.stage, job.recipe, key, item)
            for job in self.jobs
            for key, item in zip(job.keys, job.items, strict=True)
            if actions is None or (job.recipe, key) in actions
        ]


@dataclass(frozen=True)
class Batch:
    """Parcels of one recipe and shape, which go through a model together."""

    stage: Stage
    parcels: tuple[Parcel, ...]

    needs: ClassVar[Needs] = Needs(hosted=True)

    def split(self) -> list[Batch]:
        """The same, a batch for each parcel."""
        return [replace(self, parcels=(parcel,)) for parcel in self.parcels]

    def failed(self, why: Failure, parcels: Sequence[Parcel] | None = None) -> Done:
        """Its parcels, or some, as failures; a part without which there is a row all the same, as an answer."""
        done = Done()
        for parcel in self.parcels if parcels is None else parcels:
            failed = why.of(self.stage, parcel.recipe, parcel.key, parcel.item)
            if parcel.parts is None and why.spares(self.stage):
                done.answers.append((parcel, failed))
            else:
                done.failures.append(failed)
        return done


@dataclass(frozen=True)
class Opening:
    """A stage whose model will be wanted soon."""

    recipe: str
    stage: Stage


@dataclass(frozen=True)
class Errand:
    """What is to be done for a dataset as a whole, such as comparing vectors: no clip is to blame for it."""

    chore: Chore

    @property
    def memory(self) -> int:
        """Bytes that it takes beside a bare worker."""
        return self.chore.memory

    @property
    def needs(self) -> Needs:
        """What it takes."""
        return Needs(self.memory)


@dataclass
class Done:
    """What a task left, or a part of it."""

    tables: list[tuple[str, pa.Table]] = field(default_factory=list)
    """Recipe id → results."""
    failures: list[Failed] = field(default_factory=list)
    seconds: float = 0.0
    parcels: list[Parcel] = field(default_factory=list)
    """What it hands over."""
    answers: list[tuple[Parcel, Row | Failed]] = field(default_factory=list)
    """What a model said of parcels that are a part of an action, or why it said nothing."""
    cap: int | None = None
    """How many parcels of the batch's shape there is memory for, if for fewer than there were."""
    loads: dict[str, float] = field(default_factory=dict)
    """Recipe → seconds that its model took to load."""
    made: Made | None = None
    """What an errand left."""
    fault: Failure | None = None
    """Why it left nothing."""
    finished: bool = True
    """Whether that is all."""


def together(parts: Sequence[Done]) -> Done:
    """What several tasks left, as one."""
    return Done(
        tables=[table for part in parts for table in part.tables],
        failures=[failed for part in parts for failed in part.failures],
        answers=[answer for part in parts for answer in part.answers],
        seconds=sum(part.seconds for part in parts),
    )
