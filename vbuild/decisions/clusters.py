"""Puts clips into clusters: middles of a sample that no order changes, and of each vector the nearest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild import digest
from vbuild.errors import StageError, UsageError
from vbuild.near import kmeans
from vbuild.plan.wiring import column
from vbuild.store.clusters import clusters
from vbuild.store.keyed import Index, by_half, firsts
from vbuild.values import value_column

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vbuild.decisions.cluster import Cluster
    from vbuild.plan.items import Items, Shelf
    from vbuild.plan.order import Placing
    from vbuild.store.actions import Results

READ = 1 << 15
"""Vectors that are read at once: of 768 numbers, 100 MB."""


def place_in_clusters(
    decision: Placing, rule: Cluster, shards: Sequence[Items], shelf: Shelf, store: Path, *, dry: bool
) -> None:
    """Gives the clips of all shards the columns of the decision: cluster and distance, null where it judges nothing.

    A pure function of the vectors of the clips that are kept here; what is remembered changes nothing of it. Raises
    UsageError for a file of centroids that does not fit, StageError for a vector of zeros.
    """
    assert rule.of is not None
    results = shelf.results(rule.of)
    vectors, live = shelf.judged(shards, rule.of)
    once = firsts(vectors[live])
    wanted, order = by_half(vectors[live][once])
    keys = np.concatenate([np.empty(0, "V16"), *(c.actions[rule.of].keys for c in shards)])
    label, distance = np.full(len(vectors), -1, np.int32), np.full(len(vectors), np.nan, np.float32)
    if len(live):
        places = results.lookup(keys[live][once][order])
        found, far = _assigned(rule, results, shelf.instances[rule.of].recipe.id, store, wanted, places, dry=dry)
        back = Index(wanted).find(vectors[live])
        label[live], distance[live] = found[back], far[back]
    start = 0
    for c in shards:
        own = slice(start, start + len(c))
        none = label[own] < 0
        c.placed[column(decision.name, "")] = pa.array(label[own], pa.int32(), mask=none)
        c.placed[column(decision.name, "distance")] = pa.array(distance[own], pa.float32(), mask=none)
        start += len(c)


def _assigned(
    rule: Cluster, results: Results, recipe: str, store: Path, wanted: np.ndarray, places: np.ndarray, *, dry: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Of each vector, by digest (n,) V16, sorted, each once, the cluster (n,) int32 and the distance (n,) float32."""
    given = None if rule.centroids is None else _given(rule.centroids, rule.k)
    k = rule.k or max(1, round(math.sqrt(len(wanted))))
    memory = clusters(store, recipe, _identity(rule, k, wanted, given))
    known, label, distance = memory.assigned()
    there = Index(known).find(wanted)
    new = np.flatnonzero(there < 0)
    middles = memory.centroids() if given is None else given
    if middles is None:
        sample = _read(results, places[: rule.sample])
        middles = kmeans.centroids(sample, k, seed=rule.seed, rounds=rule.rounds)
        new, there = np.arange(len(wanted)), np.full(len(wanted), -1)
        known, label, distance = known[:0], label[:0], distance[:0]
    found, far = _nearest(results, places[new], middles)
    if not dry and (len(new) or memory.centroids() is None):
        memory.keep(
            middles,
            np.concatenate([known, wanted[new]]),
            np.concatenate([label, found]),
            np.concatenate([distance, far]),
        )
    elif not dry:
        memory.used()
    all_, away = np.empty(len(wanted), np.int32), np.empty(len(wanted), np.float32)
    old = np.flatnonzero(there >= 0)
    all_[new], away[new] = found, far
    all_[old], away[old] = label[there[old]], distance[there[old]]
    return all_, away


def _identity(rule: Cluster, k: int, wanted: np.ndarray, given: np.ndarray | None) -> str:
    """All that changes the centroids, as a digest in hex."""
    if given is not None:
        return digest.of("clusters", kmeans.VERSION, list(given.shape), given.tobytes()).hex()
    sample = wanted[: rule.sample].tobytes()
    return digest.of("clusters", kmeans.VERSION, k, rule.seed, rule.rounds, digest.of_bytes(sample)).hex()


def _nearest(results: Results, places: np.ndarray, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cluster and the distance of the vectors at some places, read a part at a time."""
    label, distance = np.empty(len(places), np.int32), np.empty(len(places), np.float32)
    order = np.argsort(places)
    for start in range(0, len(places), READ):
        rows = order[start : start + READ]
        vectors = _read(results, places[rows])
        if vectors.shape[1] != middles.shape[1]:
            raise UsageError(
                f"centroids: they have {middles.shape[1]} numbers each, and the vectors {vectors.shape[1]}; "
                "give those of the same embedding"
            )
        label[rows], near = kmeans.nearest(vectors, middles)
        distance[rows] = np.round(np.maximum(1 - near, 0), kmeans.SHOWN)
    return label, distance


def _read(results: Results, places: np.ndarray) -> np.ndarray:
    """Vectors as unit vectors (n, d) float32. Raises StageError for one of zeros."""
    parts = []
    for start in range(0, len(places), READ):
        column_ = results.take(places[start : start + READ], [value_column("")])[value_column("")].combine_chunks()
        wide = column_.flatten().to_numpy().reshape(len(column_), -1).astype(np.float64)
        length = np.linalg.norm(wide, axis=1, keepdims=True)
        if not length.all():
            raise StageError("an embedding of zeros has no direction; its stage must write unit vectors or null")
        parts.append((wide / length).astype(np.float32))
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def _given(path: Path, k: int | None) -> np.ndarray:
    """Centroids of a file, as unit vectors (k, d) float32."""
    try:
        found = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(
            f"centroids={path}: it is no .npy file that can be read; give one with a row a cluster"
        ) from error
    if found.ndim != 2 or not len(found) or found.dtype.kind != "f" or not np.isfinite(found).all():
        raise UsageError(
            f"centroids={path}: rows of numbers are needed, one a cluster; it holds {found.dtype} {found.shape}"
        )
    wide = found.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    if not length.all():
        raise UsageError(f"centroids={path}: a row of zeros has no direction; take it out")
    if k is not None and k != len(found):
        raise UsageError(f"k={k}: {path} holds {len(found)} centroids; say k=null")
    return np.asarray(wide / length, np.float32)
