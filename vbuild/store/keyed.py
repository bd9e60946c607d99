"""Keys in order, to be looked up by the million."""

from __future__ import annotations

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


def firsts(keys: np.ndarray) -> np.ndarray:
    """The rows at which the keys (n,) V16 stand that stand in no row before, in order."""
    heads, rows = _parted(_numbered(keys))
    alike = np.flatnonzero(heads[1:] == heads[:-1])
    doubted = np.unique(rows[np.concatenate([alike, alike + 1])])
    again = Index(keys[doubted]).find(keys[doubted]) < np.arange(len(doubted))
    return np.delete(np.arange(len(keys)), doubted[again])


class Index:
    """Where keys (n,) V16 stand, fewer than 2^32.

    One sorted number a key, for a sort of numbers is several times as fast as one that says where they stood: 32 bits
    of the key, then its row. Those of which the 32 bits are alike stand together, the first row first.
    """

    def __init__(self, keys: np.ndarray) -> None:
        self.keys, self.sorted = keys, _numbered(keys)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The row of each key, int64 (n,); -1 where there is none. Of rows with one key the first wins."""
        places = np.full(len(keys), -1, np.int64)
        wanted = _numbered(keys) if len(self.keys) else places[:0]
        for start in range(0, len(wanted), ROWS):
            heads, rows = _parted(wanted[start : start + ROWS])
            spots = np.searchsorted(self.sorted, heads)
            while len(rows):
                found, at = _parted(self.sorted.take(spots, mode="clip"))
                hit = same(self.keys[at], keys[rows])
                places[rows] = np.where(hit, at, -1)
                again = np.flatnonzero(~hit)
                again = again[(found[again] == heads[again]) & (spots[again] + 1 < len(self.sorted))]
                heads, rows, spots = heads[again], rows[again], spots[again] + 1
        return places


def _numbered(keys: np.ndarray) -> np.ndarray:
    """The keys' first 32 bits with their rows, sorted."""
    found = half(keys) & ~ROW
    found |= np.arange(len(keys), dtype=np.uint64)
    found.sort()
    return found


def _parted(numbered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first bits and the rows of what `_numbered` made."""
    return numbered & ~ROW, (numbered & ROW).view(np.int64)
