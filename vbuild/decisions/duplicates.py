"""Takes a dedup: which clips are near-duplicates of one that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild import digest
from vbuild.decisions.compare import complete, near_vectors, uncompared
from vbuild.decisions.dedup import BY_CLUSTER
from vbuild.decisions.keepers import Edges, keepers
from vbuild.decisions.outliers import distances
from vbuild.decisions.overlaps import overlapping, reach_of
from vbuild.decisions.predicate import ranks
from vbuild.near.kernel import threshold
from vbuild.plan.items import NOBODY, hexed
from vbuild.store.keyed import Index, by_half, firsts
from vbuild.store.pairs import pairs as stored_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vbuild.decisions.compare import Find, Run
    from vbuild.plan.items import Items, Shelf
    from vbuild.plan.order import Deduplication
    from vbuild.store.actions import Results
    from vbuild.store.pairs import Pairs


@dataclass(frozen=True)
class Outcome:
    """What a dedup came to."""

    pairs: pa.Table | None
    """Those that are near: clip_a < clip_b and keeper (hex; null where neither of the two is kept), and similarity.
    None in a plan in which something is yet to be compared."""
    new: int
    """Vectors, or fingerprints, that were, or are to be, compared."""
    known: int
    """Those that were before."""


@dataclass(frozen=True)
class Candidates:
    """Those that a dedup judges: the clips that are kept where it stands, and have a vector or a fingerprint."""

    live: np.ndarray
    """Rows of all shards, one behind the other."""
    clips: np.ndarray
    """Their ids, (n,) V16."""
    vectors: np.ndarray
    """The digests of their vectors or fingerprints, each once."""
    group: np.ndarray
    """int64 (n,): which of these is each clip's."""


def decide(decision: Deduplication, shards: Sequence[Items], shelf: Shelf, store: Path, run: Run | None) -> Outcome:
    """Drops the clips of all shards that have a kept near-duplicate.

    A clip without a vector is not judged, nor one without a frame that tells it. Clips of which these are equal to the
    bit are collapsed before anything is compared.
    `run` has workers compare; without it, in a plan, nothing is decided unless everything was compared before.
    """
    rule = decision.rule
    results, known = shelf.results(decision.of), stored_pairs(store, shelf.instances[decision.of].recipe.id)
    some = _candidates(decision, shards, shelf)
    wanted, group = some.vectors, some.group
    reach, least, find = _measure(decision)
    asked = known, results, wanted, reach
    left = uncompared(known, wanted, reach) if run is None else complete(*asked, run, find)
    rank = None if run is None and left.new else _ranked(decision, shards, shelf, some, known, results, run)
    if rank is None:
        return Outcome(None, left.new, left.known)
    head = np.full(len(wanted), -1, np.int64)
    by_rank = np.argsort(rank)
    head[group[by_rank[::-1]]] = by_rank[::-1]
    edges = Edges(*known.edges(wanted, least))
    heads = keepers(rank[head], edges, rule.rule)
    twin = head[group] != np.arange(len(some.live))
    verdict_keeper = np.where(heads.kept, -1, head[heads.keeper])[group]
    keeper = np.where(twin & (verdict_keeper < 0), head[group], verdict_keeper)
    _drop(decision.name, shards, some.live, some.clips, keeper)
    twins = np.flatnonzero(twin)
    pairs = _pairs(
        some.clips,
        np.concatenate([head[edges.a], head[group[twins]]]),
        np.concatenate([head[edges.b], twins]),
        np.concatenate([edges.similarity, np.ones(len(twins))]),
        keeper < 0,
    )
    return Outcome(pairs, left.new, left.known)


def _measure(decision: Deduplication) -> tuple[float, float, Find]:
    """Up to which distance pairs are stored, from which similarity on they count, and how they are found."""
    rule = decision.rule
    if decision.hashes:
        return reach_of(rule.overlap), threshold(1 - rule.overlap), overlapping
    return rule.eps if rule.reach is None else rule.reach, threshold(rule.eps), near_vectors


def _candidates(decision: Deduplication, shards: Sequence[Items], shelf: Shelf) -> Candidates:
    vectors, live = shelf.judged(shards, decision.of)
    clips = np.concatenate([np.empty(0, "V16"), *(c.ids for c in shards)])[live]
    index = Index(vectors[live])
    once, _ = by_half(index.keys[firsts(index)])
    return Candidates(live, clips, once, Index(once).find(index))


def _ranked(
    decision: Deduplication,
    shards: Sequence[Items],
    shelf: Shelf,
    some: Candidates,
    known: Pairs,
    results: Results,
    run: Run | None,
) -> np.ndarray | None:
    """The place of each candidate in the order of keeping; None where it follows from what is yet to be computed."""
    keep = decision.rule.keep
    if keep in BY_CLUSTER:
        far = distances(known.folder, results, some.vectors, decision.rule.clusters, run)
        if far is None:
            return None
        order = np.lexsort((_in_order(some.clips), far[some.group] if keep == "easy" else -far[some.group]))
    elif keep == "random":
        order = np.argsort(_in_order(digest.inputs(("random",), [some.clips])), kind="stable")
    else:
        tables = [shelf.columns(clips, decision.reads) for clips in shards]
        places = ranks(keep, pa.concat_tables(tables)) if tables else np.empty(0, np.int64)
        order = np.argsort(places[some.live], kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _in_order(digests: np.ndarray) -> np.ndarray:
    """int64 (n,): the places of digests, in the order of their bytes."""
    halves = np.ascontiguousarray(digests).view(">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _drop(name: str, shards: Sequence[Items], live: np.ndarray, clips: np.ndarray, keeper: np.ndarray) -> None:
    """Notes in each shard whom the dedup dropped, and for whom."""
    gone = np.flatnonzero(keeper >= 0)
    rows, stand_in = live[gone], clips[keeper[gone]]
    start = 0
    for shard in shards:
        here = (rows >= start) & (rows < start + len(shard))
        own = rows[here] - start
        shard.kept[own] = False
        shard.dropped_by[own] = name
        shard.duplicate_of[own] = stand_in[here]
        start += len(shard)


def _pairs(clips: np.ndarray, a: np.ndarray, b: np.ndarray, similarity: np.ndarray, kept: np.ndarray) -> pa.Table:
    """Pairs of clips by id, the lower first, with the one of the two that is kept."""
    swap = clips[b].view("S16") < clips[a].view("S16")
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    keeper = np.where(kept[a], clips[a], np.where(kept[b], clips[b], NOBODY[0]))
    nobody = keeper == NOBODY[0]
    names = hexed(keeper).combine_chunks().to_pylist()
    return pa.table(
        {
            "clip_a": hexed(clips[a]),
            "clip_b": hexed(clips[b]),
            "similarity": pa.array(similarity, pa.float64()),
            "keeper": pa.array([None if n else name for n, name in zip(nobody, names, strict=True)], pa.string()),
        }
    )
