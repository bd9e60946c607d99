"""Forms batches for models of what passes hand over, over all videos, and joins what models say of a clip's parts."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vbuild.executor.spool import LAST, Parcel
from vbuild.executor.work import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbuild.engine.schedule import Queued
    from vbuild.executor.work import Action
    from vbuild.stage import Row, Stage
    from vbuild.store.failures import Failed

LINGER = 0.02
"""Seconds for which a batch that is not full waits for more, while a model has nothing to do."""

Bucket = tuple[str, tuple[object, ...]]
"""A recipe and a shape: of one are the parcels of a batch."""


@dataclass
class Handed:
    """An action that a pass handed over, and that no model has answered to the end."""

    stage: Stage
    origin: Queued
    """The task that it came of."""
    item: bytes
    lying: dict[int, Parcel] = field(default_factory=dict)
    """Part → where it lies, of those that are not with a model."""
    known: set[int] = field(default_factory=set)
    """Parts that came."""
    rows: dict[int, Row | Failed] = field(default_factory=dict)
    """Part → what was said of it, or why nothing was."""
    seconds: float = 0.0
    """What that took."""

    @property
    def complete(self) -> bool:
        """Whether all parts are there and answered."""
        return LAST in self.lying and len(self.rows) == self.lying[LAST].parts


@dataclass
class Batches:
    """Parcels that wait for a model, in buckets of one shape."""

    drop: Callable[[Parcel], None]
    """Called with every parcel that is of no use any more."""
    handed: dict[Action, Handed] = field(default_factory=dict)
    buckets: dict[Bucket, deque[tuple[float, Parcel]]] = field(default_factory=dict)
    caps: dict[Bucket, int] = field(default_factory=dict)
    """How many parcels of a bucket memory was found to be enough for, where it was not for all."""

    def add(self, parcel: Parcel, stage: Stage, origin: Queued) -> bool:
        """Takes a parcel; whether it is the first of its action. One that is there already is dropped."""
        new = parcel.action not in self.handed
        handed = self.handed.setdefault(parcel.action, Handed(stage, origin, parcel.item))
        if parcel.part in handed.known:
            self.drop(parcel)
            return new
        handed.known.add(parcel.part)
        handed.lying[parcel.part] = parcel
        if parcel.part != LAST:
            self.buckets.setdefault(_bucket(parcel), deque()).append((time.monotonic(), parcel))
        return new

    def take(self, *, partial: bool) -> Batch | None:
        """A full batch, that of the oldest parcel first; else, if `partial`, the one that there is."""
        full = [bucket for bucket, waiting in self.buckets.items() if len(waiting) >= self._most(bucket)]
        some = full or (list(self.buckets) if partial else [])
        if not some:
            return None
        bucket = min(some, key=lambda bucket: self.buckets[bucket][0][0])
        waiting = self.buckets[bucket]
        parcels = tuple(waiting.popleft()[1] for _ in range(min(self._most(bucket), len(waiting))))
        if not waiting:
            del self.buckets[bucket]
        for parcel in parcels:
            del self.handed[parcel.action].lying[parcel.part]
        return Batch(self.handed[parcels[0].action].stage, parcels)

    def _most(self, bucket: Bucket) -> int:
        """How many parcels of a bucket go together at most."""
        parcel = self.buckets[bucket][0][1]
        stage = self.handed[parcel.action].stage
        return max(1, min(stage.batch, stage.batch_bytes // max(parcel.size, 1), self.caps.get(bucket, stage.batch)))

    def age(self) -> float | None:
        """Seconds for which the oldest parcel has waited; None if none waits."""
        since = min((waiting[0][0] for waiting in self.buckets.values()), default=None)
        return None if since is None else time.monotonic() - since

    def capped(self, batch: Batch, most: int) -> None:
        """Memory was not enough for a batch, but is for so many."""
        self.caps[_bucket(batch.parcels[0])] = most

    def forget(self, action: Action) -> Handed | None:
        """An action is over, or will be handed over anew."""
        handed = self.handed.pop(action, None)
        if handed is None:
            return None
        for parcel in handed.lying.values():
            self.drop(parcel)
        for bucket in {_bucket(parcel) for parcel in handed.lying.values()} & self.buckets.keys():
            left = deque(one for one in self.buckets[bucket] if one[1].action != action)
            if left:
                self.buckets[bucket] = left
            else:
                del self.buckets[bucket]
        return handed

    def taken(self, batch: Batch) -> None:
        """The parcels of a batch are not needed any more."""
        for parcel in batch.parcels:
            self.drop(parcel)


def _bucket(parcel: Parcel) -> Bucket:
    return parcel.recipe, parcel.shape
