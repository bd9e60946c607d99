"""Keys in order, to be looked up by the million."""

from __future__ import annotations

import numpy as np


def words(keys: np.ndarray) -> np.ndarray:
    """Keys (n,) V16 as two numbers of 64 bits each, behind one another."""
    return np.ascontiguousarray(keys).view(np.uint64)


def half(keys: np.ndarray) -> np.ndarray:
    """The first 64 bits of keys."""
    return words(keys)[::2]


def by_half(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys sorted by their first 64 bits, then as they stand, and where each stood."""
    order = np.argsort(half(keys))
    halves = half(keys)[order]
    if (halves[1:] == halves[:-1]).any():  # rare, and the quick sort leaves equals in any order
        order = np.argsort(half(keys), kind="stable")
    return keys[order], order


def repeated(ordered: np.ndarray) -> np.ndarray:
    """(n,) bool: which of keys that `by_half` sorted stand before too."""
    again = np.zeros(len(ordered), bool)
    again[1:] = ordered[1:] == ordered[:-1]
    return again
