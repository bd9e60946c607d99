"""The vectors that are compared, where they are stored, and what is made of them on the way: files of a folder."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from vbuild.near.centroids import unit
from vbuild.near.kernel import DECIMALS, threshold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

SKETCHES, PARTS = "sketches.i16", "parts.i32"
"""Files of the shelf, without a head, so that they can grow: a row's sketch, and its partition."""

HELD = 256 << 20
"""Bytes of vectors that a process holds at most, of those that it looked at again: to read one costs as much as ten
pairs, and where vectors lie dense each stands in many."""

SHORTEST = 1e-15
"""How long vectors are whose lengths float32 can do with."""

FEW = 128
"""Vectors that are widened at once: they stay in the processor's cache."""

PAIRS = 8192
"""Pairs that are looked at again at once."""


@dataclass(frozen=True)
class Ground:
    """n vectors in rows, the new ones first: these are compared with all, the others only with them."""

    work: Path
    """Of the files of this comparing."""
    shelf: Path
    """Of those that the next may find again: sketches, and what they are made by."""
    uri: str
    """The Lance dataset that holds the vectors."""
    version: int
    column: str
    count: int
    fresh: int
    """How many are new."""
    size: int
    """Numbers of a vector."""
    width: int
    """Numbers of a sketch."""
    reach: float
    """Cosine distance up to which pairs are wanted."""

    @property
    def least(self) -> float:
        """The similarity of a pair at least."""
        return threshold(self.reach)

    @property
    def radius(self) -> float:
        """How far apart two unit vectors of a pair are at most."""
        return float(np.sqrt(2 * (1 - self.least) + 10.0**-DECIMALS))

    def array(self, name: str) -> np.ndarray:
        """An array of this comparing, as it lies in its file."""
        return loaded(self.work, name)

    def kept(self, name: str) -> np.ndarray:
        """An array of the shelf."""
        return loaded(self.shelf, name)

    @cached_property
    def at(self) -> np.ndarray:
        """int64 (n,): where the sketch of each row stands on the shelf."""
        return np.asarray(self.array("at"))

    def sketches(self, rows: slice | np.ndarray) -> np.ndarray:
        """int16 (rows, width)."""
        at = self.at[rows]
        if len(at) and isinstance(rows, slice) and at[-1] - at[0] == len(at) - 1 and (np.diff(at) == 1).all():
            return np.asarray(self._sketches[at[0] : at[-1] + 1])
        some: np.ndarray = self._sketches[at]
        return some

    @cached_property
    def _sketches(self) -> np.ndarray:
        return np.asarray(np.memmap(self.shelf / SKETCHES, np.int16, "c")).reshape(-1, self.width)

    @property
    def parted(self) -> bool:
        """Whether there are centroids."""
        return (self.shelf / "centroids.npy").exists()

    def stored(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of some rows, as they are stored: (n, size)."""
        if not len(rows):
            return np.empty((0, self.size), np.float32)
        places = self._places[rows]
        first = int(places[0])
        if np.array_equal(places, np.arange(first, first + len(places))):  # which is read without a look for each
            table = self._dataset.to_table(columns=[self.column], offset=first, limit=len(places))
            return numbers(table[self.column], self.size)
        wanted, back = np.unique(places, return_inverse=True)
        taken = self._dataset.take(wanted.tolist(), columns=[self.column])[self.column]
        return numbers(taken, self.size)[back]

    @cached_property
    def _dataset(self) -> Any:
        import lance

        return lance.dataset(self.uri, version=self.version)

    @cached_property
    def _places(self) -> np.ndarray:
        return np.asarray(self.array("places"))

    def __getstate__(self) -> dict[str, object]:
        """What it is made of: what is open is opened anew."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def flats(self, rows: np.ndarray) -> np.ndarray:
        """The same in float32, which is quicker: (n, size), of a length that is off by size x 2^-25 at most."""
        stored = self.stored(rows).astype(np.float32, copy=False)
        length = np.sqrt(np.einsum("nd,nd->n", stored, stored))
        if not SHORTEST < length.min(initial=1) <= length.max(initial=1) < 1 / SHORTEST:
            return unit(self.stored(rows)).astype(np.float32)
        flats: np.ndarray = stored * (1 / length)[:, None]
        return flats

    def units(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of some rows, of length one: float64 (n, size)."""
        return unit(self.stored(rows))


def loaded(folder: Path, name: str) -> np.ndarray:
    """An array of a folder, as it lies in its file."""
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))  # whose rows are taken quickly


def numbers(column: pa.ChunkedArray, size: int) -> np.ndarray:
    """A column of vectors without nulls as (n, size) of its type."""
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, size) for chunk in column.chunks]
    return np.concatenate(parts) if len(parts) > 1 else np.asarray(parts[0])


@lru_cache(maxsize=1)
def judge(ground: Ground) -> Judge:
    """That of this process, which holds what it read for all that is to be done here of one comparing."""
    return Judge(ground)


class Judge:
    """Decides of pairs that may be near whether they are, by the vectors themselves, in float64."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.slots = np.full(ground.count, -1, np.int32)
        self.used = 0

    @cached_property
    def held(self) -> np.ndarray:
        """Vectors that were looked at, as they are stored."""
        kind = self.ground.stored(np.zeros(1, np.int64)).dtype
        return np.empty((max(HELD // (self.ground.size * kind.itemsize), 2 * PAIRS), self.ground.size), kind)

    @cached_property
    def lengths(self) -> np.ndarray:
        """How long those are: float64."""
        return np.empty(len(self.held))

    def judged(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the pairs of rows a and b (n,) those that are near, and their similarities, rounded: float64."""
        order = np.lexsort((b, a))
        found = [self._some(a[rows], b[rows]) for rows in np.split(order, range(PAIRS, len(order), PAIRS))]
        near, far, alike = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return near, far, alike

    def _some(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self._hold(np.unique(np.concatenate([a, b])))
        similarity = np.empty(len(a))
        for start in range(0, len(a), FEW):
            some = slice(start, start + FEW)
            slots = [self.slots[side[some]] for side in (a, b)]
            one, other = (self.held[each].astype(np.float64) for each in slots)
            similarity[some] = np.einsum("nd,nd->n", one, other) / (self.lengths[slots[0]] * self.lengths[slots[1]])
        similarity = np.round(similarity, DECIMALS)
        near = similarity >= self.ground.least
        return a[near], b[near], similarity[near]

    def holds(self, rows: np.ndarray) -> bool:
        """Whether all of some rows are held."""
        return bool((self.slots[rows] >= 0).all())

    def read(self, parts: Sequence[np.ndarray]) -> None:
        """Takes up rows in one go, as many of some parts as there is room for, the first ones."""
        sizes = np.cumsum([len(part) for part in parts])
        some = np.concatenate(parts[: int(np.searchsorted(sizes, PAIRS, side="right"))] or [parts[0][:PAIRS]])
        if len(some):
            self._hold(some)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of at most twice `PAIRS` rows, each once, as they are stored."""
        self._hold(rows)
        vectors: np.ndarray = self.held[self.slots[rows]]
        return vectors

    def _hold(self, rows: np.ndarray) -> None:
        """Reads what is not held of at most twice `PAIRS` rows, each once."""
        new = rows[self.slots[rows] < 0]
        if self.used + len(new) > len(self.held):
            self.slots.fill(-1)
            self.used, new = 0, rows
        if not len(new):
            return
        stored, first = self.ground.stored(new), self.used
        self.used += len(new)
        self.held[first : self.used] = stored
        self.slots[new] = np.arange(first, self.used)
        for start in range(0, len(new), FEW):
            wide = stored[start : start + FEW].astype(np.float64)
            self.lengths[first + start : first + start + len(wide)] = np.sqrt(np.einsum("nd,nd->n", wide, wide))
