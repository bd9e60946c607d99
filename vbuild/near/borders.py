"""Which partitions of vectors can hold pairs that are near: what lies too far from the border between two cannot.

Of unit vectors x in A and y in B, with centroids a and b, let f(x, c) = |x - c|². Then

    (f(x, b) - f(x, a)) + (f(y, a) - f(y, b)) = 2 <y - x, b - a> <= 2 |x - y| |a - b|,

so a pair within r has both terms together at most 2 r |a - b|, whichever way vectors came to their partitions. The
least that the terms are in all of a partition, its margins, thus rule most partitions out, and most rows of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

SLACK = 0.05
"""What bfloat16 may lose of the four squared distances, to centroids of length one at most: twice the product, of which
either side and what comes of it are off by 2^-9; in float32 it is a hundredth of that."""


def closest(far: np.ndarray, own: np.ndarray, margins: np.ndarray | Mapping[int, np.ndarray]) -> None:
    """Lowers margins, for each A float32 (k,), by some vectors: [A][B] is the least of f(x, b) - f(x, a) of all x in A.

    `far`: squared distances (n, k) up to what is the same for all of a row; they are spent. `own`: each one's A.
    """
    far -= far[np.arange(len(far)), own][:, None]
    order = np.argsort(own, kind="stable")
    heads, starts = np.unique(own[order], return_index=True)
    ends = [*starts[1:].tolist(), len(order)]
    for head, start, end in zip(heads.tolist(), starts.tolist(), ends, strict=True) if len(heads) else ():
        np.minimum(margins[head], far[order[start:end]].min(axis=0), out=margins[head])


def open_margins(some: int, k: int) -> np.ndarray:
    """Those of no vectors, of some of k partitions: float32 (some, k)."""
    return np.full((some, k), np.inf, np.float32)


def distances(middles: np.ndarray) -> np.ndarray:
    """How far apart centroids (k, size) are, float32 (k, k), never less than they are."""
    wide = middles.astype(np.float64)
    lengths = np.einsum("kd,kd->k", wide, wide)
    apart = np.empty((len(wide), len(wide)), np.float32)
    for start in range(0, len(wide), 256):
        rows = slice(start, start + 256)
        squares = lengths[rows, None] + lengths - 2 * wide[rows] @ wide.T
        apart[rows] = np.sqrt(np.maximum(squares, 0) + 1e-12) * (1 + 1e-6)
    return apart


@dataclass(frozen=True)
class Borders:
    """The borders between k partitions."""

    apart: np.ndarray
    """As `distances` gives it."""
    margins: np.ndarray
    """float32 (k, k): as `closest` lowers them, by all vectors."""
    radius: float
    """How far apart the vectors of a pair are at most."""

    def left(self, one: int) -> np.ndarray:
        """float32 (k,): what f(x, b) - f(x, a) may be at most of a vector of this partition that has a pair in b."""
        left: np.ndarray = 2 * self.radius * self.apart[one] + SLACK - self.margins[:, one]
        return left

    def met(self, far: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """In which partitions, its own too, each of some vectors may be near another: places of vectors, partitions.

        `far`: squared distances (n, k) up to what is the same for all of a row; they are spent. `own`: each one's A.
        """
        far -= far[np.arange(len(far)), own][:, None]
        room = 2 * self.radius * self.apart[own] + SLACK - far
        at, others = np.nonzero(room >= 0)  # no margin is below 0, so that few have to be looked at
        near = self.margins[others, own[at]] <= room[at, others]
        return at[near], others[near]

    def beyond(self, one: int) -> np.ndarray:
        """The other partitions in which a vector may be near one of this."""
        near = self.margins[one] <= self.left(one)
        near[one] = False
        return np.flatnonzero(near)

    def share(self, sizes: np.ndarray) -> float:
        """Of all pairs of vectors, the share that lies in partitions that may hold near ones. `sizes`: vectors (k,)."""
        total = sum(
            float(sizes[one]) * float(sizes[one] + sizes[self.beyond(one)].sum())
            for one in np.flatnonzero(sizes).tolist()
        )
        return total / max(float(sizes.sum()) ** 2, 1.0)


def reaching(vectors: np.ndarray, middles: np.ndarray, one: int, others: np.ndarray, left: np.ndarray) -> np.ndarray:
    """bool (n, others): which unit vectors float32 (n, size) of a partition may be near one of which others.

    `left`: (others,) of what `Borders` says is left.
    """
    lengths = np.einsum("kd,kd->k", middles[others], middles[others])
    toward = -2 * (middles[others] - middles[one])
    gap = vectors @ toward.T + (lengths - middles[one] @ middles[one])
    reaching: np.ndarray = gap <= left
    return reaching
