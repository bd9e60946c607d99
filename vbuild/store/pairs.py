"""Near-duplicate pairs of an embedding recipe, and among which vectors all of them are known."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vbuild.digest import SIZE, column_of, keys_of
from vbuild.store import lance_io, repair
from vbuild.store.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EDGES = pa.schema(
    [pa.field("a", pa.binary(SIZE)), pa.field("b", pa.binary(SIZE)), pa.field("similarity", pa.float64())]
)
COMPARED = pa.schema([pa.field("vector", pa.binary(SIZE)), pa.field("reach", pa.float64())])


@dataclass
class Pairs:
    """The pairs of one embedding recipe, shared by all datasets. Vectors go by the digest of their bytes.

    Pairs are written before the vectors that were compared, so a kill between the two only has work done again.
    """

    folder: Path
    dry: bool = False
    """For a plan: what is found is held here and not stored."""
    fresh: list[pa.Table] = field(default_factory=list)

    @contextmanager
    def held(self, *, dry: bool) -> Iterator[Pairs]:
        """The pairs while no other build adds to them; else two would miss the pairs between their new vectors."""
        if dry:
            yield Pairs(self.folder, dry=True)
            return
        with locked(self.folder / ".lock"):
            yield Pairs(self.folder)

    def _opened(self, name: str) -> Any | None:
        """A dataset of the two. Where pairs were lost to damage, no vector counts as compared any more."""
        compared = self.folder / "compared.lance"
        if lance_io.damaged(self.folder / "edges.lance") and compared.is_dir():
            repair.set_aside(compared)
        return lance_io.open_dataset(self.folder / f"{name}.lance")

    def compared(self, reach: float) -> np.ndarray:
        """The vectors (n,) V16, unique, among which every pair within `reach` is known."""
        dataset = self._opened("compared")
        if dataset is None:
            return np.empty(0, "V16")
        table = dataset.to_table()
        wide = table["reach"].to_numpy() >= reach
        return np.unique(keys_of(table["vector"])[wide])

    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All known pairs, each once: a and b (n,) V16, similarity (n,) float64."""
        dataset = self._opened("edges")
        tables = [EDGES.empty_table() if dataset is None else dataset.to_table(), *self.fresh]
        table = pa.concat_tables(tables)
        a, b = keys_of(table["a"]), keys_of(table["b"])
        record = np.empty(len(a), np.dtype([("a", "V16"), ("b", "V16")]))
        record["a"], record["b"] = a, b
        _, once = np.unique(record.view("V32"), return_index=True)
        return a[once], b[once], table["similarity"].to_numpy()[once]

    def add(self, a: np.ndarray, b: np.ndarray, similarity: np.ndarray, vectors: np.ndarray, reach: float) -> None:
        """Pairs that were found, and the vectors that are compared now, up to `reach`, with all that were before."""
        swap = b.view("S16") < a.view("S16")
        low, high = np.where(swap, b, a), np.where(swap, a, b)
        edges = pa.table([column_of(low), column_of(high), pa.array(similarity, pa.float64())], schema=EDGES)
        compared = pa.table([column_of(vectors), pa.array(np.full(len(vectors), reach))], schema=COMPARED)
        if self.dry:
            self.fresh.append(edges)
            return
        for name, table in (("edges", edges), ("compared", compared)):
            if len(table):
                lance_io.compact(lance_io.append(self.folder / f"{name}.lance", table))

    def forget(self, vectors: np.ndarray) -> None:
        """Takes vectors (n,) V16 out of those that were compared."""
        dataset = None if self.dry or not len(vectors) else self._opened("compared")
        if dataset is not None:
            lance_io.delete_keys(dataset, vectors, column="vector")


def pairs(store: Path, recipe: str) -> Pairs:
    """The pairs of an embedding recipe in a store."""
    return Pairs(store / "pairs" / recipe)
