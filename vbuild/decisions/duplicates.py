"""Near-duplicates: the pairs within reach, found once per embedding, and the keepers that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild.decisions.predicate import ranks
from vbuild.digest import keys_of
from vbuild.errors import StageError
from vbuild.plan.items import NOBODY, hexed
from vbuild.store.pairs import pairs as stored_pairs
from vbuild.values import digest_column, value_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vbuild.plan.items import Items, Shelf
    from vbuild.plan.order import Deduplication
    from vbuild.store.actions import Results
    from vbuild.store.pairs import Pairs

TILE = 2048
"""Rows of vectors that are multiplied at once."""

SLACK = 1e-5
"""What float32 may lose of a product of unit vectors; candidates are looked at again in float64."""

DECIMALS = 6
"""Similarities are rounded, so that no tile size or order moves one across a threshold."""


@dataclass(frozen=True)
class Edges:
    """Near-duplicate pairs by the rows of two things: a < b in every pair, each pair once."""

    a: np.ndarray
    b: np.ndarray
    similarity: np.ndarray
    """float64, cosine."""


def near_pairs(vectors: np.ndarray, fresh: np.ndarray, reach: float) -> Edges:
    """All pairs of unit vectors (n, d) within `reach` of cosine distance of which one row at least is fresh (n,).

    Candidates come from a blocked float32 product; the float64 product of the two vectors, rounded, decides.
    """
    close_pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    rows = np.flatnonzero(fresh)
    rank = np.where(fresh, np.cumsum(fresh), 0)
    single = vectors.astype(np.float32)
    for start in range(0, len(rows), TILE):
        block = rows[start : start + TILE]
        for other in range(0, len(vectors), 4 * TILE):
            product = single[block] @ single[other : other + 4 * TILE].T
            i, j = np.nonzero(product >= 1 - reach - SLACK)
            i, j = block[i], j + other
            once = rank[j] < rank[i]
            a, b = np.minimum(i[once], j[once]), np.maximum(i[once], j[once])
            similarity = np.round(np.einsum("nd,nd->n", vectors[a], vectors[b]), DECIMALS)
            close = similarity >= round(1 - reach, DECIMALS)
            close_pairs.append((a[close], b[close], similarity[close]))
    empty = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Edges(*(np.concatenate(columns) for columns in zip(empty, *close_pairs, strict=True)))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, d) as float64 of length one. Raises StageError for a vector of zeros."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    if len(wide) and not length.all():
        raise StageError("an embedding of zeros has no direction; its stage must write unit vectors or null")
    return np.asarray(wide / length)


def complete(pairs: Pairs, results: Results, wanted: np.ndarray, reach: float, *, dry: bool) -> Edges:
    """The pairs within `reach` among the vectors `wanted` (n,) V16 (digests, unique), as rows of `wanted`.

    Vectors that were compared before are compared with the new ones only, never with each other. One that is no longer
    in the store cannot be, so it counts as never compared should it come back.
    """
    with pairs.held(dry=dry) as stored:
        compared = stored.compared(reach)
        new = wanted[~np.isin(wanted, compared)]
        if len(new):
            results.refresh()
            ids, vectors = _vectors(results, np.concatenate([compared, new]))
            stored.forget(compared[~np.isin(compared, ids)])
            edges = near_pairs(vectors, np.isin(ids, new), reach)
            stored.add(ids[edges.a], ids[edges.b], edges.similarity, new, reach)
        a, b, similarity = stored.edges()
    order = np.argsort(wanted)
    here = np.isin(a, wanted) & np.isin(b, wanted) & (similarity >= round(1 - reach, DECIMALS))
    rows = [order[np.searchsorted(wanted[order], side[here])] for side in (a, b)]
    return Edges(np.minimum(*rows), np.maximum(*rows), similarity[here])


def _vectors(results: Results, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of these digests that a recipe holds, with their digests: (n,) V16 and (n, d) float64 unit."""
    everything = np.arange(len(results))
    held = keys_of(results.take(everything, [digest_column("")])[digest_column("")])
    _, first = np.unique(held, return_index=True)
    rows = first[np.isin(held[first], wanted)]
    column = results.take(rows, [value_column("")])[value_column("")].combine_chunks()
    return held[rows], unit(column.flatten().to_numpy().reshape(len(rows), -1))


