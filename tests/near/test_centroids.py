"""Centroids are a function of the set of vectors, in whatever order they come."""

import numpy as np
import pytest

from vbuild.errors import StageError
from vbuild.near import kmeans
from vbuild.near.borders import SLACK
from vbuild.near.centroids import PER, ROUNDS, parted, sampled, unit


def cloud(n=2000, d=16, groups=8, seed=0):
    """Vectors in groups, with digests."""
    random = np.random.default_rng(seed)
    middles = random.normal(size=(groups, d))
    vectors = middles[np.arange(n) % groups] + random.normal(size=(n, d)) * 0.2
    return vectors.astype(np.float32), random.integers(0, 2**63, size=(n, 2)).view("V16").reshape(-1)


def centroids(vectors, digests, k):
    """Of a sample that follows from the digests."""
    sample = unit(vectors[sampled(digests, PER * k)]).astype(np.float32)
    return kmeans.centroids(sample, k, seed=None, rounds=ROUNDS)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_vectors_changes_nothing(seed):
    """Nor does one that stands twice."""
    vectors, digests = cloud()
    order = np.random.default_rng(seed).permutation(len(vectors))
    order = np.concatenate([order, order[:50]])
    assert np.array_equal(centroids(vectors, digests, 8), centroids(vectors[order], digests[order], 8))


def test_a_seed_chooses_another_sample():
    """Each of them its own, of as many vectors."""
    _, digests = cloud()
    samples = [sampled(digests, 100, seed).tolist() for seed in (0, 1, 1)]
    assert samples[0] != samples[1] == samples[2]
    assert [len(set(sample)) for sample in samples] == [100] * 3


def test_vectors_outside_the_sample_are_not_looked_at():
    """What comes later in the order of digests moves nothing."""
    vectors, digests = cloud()
    outside = np.setdiff1d(np.arange(len(vectors)), sampled(digests, PER * 8))
    other = vectors.copy()
    other[outside] *= -1
    assert len(outside)
    assert np.array_equal(centroids(vectors, digests, 8), centroids(other, digests, 8))


def test_groups_that_lie_apart_are_found():
    """Twice as many centroids as groups: none has vectors of two."""
    vectors, digests = cloud()
    part, near = kmeans.nearest(unit(vectors).astype(np.float32), centroids(vectors, digests, 16))
    for one in np.unique(part):
        assert len(set(np.flatnonzero(part == one) % 8)) == 1
    assert near.min() > 0.7


@pytest.mark.parametrize("by", ["numpy", "cpu"])
@pytest.mark.parametrize("length", [1.0, 0.3])
def test_the_nearest_is_that_of_the_definition(length, by, monkeypatch):
    """Of centroids of any length up to one, by the distance, which is told less 1; but for what short floats lose."""
    flat = unit(cloud(5000)[0]).astype(np.float32)
    middles = flat[:5] * np.float32(length) / np.arange(1, 6, dtype=np.float32)[:, None]
    far = ((flat[:, None].astype(np.float64) - middles[None]) ** 2).sum(axis=2)
    lost, start = (1e-5 if by == "numpy" else SLACK / 4), 0
    monkeypatch.setattr("vbuild.near.centroids.fastest", lambda: by)
    for part, told in parted(flat, middles):
        rows = slice(start, start + len(part))
        assert (far[rows][np.arange(len(part)), part] <= far[rows].min(axis=1) + 2 * lost).all()
        assert np.abs(told + 1 - far[rows]).max() < lost
        start += len(part)
    assert start == len(flat)


def test_fewer_vectors_than_centroids_are_their_own():
    """And of none there is none."""
    vectors, digests = cloud(3)
    assert np.allclose(np.sort(centroids(vectors, digests, 5), axis=0), np.sort(unit(vectors), axis=0), atol=1e-6)
    assert centroids(vectors[:0], digests[:0], 5).shape == (0, 16)


def test_a_vector_of_zeros_is_refused():
    """It has no direction."""
    with pytest.raises(StageError, match="zeros"):
        unit(np.zeros((1, 4)))
