"""Failures are known by recipe and key, and counted."""

import dataclasses
import json

import av
import numpy as np

from vbuild import digest
from vbuild.store.failures import Failed, Failures


def keys(*numbers):
    return np.frombuffer(b"".join(digest.of("key", n) for n in numbers), "V16")


def failed(n, recipe="r", message="it broke"):
    return Failed(digest.of("key", n), "stage", recipe, "ValueError", message, digest.of("item", n))


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
    assert dataclasses.replace(found, versions="") == failed(1)
    assert json.loads(found.versions)["av"] == av.__version__


def test_the_last_word_counts_and_attempts_are_added(tmp_path):
    """Who failed three times says so, with the last reason; what others recorded meanwhile counts."""
    one, two = Failures(tmp_path), Failures(tmp_path)
    one.append([failed(1)])
    two.append([failed(1)])
    one.append([failed(1, message="another reason")])
    (found,) = one.of("r").values()
    assert (found.message, found.attempts) == ("another reason", 3)


def test_what_succeeded_is_forgotten(tmp_path):
    """That key under that recipe alone."""
    failures = Failures(tmp_path)
    failures.append([failed(1), failed(2), failed(1, "other")])
    failures.delete("r", keys(1, 7))
    for seen in (failures, Failures(tmp_path)):
        assert seen.known("r", keys(1, 2)).tolist() == [False, True]
        assert seen.known("other", keys(1)).tolist() == [True]
