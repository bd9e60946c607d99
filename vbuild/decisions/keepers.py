"""Who of near-duplicates stays: a pure function of ranks and pairs, whatever the order in which they came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Edges:
    """Near-duplicate pairs by the rows of two things: a < b in every pair, each pair once."""

    a: np.ndarray
    b: np.ndarray
    similarity: np.ndarray
    """float64, cosine."""


@dataclass(frozen=True)
class Verdict:
    """Who is kept among n nodes."""

    kept: np.ndarray
    keeper: np.ndarray
    """int64 (n,): the row of the node that stands for a dropped one, -1 for a kept one."""


def keepers(rank: np.ndarray, edges: Edges, rule: str) -> Verdict:
    """Who is kept of nodes with ranks (n,), each another, the lowest first.

    `greedy`: in order of rank, a node is kept unless a neighbour already is; so every dropped node has a kept
    neighbour and no two kept nodes are neighbours. `dominance`: a node is dropped if any neighbour ranks before it,
    kept or not (what NeMo Curator does within a cluster). `components`: of all that hang together by neighbours of
    neighbours, the first alone is kept.
    """
    worse = np.where(rank[edges.a] < rank[edges.b], edges.b, edges.a)
    better = edges.a + edges.b - worse
    n = len(rank)
    if rule == "components":
        head = _heads(rank, worse, better)
        kept = head == np.arange(n)
        return Verdict(kept, np.where(kept, -1, head))
    kept = np.ones(n, bool)
    if rule == "dominance":
        kept[worse] = False
        speaks = np.ones(len(worse), bool)
    else:
        kept = _greedy(n, worse, better)
        speaks = kept[better]
    worse, better, similarity = worse[speaks], better[speaks], edges.similarity[speaks]
    order = np.lexsort((rank[better], -similarity, worse))
    ends, firsts = np.unique(worse[order], return_index=True)
    keeper = np.full(n, -1, np.int64)
    keeper[ends] = better[order][firsts]
    return Verdict(kept, keeper)


def _greedy(n: int, worse: np.ndarray, better: np.ndarray) -> np.ndarray:
    """Who is kept, bool (n,), by pairs of which one ranks before the other.

    In rounds, each for all nodes whose better neighbours are all dropped: these are kept, and drop their neighbours.
    """
    order = np.argsort(better, kind="stable")
    after, starts = worse[order], np.searchsorted(better[order], np.arange(n + 1))
    waits = np.bincount(worse, minlength=n)
    kept, dropped = np.ones(n, bool), np.zeros(n, bool)
    now = np.flatnonzero((waits == 0) & (np.diff(starts) > 0))
    while len(now):
        gone = np.unique(_after(now, after, starts))
        gone = gone[~dropped[gone]]
        dropped[gone], kept[gone] = True, False
        freed, times = np.unique(_after(gone, after, starts), return_counts=True)
        waits[freed] -= times
        now = freed[(waits[freed] == 0) & ~dropped[freed]]
    return kept


def _after(nodes: np.ndarray, after: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The neighbours of nodes that rank behind them."""
    counts = starts[nodes + 1] - starts[nodes]
    ends = np.cumsum(counts)
    within = np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
    neighbours: np.ndarray = after[np.repeat(starts[nodes], counts) + within]
    return neighbours


def _heads(rank: np.ndarray, worse: np.ndarray, better: np.ndarray) -> np.ndarray:
    """Of each node the first in rank, int64 (n,), of all that hang together with it."""
    by_rank = np.argsort(rank, kind="stable")
    first = rank.argsort(kind="stable").argsort(kind="stable")  # of each node the least place that it knows of
    a, b = first[worse], first[better]
    place = np.arange(len(rank))
    while True:
        least = np.minimum(place[a], place[b])
        known = place.copy()
        for side in (a, b):
            np.minimum.at(known, side, least)
            np.minimum.at(known, place[side], least)
        known = known[known]
        if np.array_equal(known, place):
            return by_rank[place[first]].astype(np.int64)
        place = known
