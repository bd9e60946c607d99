"""Near-duplicate pairs of a recipe's outputs, and among which of these all pairs are known."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from vbuild.digest import SIZE, column_of, keys_of
from vbuild.store import lance_io, repair
from vbuild.store.keyed import Index, firsts
from vbuild.store.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EDGES = pa.schema(
    [pa.field("a", pa.binary(SIZE)), pa.field("b", pa.binary(SIZE)), pa.field("similarity", pa.float64())]
)
COMPARED = pa.schema([pa.field("vector", pa.binary(SIZE)), pa.field("reach", pa.float64())])

WORK = ".work"
"""The folder of what is made on the way; whoever holds the lock may take away what another left."""

MANY = 1_000_000
"""Pairs of which an index by key is worth its making."""

A_KEY = 1600
"""Pairs that are read as fast, one after the other, as those of one key are found by the index."""

KEYS = 1000
"""Keys that are asked for at once."""


@dataclass(frozen=True)
class Compared:
    """What was compared with one another."""

    index: Index
    """Of the digests (n,) V16, each once, in the order in which it was."""
    version: int | None
    """Of the table that tells it."""


@dataclass(frozen=True)
class Pairs:
    """The pairs of one recipe, shared by all datasets. What is compared goes by the digest of its bytes.

    Pairs are written before what was compared is, so a kill between the two only has work done again.
    """

    folder: Path

    @contextmanager
    def held(self) -> Iterator[Path]:
        """While no other build adds to them; else two would miss the pairs between what is new to either.

        Gives an empty folder of a name that no other had, which is gone afterwards.
        """
        with locked(self.folder / ".lock"):
            shutil.rmtree(self.folder / WORK, ignore_errors=True)
            work = self.folder / WORK / uuid4().hex
            work.mkdir(parents=True)
            try:
                yield work
            finally:
                shutil.rmtree(self.folder / WORK, ignore_errors=True)

    def _opened(self, name: str) -> Any | None:
        """A dataset of the two. Where pairs were lost to damage, nothing counts as compared any more."""
        compared = self.folder / "compared.lance"
        if lance_io.damaged(self.folder / "edges.lance") and compared.is_dir():
            repair.set_aside(compared)
        return lance_io.open_dataset(self.folder / f"{name}.lance")

    def compared(self, reach: float) -> Compared:
        """What was compared: among it every pair within `reach` is known."""
        dataset = self._opened("compared")
        if dataset is None:
            return Compared(Index(np.empty(0, "V16")), None)
        table = dataset.to_table()
        index = Index(keys_of(table["vector"])[table["reach"].to_numpy() >= reach])
        once = firsts(index)  # one that was compared up to more, later, stands there twice
        return Compared(index if len(once) == len(index.keys) else Index(index.keys[once]), dataset.version)

    def is_newest(self, compared: Compared) -> bool:
        """Whether nothing has been added since, nor forgotten."""
        dataset = self._opened("compared")
        return (None if dataset is None else dataset.version) == compared.version

    def edges(self, among: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The known pairs among digests (n,) V16, each once, of a similarity at least: rows of these, and similarities.

        Of a store with many more pairs than these can have, only theirs are read.
        """
        dataset = self._opened("edges")
        index, parts = Index(among), []
        for batch in () if dataset is None else self._batches(dataset, among, least):
            a, b = (index.find(keys_of(batch[side])) for side in ("a", "b"))
            here = (a >= 0) & (b >= 0)
            parts.append((a[here], b[here], batch["similarity"].to_numpy()[here]))
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        a, b, similarity = (np.concatenate(side) for side in zip(*parts, strict=True))
        _, once = np.unique(np.minimum(a, b) * len(among) + np.maximum(a, b), return_index=True)
        return np.minimum(a, b)[once], np.maximum(a, b)[once], similarity[once]

    def _batches(self, dataset: Any, among: np.ndarray, least: float) -> Iterator[Any]:
        """Pairs that may be wanted, some at a time."""
        near = f"similarity >= {least!r}"
        if len(among) * A_KEY >= dataset.count_rows():
            yield from dataset.to_batches(filter=near)
            return
        for start in range(0, len(among), KEYS):
            listed = ", ".join(f"X'{bytes(key).hex()}'" for key in among[start : start + KEYS].tolist())
            yield from dataset.to_batches(filter=f"a IN ({listed}) AND {near}")

    def add(self, a: np.ndarray, b: np.ndarray, similarity: np.ndarray) -> None:
        """Adds pairs of digests a and b (n,) V16, and float64 similarities."""
        if len(a):
            swap = b.view("S16") < a.view("S16")
            sides = [column_of(np.where(swap, b, a)), column_of(np.where(swap, a, b))]
            edges = pa.table([*sides, pa.array(similarity, pa.float64())], schema=EDGES)
            lance_io.append(self.folder / "edges.lance", edges)

    def mark(self, new: np.ndarray, reach: float) -> None:
        """Notes that digests (n,) V16 are compared up to `reach`, with one another and with all that were before."""
        rows = pa.table([column_of(new), pa.array(np.full(len(new), reach))], schema=COMPARED)
        lance_io.compact(lance_io.append(self.folder / "compared.lance", rows))
        edges = lance_io.open_dataset(self.folder / "edges.lance")
        if edges is not None:
            lance_io.compact(edges)
            lance_io.index_keys(self.folder / "edges.lance", "a", MANY)

    def forget(self, gone: np.ndarray) -> None:
        """Takes digests (n,) V16 out of those that were compared."""
        dataset = self._opened("compared") if len(gone) else None
        if dataset is not None:
            lance_io.delete_keys(dataset, gone, column="vector")


def pairs(store: Path, recipe: str) -> Pairs:
    """The pairs of a recipe in a store."""
    return Pairs(store / "pairs" / recipe)
