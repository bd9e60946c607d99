"""Digests: what changes a key, and what never does."""

import math
import struct
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbuild import digest
from vbuild.digest import Recipe

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def test_golden_vectors():
    """The canonical encoding and the digests made of it never change under one format version."""
    recipe = Recipe("motion", 1, {"fps": 4.0, "name": "é", "sizes": [1, 2]}, {"passes": 1}, {"clip": "ab"})
    ids = digest.clip_ids(
        np.frombuffer(bytes(range(16)), "V16"),
        np.array([0]),
        np.array([-3]),
        np.array([90_000]),
        np.array([[1, 90_000]]),
    )
    assert digest.of("x", None, True, 1, 1.0, "1", b"1", [1], {"a": 1}).hex() == GOLDEN["values"]
    assert recipe.id == GOLDEN["recipe"]
    assert bytes(ids[0].item()).hex() == GOLDEN["clip"]
    assert bytes(digest.inputs(("a", "b"), [ids, ids])[0].item()).hex() == GOLDEN["input"]


GOLDEN = {
    "values": "c993b5290587f5fef725c60b549301ee",
    "recipe": "a135662b00615117de6d634355f21013",
    "clip": "cf2970163464b11a2ed08d82fa97eac2",
    "input": "cba57af3ffdd8c9b97e74e5c6c396217",
}


@given(PLAIN, PLAIN)
def test_canonical_tells_values_apart(a, b):
    """Two values have one encoding only if they are the same, type for type."""
    if digest.canonical(a) == digest.canonical(b):
        assert _typed(a) == _typed(b)
    if _typed(a) == _typed(b):
        assert digest.canonical(a) == digest.canonical(b)


def _typed(value):
    match value:
        case float():
            return "float", struct.pack("<d", value + 0.0)
        case str():
            return "str", unicodedata.normalize("NFC", value)
        case list():
            return "list", tuple(map(_typed, value))
        case dict():
            return "dict", tuple(sorted((_typed(k), repr(_typed(v))) for k, v in value.items()))
        case _:
            return type(value).__name__, value


@given(st.dictionaries(st.text(), PLAIN))
def test_the_order_of_a_mapping_changes_nothing(mapping):
    """A mapping built the other way round has the same digest."""
    assert digest.of("x", mapping) == digest.of("x", dict(reversed(mapping.items())))


def test_numbers_of_different_types_differ():
    """8, 8.0, "8" and True are four values; 0.0 and -0.0 are one."""
    assert len({digest.of("x", v) for v in (8, 8.0, "8", True, 1)}) == 5
    assert digest.of("x", 0.0) == digest.of("x", -0.0)


def test_unicode_forms_are_one():
    """A name typed as one character or as a letter with its accent is the same name."""
    assert digest.of("x", "é") == digest.of("x", "e\u0301")


@pytest.mark.parametrize("value", [math.nan, {"a": [math.nan]}])
def test_nan_is_refused(value):
    """A value that is not equal to itself can be in no key."""
    with pytest.raises(ValueError, match="NaN"):
        digest.of("x", value)


@pytest.mark.parametrize("value", [object(), {1: 2}, {1, 2}])
def test_what_has_no_canonical_form_is_refused(value):
    """Nothing is ever digested by its repr."""
    with pytest.raises(TypeError):
        digest.of("x", value)


def test_keys_and_columns_are_each_other():
    """Keys survive the way into Arrow and back, through slices and chunks."""
    keys = np.frombuffer(bytes(range(256)), "V16")
    column = digest.column_of(keys)
    assert (digest.keys_of(column) == keys).all()
    assert (digest.keys_of(column[3:9]) == keys[3:9]).all()
    assert (
        digest.keys_of(pa.chunked_array([column[:2], column[2:2], column[5:]])) == keys[[0, 1, *range(5, 16)]]
    ).all()
    assert len(digest.keys_of(pa.chunked_array([], pa.binary(16)))) == 0


def test_a_clip_is_its_video_and_its_span():
    """Every part of a clip's identity changes its id, and nothing else does."""
    video = np.frombuffer(bytes(32), "V16").copy()
    video[1] = np.void(b"x" * 16)
    base = {"video_ids": video[:1], "stream": [0], "start_pts": [0], "end_pts": [10], "time_base": [[1, 25]]}
    changes = [
        {},
        {"video_ids": video[1:]},
        {"stream": [1]},
        {"start_pts": [1]},
        {"end_pts": [11]},
        {"time_base": [[1, 50]]},
    ]
    ids = {digest.clip_ids(*(np.asarray(v) for v in (base | change).values())).tobytes() for change in changes}
    assert len(ids) == len(changes)


def test_inputs_depend_on_what_is_read_and_in_which_order():
    """The same digests under other names, or in another order, are another input."""
    a, b = np.frombuffer(bytes(range(32)), "V16")[:1], np.frombuffer(bytes(range(32)), "V16")[1:]
    found = [digest.inputs(n, c) for n, c in ((("p", "q"), [a, b]), (("q", "p"), [a, b]), (("p", "q"), [b, a]))]
    assert len({f.tobytes() for f in found}) == 3


def test_arrays_are_digested_by_type_shape_and_bytes():
    """A vector is not the same vector in another type or shape."""
    vector = np.arange(4, dtype=np.float32)
    assert digest.of_value(vector) == digest.of_value(vector.copy())
    assert len({digest.of_value(v) for v in (vector, vector.astype(np.float64), vector.reshape(2, 2))}) == 3
