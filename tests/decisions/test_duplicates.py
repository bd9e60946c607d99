"""Near-duplicates: every pair is found, and who is kept follows from pairs and ranks alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbuild.decisions.duplicates import Edges, keepers, near_pairs, unit


def cloud(n=300, d=24, seed=0):
    """Unit vectors in clusters, some of them very near one another."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(n // 10, d))
    return unit(centres[random.integers(len(centres), size=n)] + random.normal(size=(n, d)) * 0.15)


def brute(vectors, reach):
    """All pairs within reach, by the definition."""
    return {
        (a, b)
        for a in range(len(vectors))
        for b in range(a + 1, len(vectors))
        if round(float(vectors[a] @ vectors[b]), 6) >= round(1 - reach, 6)
    }


def pairs(edges):
    return set(zip(edges.a.tolist(), edges.b.tolist(), strict=True))


@pytest.mark.parametrize("reach", [0.0, 0.02, 0.1, 0.3])
def test_every_pair_within_reach_is_found_once(reach):
    """The blocked product finds exactly the pairs that the definition names."""
    vectors = cloud()
    edges = near_pairs(vectors, np.ones(len(vectors), bool), reach)
    assert len(edges.a) == len(pairs(edges))
    assert pairs(edges) == brute(vectors, reach)


def test_new_vectors_complete_the_pairs_of_old_ones():
    """Comparing what is new with everything adds just the pairs that were not known."""
    vectors = cloud()
    old = np.arange(len(vectors)) < 200
    before = pairs(near_pairs(vectors[old], np.ones(200, bool), 0.1))
    added = pairs(near_pairs(vectors, ~old, 0.1))
    assert not before & added
    assert before | added == brute(vectors, 0.1)


GRAPHS = st.integers(2, 14).flatmap(
    lambda n: st.tuples(
        st.permutations(range(n)),
        st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1])),
    )
)


def graph(edges):
    listed = sorted(edges)
    a, b = (np.array([e[side] for e in listed], np.int64) for side in (0, 1))
    return Edges(a, b, 1 - (a + b) / 1000)


@given(GRAPHS)
@settings(max_examples=200)
def test_greedy_leaves_no_near_pair_and_no_orphan(drawn):
    """No two kept nodes are neighbours, and every dropped one has a kept neighbour that ranks before it."""
    rank, edges = drawn
    rank = np.array(rank)
    found = keepers(rank, graph(edges), "greedy")
    for a, b in edges:
        assert not (found.kept[a] and found.kept[b])
    for node in np.flatnonzero(~found.kept):
        keeper = found.keeper[node]
        assert found.kept[keeper]
        assert rank[keeper] < rank[node]
        assert (min(node, keeper), max(node, keeper)) in edges


@given(GRAPHS)
@settings(max_examples=100)
def test_dominance_drops_whatever_a_better_neighbour_has(drawn):
    """A node is kept if and only if it ranks before all its neighbours."""
    rank, edges = drawn
    found = keepers(np.array(rank), graph(edges), "dominance")
    for node in range(len(rank)):
        others = [b if a == node else a for a, b in edges if node in (a, b)]
        assert found.kept[node] == all(rank[node] < rank[other] for other in others)


@given(GRAPHS, st.randoms())
@settings(max_examples=100)
def test_the_order_of_edges_changes_nothing(drawn, random):
    """The same graph in another order of edges gives the same keepers."""
    rank, edges = drawn
    listed = graph(edges)
    order = np.array(random.sample(range(len(edges)), len(edges)), np.int64)
    mixed = Edges(listed.a[order], listed.b[order], listed.similarity[order])
    for rule in ("greedy", "dominance"):
        one, other = keepers(np.array(rank), listed, rule), keepers(np.array(rank), mixed, rule)
        assert (one.kept == other.kept).all()
        assert (one.keeper == other.keeper).all()


def test_a_vector_of_zeros_is_refused():
    """A vector without a direction is near nothing and far from nothing."""
    with pytest.raises(Exception, match="zeros"):
        unit(np.zeros((1, 4)))
