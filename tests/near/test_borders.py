"""Borders rule out no partition, and no row, that holds a pair; and most of those that hold none."""

import clouds
import numpy as np
import pytest

from vbuild.near.borders import Borders, closest, distances, open_margins, reaching
from vbuild.near.centroids import parted, unit
from vbuild.near.kmeans import centroids

REACHES = (0.001, 0.02, 0.1, 0.3)


def bordered(vectors, k, reach):
    """The borders of partitions, and which vector is in which."""
    flat = unit(vectors).astype(np.float32)
    middles = centroids(flat[::2], k, seed=None, rounds=4)
    margins, own = open_margins(len(middles), len(middles)), []
    for part, far in parted(flat, middles):
        own.append(part)
        closest(far, part, margins)
    return Borders(distances(middles), margins, np.sqrt(2 * reach)), middles, np.concatenate(own)


@pytest.mark.parametrize("kind", clouds.SETS)
@pytest.mark.parametrize("reach", REACHES)
def test_both_ends_of_a_pair_see_each_other(kind, reach):
    """Either's partition is beyond the other's border, and its row reaches it."""
    vectors = clouds.SETS[kind](500, 24, np.random.default_rng(3))
    borders, middles, own = bordered(vectors, 20, reach)
    flat = unit(vectors).astype(np.float32)
    pairs = clouds.brute(vectors, reach)
    across = [pair for pair in pairs if own[pair[0]] != own[pair[1]]]
    assert across or reach < 0.02 or kind == "grouped"
    for a, b in across:
        for x, y in ((a, b), (b, a)):
            others = borders.beyond(own[x])
            assert own[y] in others
            reach_of = reaching(flat[x : x + 1], middles, own[x], others, borders.left(own[x])[others])
            assert reach_of[0, others.tolist().index(own[y])]


def test_groups_that_lie_apart_need_not_be_compared():
    """What is left is little more than each partition with itself."""
    vectors = clouds.grouped(2000, 64, np.random.default_rng(4))
    borders, _, own = bordered(vectors, 50, 0.05)
    assert borders.share(np.bincount(own, minlength=50)) < 0.2


def test_centroids_are_never_nearer_than_is_told():
    """Not even two that are one."""
    middles = np.random.default_rng(5).normal(size=(40, 12)).astype(np.float32)
    middles[7] = middles[3]
    true = np.linalg.norm(middles[:, None].astype(np.float64) - middles[None], axis=2)
    assert (distances(middles) >= true).all()
    assert np.allclose(distances(middles), true, atol=1e-5)
