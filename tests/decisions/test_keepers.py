"""Who is kept of near-duplicates follows from pairs and ranks alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbuild.decisions.keepers import Edges, keepers

GRAPHS = st.integers(2, 14).flatmap(
    lambda n: st.tuples(
        st.permutations(range(n)),
        st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1])),
    )
)

RULES = ("greedy", "dominance", "components")


def graph(edges):
    listed = sorted(edges)
    a, b = (np.array([e[side] for e in listed], np.int64) for side in (0, 1))
    return Edges(a, b, 1 - (a * 7 + b * 3) % 5 / 1000)


def plainly(rank, edges, rule):
    """By the words of the rules, one node after the other: who is kept, and who stands for whom."""
    n, near = len(rank), {}
    for a, b, similarity in zip(edges.a.tolist(), edges.b.tolist(), edges.similarity.tolist(), strict=True):
        near.setdefault(a, {})[b] = near.setdefault(b, {})[a] = similarity
    kept, keeper = [True] * n, [-1] * n
    for node in np.argsort(rank).tolist():
        if rule == "components":
            met, to_see = {node}, [node]
            while to_see:
                more = near.get(to_see.pop(), {}).keys() - met
                met |= more
                to_see += more
            best = min(met, key=lambda other: rank[other])
            kept[node], keeper[node] = best == node, -1 if best == node else best
            continue
        before = [other for other in near.get(node, {}) if rank[other] < rank[node]]
        before = [other for other in before if kept[other] or rule == "dominance"]
        if before:
            kept[node] = False
            keeper[node] = min(before, key=lambda other: (-near[node][other], rank[other]))
    return kept, keeper


@pytest.mark.parametrize("rule", RULES)
@given(drawn=GRAPHS)
@settings(max_examples=200)
def test_each_rule_is_what_its_words_say(rule, drawn):
    """Whom it keeps, and who stands for whom it drops."""
    rank, edges = np.array(drawn[0]), graph(drawn[1])
    verdict = keepers(rank, edges, rule)
    assert (verdict.kept.tolist(), verdict.keeper.tolist()) == plainly(rank, edges, rule)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_what_its_words_say_of_many(rule):
    """Of chains that run up and down in rank, of stars, and of what hangs together by chance."""
    random = np.random.default_rng(6)
    n = 3000
    chance = random.integers(n, size=(2000, 2))
    star = np.stack([np.full(200, 17), np.arange(300, 500)], axis=1)
    chain = np.stack([np.arange(1000, 1999), np.arange(1001, 2000)], axis=1)
    pairs = {(min(a, b), max(a, b)) for a, b in np.concatenate([chance, star, chain]).tolist() if a != b}
    for rank in (np.arange(n), np.arange(n)[::-1].copy(), random.permutation(n)):
        verdict = keepers(rank, graph(pairs), rule)
        assert (verdict.kept.tolist(), verdict.keeper.tolist()) == plainly(rank, graph(pairs), rule)


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


@given(GRAPHS, st.randoms())
@settings(max_examples=100)
def test_the_order_of_edges_changes_nothing(drawn, random):
    """The same graph in another order of edges gives the same keepers."""
    rank, edges = drawn
    listed = graph(edges)
    order = np.array(random.sample(range(len(edges)), len(edges)), np.int64)
    mixed = Edges(listed.a[order], listed.b[order], listed.similarity[order])
    for rule in RULES:
        one, other = keepers(np.array(rank), listed, rule), keepers(np.array(rank), mixed, rule)
        assert (one.kept == other.kept).all()
        assert (one.keeper == other.keeper).all()
