"""What actions read of others, from the store to a stage in another process, against plain Python objects."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benches.measure import Measure, cpu
from vbuild.digest import of
from vbuild.fields import List, Vector
from vbuild.plan.items import ItemActions, Items, Shelf, State
from vbuild.plan.wiring import Instance, Port
from vbuild.stage import Stage
from vbuild.store.actions import Actions, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbuild.fields import Kind

CLIPS, VECTORS, SIZE = 512, 10, 768
ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Embedded(Stage):
    """Vectors of a clip's frames."""

    version: ClassVar[int] = 1
    phase: ClassVar = "embed"
    writes: ClassVar[Mapping[str, Kind]] = {"": List(Vector(SIZE, "float16"))}


def measures() -> Iterator[Measure]:
    """CPU of a work's values; the median of some rounds, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        shelf, items = stored(Path(folder))
        rows = np.arange(CLIPS)
        ours, plain = [], []
        for _ in range(ROUNDS):
            ours.append(cpu(lambda: columns(shelf, items, rows)))
            plain.append(cpu(lambda: objects(shelf, items, rows)))
        yield Measure(f"{CLIPS} clips x {VECTORS} x {SIZE} float16", sorted(ours)[2], sorted(plain)[2], 0.1)


def stored(folder: Path) -> tuple[Shelf, Items]:
    """A store with what a stage wrote of some clips."""
    instance = Instance("embed", Embedded())
    shelf = Shelf(Actions(folder), {"embed": instance})
    keys = [bytes(of("clip", n)) for n in range(CLIPS)]
    chance = np.random.default_rng(0).standard_normal((CLIPS, VECTORS, SIZE), np.float32)
    rows = [{"": vectors} for vectors in chance]
    table = encode(instance.stage, rows, keys=keys, warnings=[None] * CLIPS, seconds=0.0, build="bench")
    shelf.results("embed").append(table)
    ids = np.frombuffer(b"".join(keys), "V16")
    items = Items(ids)
    items.actions["embed"] = ItemActions(ids, np.full(CLIPS, State.DONE, np.uint8), np.ones(CLIPS, bool))
    return shelf, items


def columns(shelf: Shelf, items: Items, rows: np.ndarray) -> None:
    """As a stage is given them."""
    read = pickle.loads(pickle.dumps(shelf.values(items, [Port("of", "embed", ("",))], rows), protocol=5))
    assert sum(read["of"][row][""].shape[0] for row in rows.tolist()) == CLIPS * VECTORS


def objects(shelf: Shelf, items: Items, rows: np.ndarray) -> None:
    """As lists of numbers."""
    table = shelf.take(items, "embed", ["value"], rows)
    read = pickle.loads(pickle.dumps(table.to_pylist(), protocol=5))
    assert sum(np.asarray(row["value"], np.float16).shape[0] for row in read) == CLIPS * VECTORS
