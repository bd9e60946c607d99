"""Keys in order, to be looked up by the million."""

from __future__ import annotations

from functools import cached_property

import numpy as np

ROWS = 65_536
"""Keys that are looked up at once: what is found of them stays in the processor's cache."""

ROW = np.uint64(0xFFFFFFFF)
"""The bits of a number of 64 in which a row stands, behind the first of a key."""


def words(keys: np.ndarray) -> np.ndarray:
    """Keys (n,) V16 as two numbers of 64 bits each, behind one another."""
    return np.ascontiguousarray(keys).view(np.uint64)


def half(keys: np.ndarray) -> np.ndarray:
    """The first 64 bits of keys."""
    return words(keys)[::2]


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) bool: where keys are equal, in both halves; ten times as fast as numpy compares V16."""
    return np.asarray((words(a) == words(b)).view(np.uint16) == 0x0101)


def by_half(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys sorted by their first 64 bits, then as they stand, and where each stood."""
    order = np.argsort(half(keys))
    halves = half(keys)[order]
    if (halves[1:] == halves[:-1]).any():  # rare, and the quick sort leaves equals in any order
        order = np.argsort(half(keys), kind="stable")
    return keys[order], order


def firsts(keys: np.ndarray | Index) -> np.ndarray:
    """The rows at which the keys (n,) V16 stand that stand in no row before, in order."""
    index = keys if isinstance(keys, Index) else Index(keys)
    heads, rows = _parted(index.sorted)
    alike = np.flatnonzero(heads[1:] == heads[:-1])
    doubted = np.unique(rows[np.concatenate([alike, alike + 1])])
    again = Index(index.keys[doubted]).find(index.keys[doubted]) < np.arange(len(doubted))
    return np.delete(np.arange(len(index.keys)), doubted[again])


class Index:
    """Where keys (n,) V16 stand, fewer than 2^32. Keys that are asked for more than once are one themselves.

    One sorted number a key, for a sort of numbers is several times as fast as one that says where they stood: 32 bits
    of the key, then its row. Those of which the 32 bits are alike stand together, the first row first.
    """

    def __init__(self, keys: np.ndarray) -> None:
        self.keys, self.sorted = keys, _numbered(keys)

    @cached_property
    def ordered(self) -> np.ndarray:
        """The keys as they are sorted."""
        return np.asarray(self.keys[_parted(self.sorted)[1]])

    def find(self, keys: np.ndarray | Index) -> np.ndarray:
        """The row of each key, int64 (n,); -1 where there is none. Of rows with one key the first wins."""
        sought = keys if isinstance(keys, Index) else Index(keys)
        places = np.full(len(sought.keys), -1, np.int64)
        for start in range(0, len(places) if len(self.keys) else 0, ROWS):
            part = slice(start, start + ROWS)
            heads, rows = _parted(sought.sorted[part])
            wanted, spots = sought.ordered[part], self._spots(heads)
            while len(rows):
                found, at = _parted(self.sorted.take(spots, mode="clip"))
                hit = same(self.keys[at], wanted)
                if hit.all():
                    places[rows] = at
                    break
                places[rows[hit]] = at[hit]
                again = np.flatnonzero(~hit)
                again = again[(found[again] == heads[again]) & (spots[again] + 1 < len(self.sorted))]
                heads, rows, wanted, spots = heads[again], rows[again], wanted[again], spots[again] + 1
        return places

    def _spots(self, heads: np.ndarray) -> np.ndarray:
        """For each of some heads, which are sorted, the first number here that is no less."""
        first = int(np.searchsorted(self.sorted, heads[0]))
        here = self.sorted[first : first + len(heads)]
        if len(here) < len(heads) or not np.array_equal(here & ~ROW, heads):
            return np.asarray(np.searchsorted(self.sorted, heads))
        spots = np.arange(first, first + len(heads))  # nothing else is held than what is asked for
        twins = np.flatnonzero(heads[1:] == heads[:-1]) + 1
        spots[twins] = np.searchsorted(self.sorted, heads[twins])
        return spots


def _numbered(keys: np.ndarray) -> np.ndarray:
    """The keys' first 32 bits with their rows, sorted."""
    found = half(keys) & ~ROW
    found |= np.arange(len(keys), dtype=np.uint64)
    found.sort()
    return found


def _parted(numbered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first bits and the rows of what `_numbered` made."""
    return numbered & ~ROW, (numbered & ROW).view(np.int64)