@dataclass(frozen=True)
class Verdict:
    """Who is kept among n nodes."""

    kept: np.ndarray
    keeper: np.ndarray
    """int64 (n,): the row of the node that stands for a dropped one, -1 for a kept one."""


def keepers(rank: np.ndarray, edges: Edges, rule: str) -> Verdict:
    """Who is kept, a pure function of ranks (n,) and edges: the order in which nodes arrived changes nothing.

    `greedy`: in order of rank, a node is kept unless a neighbour already is; so every dropped node has a kept
    neighbour and no two kept nodes are neighbours. `dominance`: a node is dropped if any neighbour ranks before it,
    kept or not (what NeMo Curator does within a cluster).
    """
    kept = np.ones(len(rank), bool)
    keeper = np.full(len(rank), -1, np.int64)
    for node, others, similarity in _neighbourhoods(rank, edges):
        before = rank[others] < rank[node]
        if rule == "greedy":
            before &= kept[others]
        if before.any():
            rows = np.flatnonzero(before)
            best = rows[np.lexsort((rank[others[rows]], -similarity[rows]))[0]]
            kept[node], keeper[node] = False, others[best]
    return Verdict(kept, keeper)


def _neighbourhoods(rank: np.ndarray, edges: Edges) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Every node that has neighbours, in order of rank, with them and their similarities."""
    ends = np.concatenate([edges.a, edges.b])
    others = np.concatenate([edges.b, edges.a])
    similarity = np.tile(edges.similarity, 2)
    order = np.lexsort((rank[others], rank[ends]))
    ends, others, similarity = ends[order], others[order], similarity[order]
    for part in np.split(np.arange(len(ends)), np.flatnonzero(np.diff(ends)) + 1):
        if len(part):
            yield int(ends[part[0]]), others[part], similarity[part]


def decide(decision: Deduplication, shards: Sequence[Items], shelf: Shelf, store: Path, *, dry: bool) -> pa.Table:
    """Drops the clips of all shards that have a kept near-duplicate, and returns the pairs within eps.

    A clip without a vector is not judged. Clips with bit-equal vectors are collapsed before anything is compared.
    The table holds clip_a < clip_b and keeper (hex; null where neither of the two is kept) and similarity.
    """
    rule = decision.rule
    reach = rule.eps if rule.reach is None else rule.reach
    results = shelf.results(decision.of)
    vectors = np.concatenate([np.empty(0, "V16"), *(shelf.digests(c, decision.of, [""])[0] for c in shards)])
    kept = np.concatenate([np.empty(0, bool), *(c.kept & c.sure for c in shards)])
    live = np.flatnonzero(kept & (vectors != NOBODY[0]))
    clips = np.concatenate([np.empty(0, "V16"), *(c.ids for c in shards)])[live]
    rank = np.concatenate([np.empty(0, np.int64), _ranked(decision, shards, shelf)])
    rank = np.argsort(np.argsort(rank[live], kind="stable"), kind="stable")
    wanted, group = np.unique(vectors[live], return_inverse=True)
    head = np.full(len(wanted), -1, np.int64)
    by_rank = np.argsort(rank)
    head[group[by_rank[::-1]]] = by_rank[::-1]
    edges = complete(stored_pairs(store, shelf.instances[decision.of].recipe.id), results, wanted, reach, dry=dry)
    close = edges.similarity >= round(1 - rule.eps, DECIMALS)
    edges = Edges(edges.a[close], edges.b[close], edges.similarity[close])
    heads = keepers(rank[head], edges, rule.rule)
    twin = head[group] != np.arange(len(live))
    verdict_keeper = np.where(heads.kept, -1, head[heads.keeper])[group]
    keeper = np.where(twin & (verdict_keeper < 0), head[group], verdict_keeper)
    _drop(decision.name, shards, live, clips, keeper)
    twins = np.flatnonzero(twin)
    return _pairs(
        clips,
        np.concatenate([head[edges.a], head[group[twins]]]),
        np.concatenate([head[edges.b], twins]),
        np.concatenate([edges.similarity, np.ones(len(twins))]),
        keeper < 0,
    )


def _ranked(decision: Deduplication, shards: Sequence[Items], shelf: Shelf) -> np.ndarray:
    """The place of every clip in the order of keeping."""
    tables = [shelf.columns(clips, decision.reads) for clips in shards]
    return ranks(decision.rule.keep, pa.concat_tables(tables)) if tables else np.empty(0, np.int64)


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
