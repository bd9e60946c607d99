"""Centroids and clusters are those that the definition gives, and no block or thread moves one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbuild.near import kmeans


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def blobs(n=600, d=16, kinds=6, seed=0):
    """Unit vectors around so many directions, with the number of each one's."""
    random = np.random.default_rng(seed)
    centres = unit(random.normal(size=(kinds, d)))
    labels = random.integers(kinds, size=n)
    return unit(centres[labels] + 0.05 * random.normal(size=(n, d))), labels


def test_what_is_apart_is_told_apart():
    """Each cluster holds the vectors of one direction and of no other; the largest comes first."""
    vectors, truth = blobs()
    found = kmeans.centroids(vectors, 6, seed=0, rounds=25)
    labels, near = kmeans.nearest(vectors, found)
    assert len(found) == 6
    assert len(set(zip(labels.tolist(), truth.tolist(), strict=True))) == 6
    sizes = np.bincount(labels)
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)
    assert near.min() > 0.9
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_a_centroid_is_the_middle_of_what_is_nearest_to_it():
    """Where nothing moves any more: Lloyd's condition, by the definition."""
    vectors, _ = blobs(kinds=4, seed=3)
    found = kmeans.centroids(vectors, 9, seed=1, rounds=100)
    labels = (vectors.astype(np.float64) @ found.T).argmax(axis=1)
    for n, centroid in enumerate(found):
        middle = vectors[labels == n].astype(np.float64).sum(axis=0)
        assert np.allclose(middle / np.linalg.norm(middle), centroid, atol=1e-6)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
@settings(max_examples=60)
def test_the_nearest_is_that_of_the_definition(n, k, seed):
    """In float64 over all centroids, the first of those that are as near."""
    random = np.random.default_rng(seed)
    vectors, middles = unit(random.normal(size=(n, 5))), unit(random.normal(size=(k, 5)))
    middles[-1] = middles[0]
    labels, near = kmeans.nearest(vectors, middles)
    cosine = np.round(vectors.astype(np.float64) @ middles.astype(np.float64).T, kmeans.DECIMALS)
    assert labels.tolist() == cosine.argmax(axis=1).tolist()
    assert np.allclose(near, cosine.max(axis=1), atol=1e-9)


@pytest.mark.parametrize("block", [1, 7, 64, 100_000])
def test_blocks_change_nothing(monkeypatch, block):
    """However many rows are multiplied at once, bit for bit."""
    vectors, _ = blobs(seed=5)
    before = kmeans.centroids(vectors, 20, seed=0, rounds=25)
    labels, near = kmeans.nearest(vectors, before)
    monkeypatch.setattr(kmeans, "BLOCK", block)
    again = kmeans.centroids(vectors, 20, seed=0, rounds=25)
    assert again.tobytes() == before.tobytes()
    for one, other in zip(kmeans.nearest(vectors, again), (labels, near), strict=True):
        assert one.tobytes() == other.tobytes()


def test_seeds_begin_elsewhere_and_each_is_one_search():
    """The same seed gives the same bits; another may give others."""
    vectors, _ = blobs(kinds=30, seed=2)
    first = [kmeans.centroids(vectors, 12, seed=s, rounds=25).tobytes() for s in (0, 0, 1)]
    assert first[0] == first[1] != first[2]


def test_without_a_seed_the_search_begins_with_the_first():
    """Without a step they are the middles; with some, Lloyd's follow from them."""
    vectors, _ = blobs(kinds=5, seed=4)
    for k in (3, 40):
        found = kmeans.centroids(vectors, k, seed=None, rounds=0)
        assert sorted(found.tolist()) == sorted(vectors[:k].tolist())
    once = kmeans.centroids(vectors, 3, seed=None, rounds=1)
    labels, _ = kmeans.nearest(vectors, vectors[:3])
    middles = unit(np.stack([vectors[labels == n].sum(axis=0) for n in range(3)]))
    assert np.allclose(sorted(once.tolist()), sorted(middles.tolist()), atol=1e-6)


def test_there_are_no_more_clusters_than_vectors():
    """Of three different vectors among many come three centroids."""
    vectors = np.repeat(unit(np.eye(3)), 5, axis=0)
    found = kmeans.centroids(vectors, 8, seed=0, rounds=25)
    assert len(found) == 3
    assert sorted(np.bincount(kmeans.nearest(vectors, found)[0]).tolist()) == [5, 5, 5]


def test_a_centroid_that_loses_all_its_vectors_takes_the_farthest():
    """Two begin on one spot, and none stays without a vector."""
    vectors, _ = blobs(kinds=3, n=60)
    labels, near = np.zeros(60, np.int32), np.linspace(1, 0, 60)
    found = kmeans._middles(vectors, vectors.T, labels, near, vectors[:2])
    assert found[1].tolist() == vectors[-1].tolist()
