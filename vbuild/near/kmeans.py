"""Spherical k-means of unit vectors: the same centroids and the same clusters whatever the blocks and the threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Nearest = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

VERSION = 1
"""Raised when other centroids, or other clusters, come of the same vectors."""

BLOCK = 8192
"""Rows of vectors that are multiplied at once."""

SLACK = 1e-4
"""What float32 may lose of a product of unit vectors of some thousand numbers; what is as near is looked at again in
float64."""

DECIMALS = 9
"""Products are rounded, so that no order of adding up moves a vector from one centroid to another."""

SHOWN = 6
"""Decimals of a distance."""

SEEDED = 10
"""Vectors for each centroid among which the first ones are chosen."""


def centroids(vectors: np.ndarray, k: int, *, seed: int | None, rounds: int, by: Nearest | None = None) -> np.ndarray:
    """At most `k` centroids (k, d), float32 of length one, of unit vectors (n, d) float32.

    What comes of it depends on the order of the vectors: let it follow from what they are. Of fewer different vectors
    fewer come. Those to begin with are chosen by k-means++ (Arthur and Vassilvitskii, 2007) of the first 10 k vectors,
    or are, without a seed, the first `k`: of thousands that is the quicker, and hardly the worse. Lloyd's steps follow
    until nothing moves, `rounds` at most. One that loses all its vectors becomes the vector that is farthest from its
    own. The one with most vectors comes first. `by` finds what is nearest, in place of `nearest`.
    """
    by = by or nearest
    among = vectors[: max(SEEDED * k, 1000)]
    found = vectors[:k] if seed is None else _first(among, k, np.random.default_rng(seed))
    labels, near = by(vectors, found)
    turned = np.ascontiguousarray(vectors.T)
    for _ in range(rounds):
        found = _middles(vectors, turned, labels, near, found)
        before = labels
        labels, near = by(vectors, found)
        if np.array_equal(labels, before):
            break
    sizes = np.bincount(labels, minlength=len(found))
    return found[np.argsort(-sizes, kind="stable")]


def _first(vectors: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """Vectors to begin with, each chosen with a chance that grows with its distance from those before it."""
    wide = vectors.astype(np.float64)
    chosen = [int(random.integers(len(wide)))]
    far = np.full(len(wide), np.inf)
    while len(chosen) < k:
        far = np.minimum(far, np.maximum(np.round(1 - wide @ wide[chosen[-1]], SHOWN), 0))
        upto = np.cumsum(far)
        if upto[-1] == 0:
            break
        chosen.append(min(int(np.searchsorted(upto, random.random() * upto[-1], side="right")), len(wide) - 1))
    return vectors[chosen]


def _middles(
    vectors: np.ndarray, turned: np.ndarray, labels: np.ndarray, near: np.ndarray, old: np.ndarray
) -> np.ndarray:
    """The middle of each cluster's vectors, as a unit vector. Added up in the order of the vectors, in float64."""
    k = len(old)
    sums = np.stack([np.bincount(labels, weights=column, minlength=k) for column in turned], axis=1)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    middles = np.where(length > 0, sums / np.where(length > 0, length, 1), old)
    empty = np.flatnonzero(np.bincount(labels, minlength=k) == 0)
    if len(empty):
        middles[empty] = vectors[np.argsort(near, kind="stable")[: len(empty)]]
    return middles.astype(np.float32)


def nearest(vectors: np.ndarray, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each unit vector (n, d) the centroid (k, d) that is nearest, int32 (n,), and their cosine, float64 (n,).

    Of several that are as near, to 9 decimals, the first. Candidates come of a float32 product, and float64 decides.
    """
    labels, near = np.empty(len(vectors), np.int32), np.empty(len(vectors))
    wide = middles.astype(np.float64)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        product = block @ middles.T
        rows, columns = np.nonzero(product >= product.max(axis=1, keepdims=True) - SLACK)
        cosine = np.empty(len(rows))
        for part in range(0, len(rows), BLOCK):
            some = slice(part, part + BLOCK)
            exact = np.einsum("nd,nd->n", block[rows[some]].astype(np.float64), wide[columns[some]])
            cosine[some] = np.round(exact, DECIMALS)
        order = np.lexsort((columns, -cosine, rows))
        best = order[np.searchsorted(rows[order], np.arange(len(block)))]
        labels[start : start + BLOCK], near[start : start + BLOCK] = columns[best], cosine[best]
    return labels, near
