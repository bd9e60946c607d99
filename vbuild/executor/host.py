"""A model process's side: holds models, runs batches of parcels through them, and finds who is to blame."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vbuild.executor.faults import Failure, attempt
from vbuild.executor.perform import put_away
from vbuild.executor.pool import TRIES, Watchdog
from vbuild.executor.spool import read_parcel
from vbuild.executor.stages import loaded, rows_of, tabled
from vbuild.executor.work import Done, together
from vbuild.store.actions import encode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vbuild.executor.spool import Parcel
    from vbuild.executor.work import Batch
    from vbuild.stage import Row, Stage
    from vbuild.store.blobs import Blobs

T = TypeVar("T")

CROWDED = ("out of memory", "can't allocate memory", "cublas_status_alloc_failed")
"""What libraries say, in small letters and errors of many classes, where memory is not enough."""

CAPS: dict[tuple[str, tuple[object, ...]], int] = {}
"""Recipe and shape → how many parcels memory was found to be enough for, where it was not for all."""

LOST: dict[str, list[Failure]] = {}
"""Recipe → why its model could not be loaded, each time."""


def open_model(recipe: str, stage: Stage) -> Any:
    """The model of a stage, or why there is none."""
    lost = LOST.setdefault(recipe, [])
    if len(lost) >= TRIES:
        return lost[-1]
    model = attempt(partial(loaded, recipe, stage), loads=True)
    if isinstance(model, Failure):
        lost.append(model)
    return model


def load_model(recipe: str, stage: Stage) -> Done:
    """Loads what a stage needs, and says how long that took; what fails fails again when a batch comes."""
    began = time.perf_counter()
    model = open_model(recipe, stage)
    return Done() if isinstance(model, Failure) else Done(loads={recipe: time.perf_counter() - began})


def run_batch(batch: Batch, folder: Path, blobs: Blobs, build: str, seconds: float | None) -> Done:
    """Runs a batch, whose parcels lie in a folder. What raises is halved down to the guilty.

    So is what is too much for memory, and how many it is enough for is said. `seconds`: what one clip may take.
    """
    stage, first = batch.stage, batch.parcels[0]
    model = open_model(first.recipe, stage)
    if isinstance(model, Failure):
        return batch.failed(model)
    dones = [done := Done()]
    with blobs.scratch() as scratch:
        held = [read_parcel(folder / parcel.name) for parcel in batch.parcels]
        clips = [(p, replace(clip, scratch=scratch), lost) for p, (clip, lost) in zip(batch.parcels, held, strict=True)]
        kept: list[tuple[Parcel, str | None, Row]] = []
        bucket = first.recipe, first.shape
        waiting = parted(clips, CAPS.get(bucket))
        began = time.perf_counter()
        while waiting:
            some = waiting.pop(0)
            with Watchdog(None if seconds is None else seconds * len(some)).running():
                rows = attempt(partial(rows_of, stage, [clip for _, clip, _ in some], model))
            if not isinstance(rows, Failure):
                answered = [(parcel, lost, row) for (parcel, _, lost), row in zip(some, rows, strict=True)]
                kept += [(parcel, lost, row) for parcel, lost, row in answered if not isinstance(row, Failure)]
                dones += [batch.failed(row, [parcel]) for parcel, _, row in answered if isinstance(row, Failure)]
            elif len(some) == 1 or rows.kind == "place":
                dones.append(batch.failed(rows, [parcel for parcel, _, _ in some]))
            else:
                half = len(some) // 2
                if _crowded(rows):
                    _emptied()
                    CAPS[bucket] = done.cap = half
                    waiting = [part for one in waiting for part in parted(one, half)]
                waiting = parted(some, half) + waiting
        done.seconds = time.perf_counter() - began
        _keep(stage, kept, done, blobs, build)
    return replace(together(dones), cap=done.cap)


def parted(some: list[T], most: int | None) -> list[list[T]]:
    """A list in parts of so many at most."""
    step = most or max(len(some), 1)
    return [some[n : n + step] for n in range(0, len(some), step)]


def _crowded(why: Failure) -> bool:
    return why.crowded or any(said in why.message.lower() for said in CROWDED)


def _emptied() -> None:
    """Gives back what a GPU's library holds for later."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _keep(stage: Stage, kept: Sequence[tuple[Parcel, str | None, Row]], done: Done, blobs: Blobs, build: str) -> None:
    """Rows as results, or, of parts of an action, as they are; what cannot be stored fails alone."""
    done.answers += [(parcel, row) for parcel, _, row in kept if parcel.parts is None]
    whole = [one for one in kept if one[0].parts is not None]
    seconds = done.seconds / max(len(kept), 1)
    tables, failed = tabled(whole, lambda some: _table(stage, some, seconds, blobs, build))
    done.tables += [(whole[0][0].recipe, table) for table in tables]
    done.failures += [why.of(stage, parcel.recipe, parcel.key, parcel.item) for (parcel, _, _), why in failed]


def _table(
    stage: Stage, whole: Sequence[tuple[Parcel, str | None, Row]], seconds: float, blobs: Blobs, build: str
) -> Any:
    return encode(
        stage,
        [put_away(row, blobs) for _, _, row in whole],
        keys=[parcel.key for parcel, _, _ in whole],
        warnings=[lost for _, lost, _ in whole],
        seconds=seconds,
        build=build,
    )
