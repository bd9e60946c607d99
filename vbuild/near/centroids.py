"""Centroids of vectors by k-means: the same whatever the order in which vectors came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vbuild.errors import StageError

if TYPE_CHECKING:
    from collections.abc import Iterator

PER = 12
"""Vectors of a sample for each centroid: more of them narrowed no search."""

ROUNDS = 4
"""How often centroids move to the middle of theirs."""

ROWS = 4096
"""Vectors that are multiplied at once: the same blocks, the same rounding."""

SPREAD = 0x9E3779B97F4A7C15
"""Multiplied by it, small seeds differ in all of their bits."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, d) as float64 of length one. Raises StageError for a vector of zeros."""
    wide = vectors.astype(np.float64)
    length = np.sqrt(np.einsum("nd,nd->n", wide, wide))[:, None]
    if not length.all():
        raise StageError("an embedding of zeros has no direction; its stage must write unit vectors or null")
    wide /= length
    return wide


def sampled(digests: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """The rows of `count` of the digests (n,) V16, those that come first in an order that only the seed decides.

    Of a digest that stands several times, the first row stands for all.
    """
    halves = np.ascontiguousarray(digests).view(np.uint64).reshape(-1, 2)
    mixed = halves ^ np.uint64(seed * SPREAD % 2**64)
    order = np.lexsort((mixed[:, 1], mixed[:, 0]))
    ordered = mixed[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order[new][:count]


def centroids(vectors: np.ndarray, digests: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """At most k centroids, float32 (k, d), of vectors (n, d) of any length but zero, with their digests (n,) V16.

    A function of the set of vectors alone: the order of rows changes nothing, nor does a vector that stands twice.
    They are made of a sample, of vectors of length one, and are shorter than one themselves; one is fewer where there
    are fewer vectors. Raises StageError for a vector of zeros.
    """
    return trained(unit(vectors[sampled(digests, PER * k, seed)]).astype(np.float32), k)


def trained(sample: np.ndarray, k: int) -> np.ndarray:
    """At most k centroids, float32 (k, d), of unit vectors (n, d) float32, the first of which they begin with."""
    middles = sample[:k].copy()
    for _ in range(ROUNDS):
        part = np.concatenate([np.empty(0, np.int64), *(own for own, _ in parted(sample, middles))])
        order = np.argsort(part, kind="stable")
        heads, starts = np.unique(part[order], return_index=True)
        sums = np.add.reduceat(sample[order].astype(np.float64), starts) if len(heads) else middles
        sizes = np.diff([*starts, len(order)])
        middles[heads] = sums / sizes[:, None]
    return middles


def parted(vectors: np.ndarray, middles: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For blocks of `ROWS` unit vectors float32 (n, d): the centroid nearest to each, int64, and the squared distances.

    Distances are float32 (rows, k), less 1, and lie in memory that the next block takes.
    """
    lengths = np.einsum("kd,kd->k", middles, middles)
    turned = np.ascontiguousarray(-2 * middles.T)
    room = np.empty((min(ROWS, len(vectors)), len(middles)), np.float32)
    for start in range(0, len(vectors), ROWS):
        block = vectors[start : start + ROWS]
        far = np.matmul(block, turned, out=room[: len(block)])
        far += lengths
        yield far.argmin(axis=1), far


def nearest(vectors: np.ndarray, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centroid nearest to each vector (n, d), int64 (n,), and the cosine distance to it, float64 (n,).

    Nearest is by Euclidean distance of the vectors at length one, as in k-means. Raises StageError for zeros.
    """
    wide = unit(vectors)
    part = np.concatenate([np.empty(0, np.int64), *(own for own, _ in parted(wide.astype(np.float32), middles))])
    cosine, directions = np.empty(len(wide)), _directions(middles)
    for start in range(0, len(wide), ROWS):
        rows = slice(start, start + ROWS)
        cosine[rows] = np.einsum("nd,nd->n", wide[rows], directions[part[rows]])
    return part, 1 - cosine


def _directions(middles: np.ndarray) -> np.ndarray:
    """Centroids at length one; that of opposites may be zeros, and stays."""
    wide = middles.astype(np.float64)
    length = np.sqrt(np.einsum("kd,kd->k", wide, wide))[:, None]
    wide /= np.where(length > 0, length, 1)
    return wide
