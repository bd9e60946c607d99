"""Keys are found where they stand first, however much their beginnings are alike."""

import numpy as np
import pytest

from vbuild.store.keyed import ROWS, Index, firsts


def keys(count, heads, seed=0):
    """Keys (n,) V16 of which the first 32 bits that are compared have so many values."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**63, (count, 2), np.uint64)
    words[:, 0] = (rng.integers(0, heads, count).astype(np.uint64) << np.uint64(32)) | (words[:, 0] & np.uint64(7))
    words[:, 1] &= np.uint64(3)
    return words.view("V16").ravel()


def plainly(held, wanted):
    first = {}
    for row, key in enumerate(held.tolist()):
        first.setdefault(key, row)
    return [first.get(key, -1) for key in wanted.tolist()]


@pytest.mark.parametrize("heads", [3, 400, 2**31])
def test_a_key_is_found_where_it_stands_first(heads):
    held = keys(2000, heads)
    for wanted in (held, held[::-1], held[::3], keys(2000, heads, seed=1), np.concatenate([keys(500, heads, 2), held])):
        assert Index(held).find(wanted).tolist() == plainly(held, wanted)
        assert Index(held).find(Index(wanted)).tolist() == plainly(held, wanted)


def test_as_many_keys_as_are_looked_up_by_turns_are_found():
    held = keys(2 * ROWS + 10, 2**31)
    shuffled = np.random.default_rng(1).permutation(held)
    assert np.array_equal(held[Index(held).find(shuffled)], shuffled)


def test_nothing_is_found_in_nothing_nor_sought():
    none = np.empty(0, "V16")
    assert Index(none).find(keys(3, 9)).tolist() == [-1, -1, -1]
    assert len(Index(keys(3, 9)).find(none)) == 0


def test_the_first_rows_of_keys_are_told():
    held = keys(3000, 50)
    assert firsts(held).tolist() == firsts(Index(held)).tolist() == sorted(set(plainly(held, held)))
