"""Clips that may overlap are found by parts of their hashes: none is missed, and what very many show costs little."""

import fingerprints
import numpy as np
import pytest

from vbuild.near import postings
from vbuild.near.frames import BANDS, DECIMALS, MOST, SURE, Sequences, alike, shares
from vbuild.near.postings import fewest, hushed, pairs

LEAST = 0.25


def sequences(clips):
    """Clips, each uint64 (frames, 4), one behind the other."""
    return Sequences(np.concatenate(clips), np.concatenate([[0], np.cumsum([len(clip) for clip in clips])]))


def found(one, other, least=LEAST):
    """The pairs, each as often as it is told."""
    return [tuple(pair) for _, some in pairs(one, other, least) for pair in some.T.tolist()]


def hashes(n, seed=3):
    """Hashes that have nothing to do with one another."""
    return np.random.default_rng(seed).integers(0, 2**64, (n, 4), np.uint64)


def spoiled(hash_, wrong):
    """A hash of which some bits, so many of each part, are others."""
    changed, random = hash_.copy(), np.random.default_rng(sum(wrong))
    for band, bits in zip(BANDS, wrong, strict=True):
        for bit in random.permutation(band.bits)[:bits].tolist():
            changed[band.word] ^= np.uint64(1 << (band.first + bit))
    return changed


def test_parts_are_all_of_a_hash_each_bit_once():
    """And of its bits no two are of two parts."""
    masks = np.zeros((len(BANDS), 4), np.uint64)
    for n, band in enumerate(BANDS):
        masks[n, band.word] = band.mask
    assert (np.bitwise_or.reduce(masks) == 2**64 - 1).all()
    assert np.bitwise_count(masks).sum() == 256


@pytest.mark.parametrize("only", range(len(BANDS)))
def test_what_differs_in_no_more_bits_than_is_sure_is_found_wherever_they_lie(only):
    """Two of each part but one, and of that a single one; a bit more, and the two are not alike."""
    clip = hashes(1)
    wrong = [2] * len(BANDS)
    rows = np.zeros(1, int)
    for wrong[only], is_alike in ((1, True), (2, False)):
        copy = spoiled(clip[0], wrong)[None]
        assert np.bitwise_count(copy ^ clip).sum() == SURE + (not is_alike)
        assert alike(clip, copy, np.array([MOST], np.int16)).tolist() == [is_alike]
        assert shares(sequences([clip]), rows, sequences([copy]), rows).tolist() == [float(is_alike)]
        if is_alike:
            assert found(sequences([clip]), sequences([copy])) == [(0, 0)]


@pytest.mark.parametrize("small", [False, True], ids=["as is", "small"])
@pytest.mark.parametrize("kind", fingerprints.SETS)
def test_all_that_overlap_are_found_each_once(kind, small, monkeypatch):
    """With short keys and long, in small portions and large; frames that are hushed hide none."""
    monkeypatch.setattr(postings, "HEAVY", 1)
    if small:
        for name, value in (("BITS", (3, 5)), ("BLOCK", 7), ("HITS", 40), ("PAIRS", 30), ("SAME", 40)):
            monkeypatch.setattr(postings, name, value)
    some = fingerprints.made(kind, 60)
    one, other = sequences(some[:25]), sequences(some[25:])
    told = found(one, other)
    assert len(set(told)) == len(told)
    assert {(a, b - 25) for a, b in fingerprints.brute(some, LEAST) if a < 25 <= b} <= set(told)


def test_a_card_that_thousands_of_clips_show_costs_nothing():
    """As long as it is less of each than would make a pair; where it is as much, all that show so much are found."""
    n, length, card = 2000, 20, hashes(1, seed=9)
    clips = hashes(n * length).reshape(n, length, 4)
    clips[:, 6:10] = card
    clips[:, 7, 0] ^= np.uint64(1) << np.arange(n).astype(np.uint64) % np.uint64(64)
    clips[:3, 10] = card
    some = sequences(clips)
    told = [(a, b) for a, b in found(some, some) if a < b]
    assert {(0, 1), (0, 2), (1, 2)} <= set(told)
    assert len(told) < 4 * n


def test_frames_that_are_hushed_are_fewer_than_make_a_pair():
    """The heaviest of each clip, and none that is light."""
    counts = np.arange(1, 60)
    some = Sequences(hashes(counts.sum()), np.concatenate([[0], np.cumsum(counts)]))
    weights = np.random.default_rng(1).integers(0, 3 * postings.HEAVY, counts.sum())
    quiet = hushed(some, weights, LEAST)
    assert quiet.any()
    assert weights[quiet].min() > postings.HEAVY
    for row, most in enumerate(fewest(counts, LEAST) - 1):
        own, said = (side[some.starts[row] : some.starts[row + 1]] for side in (weights, quiet))
        heavy = np.sort(own[own > postings.HEAVY])[::-1][:most]
        assert sorted(own[said].tolist(), reverse=True) == heavy.tolist()


@pytest.mark.parametrize("least", [0.1, 0.25, 0.333333, 0.333334, 0.5, 0.9, 1.0])
def test_the_fewest_frames_that_make_a_pair_are_no_more_than_do(least):
    """Shares are rounded before they are judged."""
    for n in range(1, 400):
        needed = next(k for k in range(1, n + 1) if round(k / n, DECIMALS) >= least)
        assert needed - 1 <= fewest(np.array([n]), least)[0] <= needed


def test_clips_that_stand_still_meet_once_a_list():
    """Their frames are one run under each key; and how much a pair shares is told by all of them."""
    still = np.repeat(hashes(2), 50, axis=0).reshape(2, 50, 4)
    some = sequences([*still, still[0]])
    frames = np.arange(150)
    assert len(postings.runs(some, BANDS[0].keys(some.hashes, 21), frames)) == 3
    a, b = np.array([0, 0]), np.array([1, 2])
    assert shares(some, a, some, b).tolist() == [0.0, 1.0]
