"""Clips that overlap are those of the definition, however they are looked for and in whatever order they come."""

import fingerprints
import numpy as np
import pytest
from fingerprints import Fingerprints

from vbuild.decisions import compare, overlaps
from vbuild.errors import StageError
from vbuild.near import frames, postings

N = 70
LEAST = overlaps.LEAST
REACH = overlaps.reach_of(0.5)


@pytest.fixture
def small(monkeypatch):
    """Parts are small and odd, and little is looked at in one go."""
    monkeypatch.setattr(overlaps, "FRAMES", (50, 90))
    monkeypatch.setattr(overlaps, "READ", 33)
    monkeypatch.setattr(compare, "COMMIT", 20)
    monkeypatch.setattr(frames, "CELLS", 3000)
    monkeypatch.setattr("vbuild.near.overlaps.MOST", 15)
    for name, value in (("BITS", (4, 6)), ("HEAVY", 3), ("BLOCK", 20), ("HITS", 50), ("PAIRS", 100)):
        monkeypatch.setattr(postings, name, value)


@pytest.fixture(scope="module", params=fingerprints.SETS)
def clips(request):
    """Clips, and the pairs among them."""
    some = fingerprints.made(request.param, N)
    return request.param, some, fingerprints.brute(some, LEAST)


@pytest.mark.parametrize("parted", [False, True], ids=["at once", "parted"])
def test_every_pair_that_overlaps_is_found_once(tmp_path, clips, parted, request):
    """With its share; for more than was asked for without a look at a clip, and for less down to what is stored."""
    if parted:
        request.getfixturevalue("small")
    kind, some, pairs = clips
    store = Fingerprints(tmp_path, some)
    store.put(range(N))
    store.compare(range(N), REACH)
    assert store.found(range(N), 1 - LEAST) == pairs
    assert any(share >= 0.5 for share in pairs.values()) == (kind != "strange")
    assert (store.chores["Overlap"] > 1) == parted
    before = store.chores.total()
    for overlap in (0.9, 0.5, LEAST):
        store.compare(range(N), overlaps.reach_of(overlap))
        assert store.found(range(N), 1 - overlap) == {p: s for p, s in pairs.items() if s >= overlap}
    assert store.chores.total() == before


@pytest.mark.parametrize(("batches", "seed"), [(1, 1), (3, 2), (9, 3)])
def test_the_order_in_which_clips_come_changes_nothing(tmp_path, small, clips, batches, seed):
    """Nor in how many goes."""
    _, some, pairs = clips
    store = Fingerprints(tmp_path, some)
    for part in np.array_split(np.random.default_rng(seed).permutation(N), batches):
        store.put(part)
        store.compare(part, REACH)
    assert store.found(range(N), 1 - LEAST) == pairs
    assert not store.uncompared(range(N), REACH).new


def test_nothing_is_compared_twice(tmp_path, clips):
    """New clips are compared with the old, and old ones never with each other."""
    _, some, pairs = clips
    store = Fingerprints(tmp_path, some)
    store.put(range(N))
    store.compare(range(60), REACH)
    told = store.uncompared(range(N), REACH)
    assert (told.new, told.known) == (10, 60)
    seen = []

    def run(chores):
        for table in store.run(chores):
            seen.append(table)
            yield table

    store.compare(range(N), REACH, run)
    assert sum(map(len, seen)) == sum(pair[1] >= 60 for pair in pairs)
    assert store.found(range(N), 1 - LEAST) == pairs


def test_a_clip_that_falls_and_returns_costs_nothing(tmp_path, clips):
    """It is known as long as its hashes are in the store, whoever asks for it."""
    _, some, pairs = clips
    store = Fingerprints(tmp_path, some)
    store.put(range(N))
    store.compare(range(N), REACH)
    before = store.chores.total()
    assert store.found(range(50), 1 - LEAST) == {pair: s for pair, s in pairs.items() if pair[1] < 50}
    store.compare(range(60), REACH)
    store.compare(range(N), REACH)
    assert store.chores.total() == before


def test_less_than_what_is_stored_is_looked_for_among_all(tmp_path):
    """Then what was compared before counts for nothing."""
    some = fingerprints.made("moving", N)
    store = Fingerprints(tmp_path, some)
    store.put(range(N))
    store.compare(range(N), REACH)
    assert store.uncompared(range(N), overlaps.reach_of(0.1)).new == N
    store.compare(range(N), overlaps.reach_of(0.1))
    pairs = fingerprints.brute(some, 0.1)
    assert store.found(range(N), 0.9) == pairs
    assert len(pairs) > len(fingerprints.brute(some, LEAST))


def test_a_kill_loses_no_pair(tmp_path, small):
    """What was compared is noted when all is found."""
    some = fingerprints.made("still", N)
    store = Fingerprints(tmp_path, some)
    store.put(range(N))

    def killed(chores):
        for n, table in enumerate(store.run(chores)):
            if n == 3:
                raise KeyboardInterrupt
            yield table

    with pytest.raises(KeyboardInterrupt):
        store.compare(range(N), REACH, killed)
    assert store.uncompared(range(N), REACH).new == N
    store.compare(range(N), REACH)
    assert store.found(range(N), 1 - LEAST) == fingerprints.brute(some, LEAST)


def test_what_is_no_hash_is_refused(tmp_path):
    """By the stage that wrote it."""
    store = Fingerprints(tmp_path, [np.ones((2, 3), np.uint64)])
    store.put([0])
    with pytest.raises(StageError, match="a hash of a frame is 4 numbers"):
        store.compare([0], REACH)
