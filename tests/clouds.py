"""Vectors for tests of what is near what: the sets that dedups meet, and the definition to hold them against."""

from __future__ import annotations

import lance
import numpy as np
import pyarrow as pa

from vbuild.near.centroids import unit


def scattered(n, d, random):
    """Directions of no order, with copies that are nearly equal."""
    vectors = random.normal(size=(n, d))
    return planted(vectors, random)


def grouped(n, d, random):
    """Groups, and copies within them."""
    middles = random.normal(size=(max(n // 40, 1), d))
    return planted(middles[random.integers(len(middles), size=n)] + random.normal(size=(n, d)) * 0.6, random)


def dense(n, d, random):
    """One cluster in which very many are near one another."""
    return random.normal(size=d) + random.normal(size=(n, d)) * 0.3


def opposed(n, d, random):
    """Pairs that point away from each other, and a few numbers that all of the rest follows."""
    half = random.normal(size=(n // 2 + 1, 4)) @ random.normal(size=(4, d))
    return np.concatenate([half, -half])[:n] + random.normal(size=(n, d)) * 0.02


def planted(vectors, random):
    """The vectors, a fifth of which are another one turned by angles up to what a reach of 0.12 allows."""
    n, d = vectors.shape
    vectors = unit(vectors)
    copies = random.permutation(n)[: n // 5]
    sources = random.integers(n, size=len(copies))
    angle = np.arccos(1 - random.uniform(0, 0.12, size=(len(copies), 1)))
    away = random.normal(size=(len(copies), d))
    away = unit(away - (away * vectors[sources]).sum(axis=1, keepdims=True) * vectors[sources])
    vectors[copies] = np.cos(angle) * vectors[sources] + np.sin(angle) * away
    return vectors


SETS = {"scattered": scattered, "grouped": grouped, "dense": dense, "opposed": opposed}


def brute(vectors, reach):
    """All pairs within reach, with their similarities, by the definition: in float64, every row with every other."""
    flat = unit(vectors)
    found = {}
    for a in range(len(flat)):
        similarity = np.round(np.einsum("nd,d->n", flat[a + 1 :], flat[a]), 6)
        for b in np.flatnonzero(similarity >= round(1 - reach, 6)).tolist():
            found[a, a + 1 + b] = similarity[b]
    return found


def stored(folder, vectors, batches=1):
    """Vectors as a stage's results are stored: (uri, version) of a Lance dataset with the column `value`."""
    uri = str(folder / "vectors.lance")
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    table = pa.table({"value": column})
    for start in range(0, len(table), -(-len(table) // batches)):
        lance.write_dataset(table.slice(start, -(-len(table) // batches)), uri, mode="append" if start else "create")
    return uri, lance.dataset(uri).version
