"""How far vectors lie from the centroids of their clusters: what is an outlier, and what stands for many."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild import digest
from vbuild.decisions.compare import place_vectors, places_of
from vbuild.digest import column_of, keys_of
from vbuild.near import kmeans
from vbuild.near.centroids import PER, sampled
from vbuild.near.chores import Distances, Middles
from vbuild.store import lance_io
from vbuild.store.keyed import Index
from vbuild.store.pairs import Pairs

if TYPE_CHECKING:
    from pathlib import Path

    from vbuild.decisions.compare import Run
    from vbuild.store.actions import Results

EIGHTH = 8
"""Vectors of a cluster at least, on average."""

STEP = 16_384
"""Rows that a worker measures in one go."""

KEPT = 4
"""Sets of centroids of which distances are kept."""


def distances(folder: Path, results: Results, wanted: np.ndarray, clusters: int, run: Run | None) -> np.ndarray | None:
    """The cosine distance of each of the vectors `wanted`, digests (n,) V16 each once, to its centroid, float64 (n,).

    Centroids are made of a sample that follows from the set of vectors alone, so nothing depends on which came first.
    Distances are kept as long as the sample is the same. Without `run` None if some are not known.
    """
    count = max(1, min(clusters, len(wanted) // EIGHTH))
    sample = sampled(wanted, PER * count)
    name = digest.of("centroids", kmeans.VERSION, count, wanted[sample].tobytes()).hex()
    path = folder / "distances" / f"{name}.lance"
    far, missing = _known(path, wanted)
    if not len(missing):
        return far
    if run is None:
        return None
    with Pairs(folder).held() as work:
        ground = place_vectors(work, results, places_of(results, wanted))
        for _ in run([Middles(ground, sample, count)]):
            pass
        parts = [missing[start : start + STEP] for start in range(0, len(missing), STEP)]
        for table in run([Distances(ground, part) for part in parts]):
            far[table["row"].to_numpy()] = table["distance"].to_numpy()
        rows = pa.table({"vector": column_of(wanted[missing]), "distance": pa.array(far[missing], pa.float64())})
        lance_io.compact(lance_io.append(path, rows))
        _prune(path.parent)
    return far


def _known(path: Path, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distances that were kept, NaN elsewhere, and the rows of those that are missing."""
    far = np.full(len(wanted), np.nan)
    dataset = lance_io.open_dataset(path)
    if dataset is not None:
        table = dataset.to_table()
        at = Index(keys_of(table["vector"])).find(wanted)
        far[at >= 0] = table["distance"].to_numpy()[at[at >= 0]]
    return far, np.flatnonzero(np.isnan(far))


def _prune(folder: Path) -> None:
    """Takes away distances to centroids that are long gone."""
    newest = sorted(folder.glob("*.lance"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
