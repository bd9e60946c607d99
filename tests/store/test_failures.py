"""Failures are known by recipe and key, and counted."""

import dataclasses

import lance
import numpy as np
import pyarrow as pa
import pytest

from vbuild import digest
from vbuild.store.failures import SCHEMA, Failed, Failures
from vbuild.versions import recorded, versions

NOW = recorded(__name__)


def keys(*numbers):
    return np.frombuffer(b"".join(digest.of("key", n) for n in numbers), "V16")


def failed(n, recipe="r", message="it broke"):
    return Failed(digest.of("key", n), "stage", recipe, "ValueError", message, digest.of("item", n), versions=NOW)


def test_nothing_has_failed_in_a_new_store(tmp_path):
    """And nothing is written to say so."""
    failures = Failures(tmp_path)
    assert failures.known("r", keys(1, 2)).tolist() == [False, False]
    assert len(failures.all()) == 0
    assert not list(tmp_path.iterdir())


def test_a_failure_is_known_under_its_recipe(tmp_path):
    """To the one who recorded it, and to who opens the store later."""
    Failures(tmp_path).append([failed(1), failed(2, "other")])
    failures = Failures(tmp_path)
    assert failures.known("r", keys(1, 2)).tolist() == [True, False]
    assert failures.known("other", keys(1, 2)).tolist() == [False, True]
    assert failures.lookup("r", keys(1, 2)).keys() == {digest.of("key", 1)}
    found = failures.lookup("r", keys(1, 2))[digest.of("key", 1)]
    assert found == failed(1)


def test_the_last_word_counts_and_attempts_are_added(tmp_path):
    """Who failed three times says so, with the last reason; what others recorded meanwhile counts."""
    one, two = Failures(tmp_path), Failures(tmp_path)
    one.append([failed(1)])
    two.append([failed(1)])
    one.append([failed(1, message="another reason")])
    (found,) = one.lookup("r", keys(1, 2)).values()
    assert (found.message, found.attempts) == ("another reason", 3)


def test_what_succeeded_is_forgotten(tmp_path):
    """That key under that recipe alone."""
    failures = Failures(tmp_path)
    failures.append([failed(1), failed(2), failed(1, "other")])
    failures.delete("r", keys(1, 7))
    for seen in (failures, Failures(tmp_path)):
        assert seen.known("r", keys(1, 2)).tolist() == [False, True]
        assert seen.known("other", keys(1)).tolist() == [True]


def test_a_failure_under_other_versions_is_tried_again(monkeypatch):
    """Of a library, of Python, of vbuild, or of the stage's code: each is another record."""
    assert versions.__wrapped__().keys() >= {"av", "numpy", "python"}
    monkeypatch.setattr("vbuild.versions.versions", lambda: {**versions(), "av": "0.1"})
    assert recorded.__wrapped__(__name__) != NOW
    monkeypatch.undo()
    assert recorded.__wrapped__(__name__) == NOW
    assert recorded("made") != NOW


@pytest.mark.parametrize(
    ("retry", "now", "stays"),
    [("never", "{}", [True, True]), ("changed", NOW, [True, True]), ("changed", "{}", [False, False]),
     ("transient", NOW, [True, False]), ("always", NOW, [False, False])],
)  # fmt: skip
def test_who_is_tried_again(tmp_path, retry, now, stays):
    """By what was recorded, whoever opens the store."""
    one = Failures(tmp_path)
    one.append([failed(1), dataclasses.replace(failed(2), passing=True)])
    for seen in (one, Failures(tmp_path)):
        assert seen.known("r", keys(1, 2), retry, now).tolist() == stays


def test_many_commits_and_many_recipes_are_told_apart(tmp_path):
    """What is held after them is what a new look at the store finds, and a new one reads none of it again."""
    one = Failures(tmp_path)
    for start in range(0, 40, 4):
        one.append([failed(n, "rs"[n % 2], f"{start}") for n in range(start, start + 8)])
        assert one.known("r", keys(*range(start, start + 8))).tolist() == [True, False] * 4
    two = Failures(tmp_path)
    for recipe in "rs":
        assert one.lookup(recipe, keys(*range(50))) == two.lookup(recipe, keys(*range(50)))
    assert {f.attempts for f in one.lookup("r", keys(*range(4, 40))).values()} == {2}
    one.compact()
    assert one.lookup("s", keys(7))[digest.of("key", 7)].message == "4"


def test_commits_read_nothing_of_what_is_held(tmp_path, monkeypatch):
    """However many failures a store has."""
    one = Failures(tmp_path)
    one.append([failed(n) for n in range(100)])
    one.append([failed(0)])
    monkeypatch.setattr(lance.LanceDataset, "to_table", None)
    one.append([failed(1), failed(200)])
    assert one.known("r", keys(1, 99, 200, 201)).tolist() == [True, True, True, False]


def test_a_store_of_before_is_read_and_written(tmp_path):
    """Its failures lack columns; they are tried again, and new ones stand beside them."""
    names = ["key", "stage", "recipe", "error", "message", "item", "attempts", "versions", "created"]
    old = pa.Table.from_pylist([{**vars(failed(1)), "created": None}], schema=SCHEMA).select(names)
    lance.write_dataset(old, str(tmp_path / "failures.lance"))
    failures = Failures(tmp_path)
    assert failures.known("r", keys(1)).tolist() == [True]
    assert failures.known("r", keys(1), "changed", NOW).tolist() == [False]
    failures.append([failed(1), failed(2)])
    assert failures.lookup("r", keys(1))[digest.of("key", 1)].attempts == 2
    assert Failures(tmp_path).known("r", keys(1, 2), "changed", NOW).tolist() == [True, True]
