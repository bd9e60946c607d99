"""Batches are of one recipe and one shape, as full as they may be, and go when a model would have nothing to do."""

import pytest
from made import Gaze

from vbuild.engine.batches import Batches
from vbuild.executor.spool import LAST, Parcel


@pytest.fixture
def dropped():
    """Parcels that are of no use any more."""
    return []


@pytest.fixture
def batches(dropped):
    return Batches(dropped.append)


def parcel(number, *, recipe="r", shape=(1,), size=100, part=0, parts=1):
    return Parcel(0, recipe, bytes([number]), b"", part, parts, shape, size, f"{recipe}-{number}-{part}")


def put(batches, *parcels, stage=None):
    for one in parcels:
        batches.add(one, stage or Gaze(batch=3), None)


def keys(batch):
    return [one.key[0] for one in batch.parcels]


def test_a_batch_is_of_one_recipe_and_one_shape(batches):
    """Though others lie between."""
    put(batches, *(parcel(n, shape=(n % 2,)) for n in range(6)))
    put(batches, parcel(7, recipe="other"))
    assert keys(batches.take(partial=False)) == [0, 2, 4]
    assert keys(batches.take(partial=False)) == [1, 3, 5]
    assert batches.take(partial=False) is None
    assert keys(batches.take(partial=True)) == [7]
    assert not batches.buckets


def test_of_full_ones_the_oldest_goes_first(batches):
    """The one whose first parcel has waited longest, whichever was full first; a full one before any that is not."""
    put(batches, parcel(0, shape=(0,)), *(parcel(n, shape=(1,)) for n in (1, 2, 3)), parcel(9, shape=(9,)))
    assert keys(batches.take(partial=True)) == [1, 2, 3]
    put(batches, *(parcel(n, shape=(2,)) for n in (4, 5, 6)), *(parcel(n, shape=(0,)) for n in (7, 8)))
    assert keys(batches.take(partial=False)) == [0, 7, 8]
    assert keys(batches.take(partial=False)) == [4, 5, 6]


@pytest.mark.parametrize(
    ("changes", "size", "cap", "most"),
    [
        ({"batch": 4}, 100, None, 4),
        ({"batch": 4, "batch_bytes": 250}, 100, None, 2),
        ({"batch": 4, "batch_bytes": 50}, 100, None, 1),
        ({"batch": 4}, 100, 3, 3),
    ],
)
def test_no_batch_is_larger_than_it_may_be(batches, changes, size, cap, most):
    """By the stage's number, by its bytes, by what memory was found to be enough for; one parcel always goes."""
    put(batches, *(parcel(n, size=size) for n in range(4)), stage=Gaze(**changes))
    if cap:
        first = batches.take(partial=False)
        put(batches, *(parcel(n, size=size) for n in range(10, 14)), stage=Gaze(**changes))
        batches.capped(first, cap)
    assert len(batches.take(partial=True).parcels) == most


def test_a_cap_is_of_one_shape(batches):
    """Others go on as they were."""
    put(batches, *(parcel(n) for n in range(3)))
    batches.capped(batches.take(partial=False), 1)
    put(batches, *(parcel(n, shape=(2,)) for n in range(10, 13)), *(parcel(n) for n in range(20, 23)))
    assert {len(batches.take(partial=False).parcels) for _ in range(1)} == {3}
    assert len(batches.take(partial=False).parcels) == 1


def test_a_parcel_that_comes_twice_is_dropped_once(batches, dropped):
    """As when a worker died that had handed it over."""
    one, same = parcel(1), parcel(1)
    assert batches.add(one, Gaze(), None)
    assert not batches.add(same, Gaze(), None)
    assert dropped == [same]


def test_what_is_forgotten_goes(batches, dropped):
    """With all of its parts, of which none comes to a model; those of others stay."""
    parts = [parcel(1, part=n, parts=None) for n in range(2)]
    put(batches, *parts, parcel(1, part=LAST, parts=2), parcel(2))
    batches.forget(("r", bytes([1])))
    assert len(dropped) == 3
    assert keys(batches.take(partial=True)) == [2]
