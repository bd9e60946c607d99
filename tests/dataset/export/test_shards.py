"""Which clips lie in which shard follows from their ids alone."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from vbuild.dataset.export.shards import shards


def ids(count, salt=""):
    """Ids by chance."""
    return pa.array([hashlib.md5(f"{salt}{n}".encode(), usedforsecurity=False).hexdigest() for n in range(count)])


def sets(names, parts):
    """The ids of each shard."""
    held = names.to_pylist()
    return [frozenset(held[row] for row in part) for part in parts]


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_every_clip_lies_in_one_shard(count):
    """None is lost, none is empty, and the mean is at most what was asked for."""
    names = ids(count)
    parts = shards(names, np.full(count, 10), 100)
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    assert all(len(part) for part in parts)
    if count == 500:
        assert len(parts) == 64


def test_no_clips_make_no_shard():
    """An empty selection is an export of nothing."""
    assert shards(pa.array([], pa.string()), np.empty(0, int), 100) == []


def test_the_order_of_arrival_changes_nothing():
    """The same clips in another order lie in the same shards, in the same order within."""
    names = ids(300)
    order = np.random.default_rng(1).permutation(300)
    mixed = names.take(pa.array(order))
    one = [[names[r].as_py() for r in part] for part in shards(names, np.full(300, 10), 200)]
    other = [[mixed[r].as_py() for r in part] for part in shards(mixed, np.full(300, 10), 200)]
    assert one == other


def test_a_clip_more_changes_one_shard():
    """All others hold what they held."""
    names = ids(500)
    more = pa.concat_arrays([names, ids(1, "new")])
    before = set(sets(names, shards(names, np.full(500, 10), 100)))
    after = set(sets(more, shards(more, np.full(501, 10), 100)))
    assert len(before - after) == 1
    assert len(after - before) == 1
