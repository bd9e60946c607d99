"""What is to be done to compare vectors, parted for workers: each a function of plain data that gives a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vbuild.near import kmeans
from vbuild.near.borders import Borders, closest, distances, open_margins, reaching
from vbuild.near.centroids import ROUNDS, ROWS, nearly, parted, unit
from vbuild.near.ground import HELD, PARTS, SKETCHES, Ground, judge
from vbuild.near.kernel import DECIMALS, SCALE, SINGLE, STRIPE, TILE, basis_of, products, sketches_of, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EDGES = pa.schema([pa.field("a", pa.uint32()), pa.field("b", pa.uint32()), pa.field("similarity", pa.float64())])
"""Rows of a pair, and how similar they are."""

MOST = 2_000_000
"""Pairs after which a chore tells what it has, and leaves the rest for another."""

SAMPLE = 4096
"""Vectors of which a basis is made."""

FEW = 2048
"""Pairs whose sketches are looked at again at once."""

WHOLE = 4000
"""Rows of other partitions that are compared whole: to read vectors, to find those near a border, costs more."""

GATHERED = 1 << 15
"""Rows of other partitions whose sketches are gathered at once."""


@dataclass(frozen=True)
class Made:
    """What a chore left."""

    table: pa.Table
    rest: Chore | None = None
    """What it left undone."""


@dataclass(frozen=True)
class Chore(ABC):
    """Something that is to be done for a whole dataset, and of no clip alone."""

    @abstractmethod
    def run(self) -> Made:
        """Does it. Doing it again changes nothing."""

    @property
    def memory(self) -> int:
        """Bytes that it takes, beside a bare worker."""
        return (1 << 29) + HELD


@dataclass(frozen=True)
class Comparing(Chore):
    """A part of comparing vectors."""

    ground: Ground


@dataclass(frozen=True)
class Learn(Comparing):
    """Makes the basis of sketches of a sample of rows, and, of more than none, centroids; tells how they narrow.

    The table has the share of all products that is left, by the borders of the sample alone.
    """

    rows: np.ndarray
    centroids: int

    def run(self) -> Made:
        """Writes `basis`, `centroids`, and `apart`."""
        shelf = self.ground.shelf
        sample = np.concatenate([self.ground.flats(part) for part in _parts(self.rows)])
        np.save(shelf / "basis.npy", basis_of(sample[:SAMPLE], self.ground.width))
        share = 1.0
        if self.centroids:
            middles = kmeans.centroids(sample, self.centroids, seed=None, rounds=ROUNDS, by=nearly)
            margins, sizes = open_margins(len(middles), len(middles)), np.zeros(len(middles))
            for own, far in parted(sample, middles):
                closest(far, own, margins)
                sizes += np.bincount(own, minlength=len(middles))
            apart = distances(middles)
            share = Borders(apart, margins, self.ground.radius).share(sizes)
            np.save(shelf / "apart.npy", apart)
            np.save(shelf / "centroids.npy", middles)
        return Made(pa.table({"share": [share]}))


@dataclass(frozen=True)
class Sketch(Comparing):
    """Makes the sketches of rows, and finds the partition of each where there are centroids."""

    rows: np.ndarray
    """Rows that stand behind one another on the shelf."""

    def run(self) -> Made:
        """Writes its part of the shelf, and how close its rows come to borders."""
        ground, first = self.ground, int(self.ground.at[self.rows[0]])
        basis = ground.kept("basis")
        partitions = ground.parted
        middles = np.asarray(ground.kept("centroids")) if partitions else np.empty((0, ground.size), np.float32)
        margins: defaultdict[int, np.ndarray] = defaultdict(lambda: open_margins(1, len(middles))[0])
        numbers = np.memmap(ground.shelf / SKETCHES, np.int16, "r+")
        sketches, parts = numbers.reshape(-1, ground.width), np.memmap(ground.shelf / PARTS, np.int32, "r+")
        for rows in _parts(self.rows):
            flat = ground.flats(rows)
            sketches[first : first + len(rows)] = sketches_of(flat, basis)
            for own, far in parted(flat, middles) if partitions else ():
                parts[first : first + len(rows)] = own
                closest(far, own, margins)
            first += len(rows)
        numbers.flush()
        parts.flush()
        if partitions:
            heads, name = sorted(margins), f"{self.rows[0]}.npy"
            np.save(ground.work / f"heads-{name}", np.array(heads))
            np.save(ground.work / f"new-{name}", np.stack([margins[head] for head in heads]))
            (ground.work / f"new-{name}").replace(ground.work / f"margins-{name}")  # whose owner takes what is whole
        return Made(pa.table({"rows": [len(self.rows)]}))


@dataclass(frozen=True)
class Middles(Comparing):
    """Makes centroids of a sample of rows."""

    rows: np.ndarray
    centroids: int

    def run(self) -> Made:
        """Writes `middles`."""
        sample = np.concatenate([self.ground.units(part).astype(np.float32) for part in _parts(self.rows)])
        middles = kmeans.centroids(sample, self.centroids, seed=None, rounds=ROUNDS)
        np.save(self.ground.work / "middles.npy", middles)
        return Made(pa.table({"rows": [len(self.rows)]}))


@dataclass(frozen=True)
class Distances(Comparing):
    """How far rows lie from the centroid that is nearest to each."""

    rows: np.ndarray

    def run(self) -> Made:
        """The rows, and the cosine distances, rounded."""
        middles = np.asarray(self.ground.array("middles"))
        units = (self.ground.units(part).astype(np.float32) for part in _parts(self.rows))
        near = np.concatenate([kmeans.nearest(some, middles)[1] for some in units])
        return Made(pa.table({"row": self.rows, "distance": np.round(1 - near, DECIMALS)}))


class _Found:
    """Pairs that were found, of those that may be near."""

    def __init__(self, ground: Ground) -> None:
        self.judge = judge(ground)
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self.count = 0
        self.known: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.pairs = 0

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Pairs of rows that may be near."""
        if len(a):
            self.waiting.append((a, b))
            self.count += len(a)
        if self.count > TILE[0] * TILE[1]:
            self.settle()

    def settle(self) -> None:
        """Looks at those that wait."""
        if self.count:
            a, b = (np.concatenate(side) for side in zip(*self.waiting, strict=True))
            likely = self._likely(a, b)
            self.known.append(self.judge.judged(a[likely], b[likely]))
            self.pairs += len(self.known[-1][0])
        self.waiting, self.count = [], 0

    def _likely(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """bool (n,): pairs that may be near by their sketches in float32, which costs less than to read vectors."""
        sketches, least = self.judge.ground.sketches, (self.judge.ground.least - SINGLE) * SCALE**2
        likely = np.empty(len(a), bool)
        for start in range(0, len(a), FEW):
            some = slice(start, start + FEW)
            one, other = (sketches(side[some]).astype(np.float32) for side in (a, b))
            likely[some] = np.einsum("nd,nd->n", one, other) >= least
        return likely

    def table(self) -> pa.Table:
        """All of them, each once."""
        self.settle()
        a, b, similarity = (np.concatenate(side) for side in zip(*self.known, strict=True)) if self.known else [()] * 3
        columns = [pa.array(np.asarray(side, np.uint32)) for side in (a, b)]
        return pa.table([*columns, pa.array(np.asarray(similarity, np.float64))], schema=EDGES)


@dataclass(frozen=True)
class Tile(Comparing):
    """Compares new rows, from `start`, with all rows behind them."""

    start: int
    stop: int
    column: int = 0
    """Up to which rows the first of them are compared already."""

    def run(self) -> Made:
        """The pairs that are near."""
        ground, height = self.ground, TILE[0]
        by, found, columns = products(ground.least), _Found(ground), self.column
        for top in range(self.start, self.stop, STRIPE * height):
            tops = range(top, min(top + STRIPE * height, self.stop), height)
            lefts = [by.ready(ground.sketches(slice(row, min(row + height, self.stop)))) for row in tops]
            for column in range(max(top, columns), ground.count, TILE[1]):
                if found.pairs > MOST:
                    return Made(found.table(), replace(self, start=top, column=column))
                right = by.ready(ground.sketches(slice(column, column + TILE[1])))
                for row, left in zip(tops, lefts, strict=True):
                    if column + len(right) > row:
                        i, j = by.near(left, right)
                        behind = j + column > i + row
                        found.add(i[behind] + row, j[behind] + column)
            columns = 0
        return Made(found.table())


@dataclass(frozen=True)
class Join(Comparing):
    """Compares the new rows of partitions, each with those of all partitions that their borders allow."""

    partitions: tuple[int, ...]

    def run(self) -> Made:
        """The pairs that are near."""
        joining = _Joining(self.ground)
        for n, one in enumerate(self.partitions):
            if joining.found.pairs > MOST:
                return Made(joining.found.table(), replace(self, partitions=self.partitions[n:]))
            joining.join(one, self.partitions[n:])
        return Made(joining.found.table())


@dataclass(frozen=True)
class Visit(Comparing):
    """Compares some new rows, from `start`, each with those of the partitions in which it may have a pair.

    For few: each is measured against all centroids, where `Join` asks the borders of its whole partition first.
    """

    start: int
    stop: int

    def run(self) -> Made:
        """The pairs that are near."""
        joining, new = _Joining(self.ground), np.arange(self.start, self.stop)
        at, partitions = joining.met(new)
        order = np.argsort(partitions, kind="stable")
        heads, starts = np.unique(partitions[order], return_index=True)
        for partition, some in zip(heads.tolist(), np.split(order, starts[1:]), strict=True):
            joining.visit(new[at[some]], partition)
        return Made(joining.found.table())


class _Joining:
    """What comparing partitions takes."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.order, self.starts = ground.array("order"), ground.array("starts")
        self.middles = np.asarray(ground.kept("centroids"))
        self.borders = Borders(ground.kept("apart"), ground.kept("margins"), ground.radius)
        self.by, self.found = products(ground.least), _Found(ground)

    def rows(self, partition: int) -> np.ndarray:
        """Those of a partition, in order: the new ones first."""
        return np.asarray(self.order[self.starts[partition] : self.starts[partition + 1]], np.int64)

    def new(self, partition: int) -> np.ndarray:
        """Those of them that are new."""
        rows = self.rows(partition)
        return rows[rows < self.ground.fresh]

    def join(self, one: int, coming: Sequence[int]) -> None:
        """Compares the new rows of a partition with its own that stand behind, and with those of others.

        `coming`: this one and those that follow, whose vectors are read with it, for to read few costs as much.
        """
        rows, new = self.rows(one), self.new(one)
        own = self.by.ready(self.ground.sketches(rows))
        for top, columns in tiles(len(new), len(rows)):
            i, j = self.by.near(own[top], own[columns])
            behind = j + columns.start > i + top.start
            self.found.add(rows[top][i[behind]], rows[columns][j[behind]])
        others = self.borders.beyond(one)
        if sum(self.starts[other + 1] - self.starts[other] for other in others.tolist()) <= WHOLE:
            for _, beyond, _ in self._gathered(one, others):
                self._compare(new, own, beyond, self.by.ready(self.ground.sketches(beyond)))
            return
        left = self.borders.left(one)[others]
        if not self.found.judge.holds(new):
            self.found.judge.read([self.new(other) for other in coming])
        for start in range(0, len(new), ROWS):
            some = slice(start, min(start + ROWS, len(new)))
            reach = reaching(self._units(new[some]), self.middles, one, others, left)
            met = np.flatnonzero(reach.any(axis=0))
            reach = reach[:, met]
            for names, beyond, bounds in self._gathered(one, others[met]):
                right = self.by.ready(self.ground.sketches(beyond))
                for column, (first, last) in zip(names, bounds, strict=True):
                    at = np.flatnonzero(reach[:, column])
                    self._compare(new[some][at], own[some][at], beyond[first:last], right[first:last])

    def met(self, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """In which partitions new rows may have a pair: places of rows, partitions."""
        far = np.einsum("kd,kd->k", self.middles, self.middles) - 2 * self.ground.flats(new) @ self.middles.T
        return self.borders.met(far, np.memmap(self.ground.shelf / PARTS, np.int32, "r")[self.ground.at[new]])

    def visit(self, new: np.ndarray, partition: int) -> None:
        """Compares new rows with those of a partition that stand behind each."""
        rows = self.rows(partition)
        right = self.by.ready(self.ground.sketches(rows))
        left = self.by.ready(self.ground.sketches(new))
        for top, columns in tiles(len(new), len(rows)):
            i, j = self.by.near(left[top], right[columns])
            a, b = new[top][i], rows[columns][j]
            self.found.add(a[b > a], b[b > a])

    def _units(self, rows: np.ndarray) -> np.ndarray:
        return unit(self.found.judge.vectors(rows)).astype(np.float32)

    def _compare(self, a: np.ndarray, left: Any, b: np.ndarray, right: Any) -> None:
        for top, columns in tiles(len(a), len(b)):
            i, j = self.by.near(left[top], right[columns])
            self.found.add(a[top][i], b[columns][j])

    def _gathered(self, one: int, others: np.ndarray) -> Iterator[tuple[list[int], np.ndarray, list[tuple[int, int]]]]:
        """The rows of other partitions that are to be compared here, many at once: places in `others`, rows, bounds.

        Of a partition before this one only those that are not new: their new ones are compared there.
        """
        names: list[int] = []
        blocks: list[np.ndarray] = []
        total = 0
        for column, other in enumerate(others.tolist()):
            rows = self.rows(other)
            rows = rows if other > one else rows[rows >= self.ground.fresh]
            if not len(rows):
                continue
            names.append(column)
            blocks.append(rows)
            total += len(rows)
            if total >= GATHERED:
                yield names, np.concatenate(blocks), _bounds(blocks)
                names, blocks, total = [], [], 0
        if blocks:
            yield names, np.concatenate(blocks), _bounds(blocks)


def _bounds(blocks: list[np.ndarray]) -> list[tuple[int, int]]:
    ends = np.cumsum([len(block) for block in blocks]).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    """Rows, so many at a time as are multiplied at once."""
    return [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
