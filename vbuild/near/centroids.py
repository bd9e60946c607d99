"""Samples of vectors, the same whatever the order in which they came, and which centroid is nearest to each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vbuild.errors import StageError
from vbuild.near.kernel import fastest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def parted(vectors: np.ndarray, middles: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For blocks of `ROWS` unit vectors float32 (n, d): the centroid nearest to each, int64, and the squared distances.

    Distances are float32 (rows, k), less 1, and lie in memory that the next block takes. They, and what is nearest, are
    what bfloat16 makes of them where the processor knows it.
    """
    lengths = np.einsum("kd,kd->k", middles, middles)
    turned = np.ascontiguousarray(-2 * middles.T)
    multiply = _short(turned) if fastest() != "numpy" else lambda block, out: np.matmul(block, turned, out=out)
    room = np.empty((min(ROWS, len(vectors)), len(middles)), np.float32)
    for start in range(0, len(vectors), ROWS):
        block = vectors[start : start + ROWS]
        far = room[: len(block)]
        multiply(block, far)
        far += lengths
        yield far.argmin(axis=1), far


def _short(right: np.ndarray) -> Callable[[np.ndarray, np.ndarray], object]:
    """Multiplies float32 (n, d) with what is given, (d, k), in bfloat16, into float32 (n, k)."""
    import torch

    short = torch.from_numpy(right).to(torch.bfloat16)
    return lambda left, out: torch.from_numpy(out).copy_(torch.from_numpy(left).to(torch.bfloat16) @ short)


def nearly(vectors: np.ndarray, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of unit vectors (n, d) float32 the centroid (k, d) that is nearest, int64 (n,), and their cosine; about."""
    found = [(own, 0.5 - far[np.arange(len(own)), own] / 2) for own, far in parted(vectors, middles)]
    labels, near = zip(*found, strict=True) if found else ((np.empty(0, np.int64),), (np.empty(0),))
    return np.concatenate(labels), np.concatenate(near)
