"""Clips as hashes of frames for tests of what overlaps: the sets that dedups meet, and the definition of a pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from embeddings import Vectors

from vbuild.decisions.dedup import HASHES
from vbuild.decisions.overlaps import overlapping
from vbuild.fields import Kind
from vbuild.near import frames
from vbuild.stage import Phase, Stage


def flipped(bits, most, random):
    """Hashes (n, 256), bool, each with up to so many other bits."""
    order = random.random(bits.shape).argsort(axis=1)
    return bits ^ (order < random.integers(0, most + 1, size=(len(bits), 1)))


def film(length, step, random):
    """Hashes of frames, of which each differs from the one before in so many bits."""
    bits = random.random((length, 256)) < 0.5
    for n in range(1, length):
        bits[n] = bits[n - 1]
        bits[n, random.permutation(256)[:step]] ^= True
    return bits


def cut(n, random, *, films=6, step=30, noise=30):
    """Clips of some films, cut anywhere, with noise of many strengths; some lack frames amid them."""
    sources = [film(40, step, random) for _ in range(films)]
    for _ in range(n):
        source = sources[random.integers(films)]
        start, length = random.integers(34), random.integers(1, 14)
        clip = source[start : start + length]
        clip = clip[random.random(len(clip)) < 0.9] if random.random() < 0.3 else clip
        yield flipped(clip if len(clip) else source[:1], random.integers(noise + 1), random)


def moving(n, random):
    """What changes with every frame."""
    return cut(n, random)


def still(n, random):
    """What hardly changes, so that every frame of a film is like every other."""
    return cut(n, random, step=1)


def doubtful(n, random):
    """Noise about as strong as hashes may differ: at the borders of what is alike and of what is sure."""
    return cut(n, random, films=3, step=50, noise=60)


def strange(n, random):
    """Clips that have nothing to do with one another, some of which are turned round."""
    clips = [film(8, 60, random) for _ in range(n // 2)]
    return [*clips, *(clip[::-1] for clip in clips)]


def carded(n, random):
    """Clips that show the same card, for a moment or as long as makes a pair; some are cut of one film."""
    card = film(1, 0, random)
    for clip in cut(n, random, films=n // 3, noise=10):
        shown, at = random.integers(5), random.integers(len(clip) + 1)
        yield np.concatenate([clip[:at], flipped(np.repeat(card, shown, axis=0), 4, random), clip[at:]])


SETS = {"moving": moving, "still": still, "doubtful": doubtful, "strange": strange, "carded": carded}


def made(kind, n, seed=7):
    """Clips of a set: each uint64 (frames, 4)."""
    clips = SETS[kind](n, np.random.default_rng(seed))
    return [np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64) for bits in clips]


def longest(alike):
    """The longest common subsequence, by the book."""
    best = np.zeros((alike.shape[0] + 1, alike.shape[1] + 1), int)
    for i, row in enumerate(alike, 1):
        for j, same in enumerate(row, 1):
            best[i, j] = best[i - 1, j - 1] + 1 if same else max(best[i - 1, j], best[i, j - 1])
    return int(best[-1, -1])


def apart(a, b):
    """In how many bits two hashes differ."""
    return sum(int(x ^ y).bit_count() for x, y in zip(a.tolist(), b.tolist(), strict=True))


def allowed(clip):
    """In how many bits each frame of a clip may differ."""
    steps = [0, *(apart(one, other) for one, other in pairwise(clip)), 0]
    return np.array([min(frames.NOISE + max(pair) // 2, frames.MOST) for pair in pairwise(steps)])


PARTS = [((1 << bits) - 1 << first) for first, bits in ((0, 21), (21, 21), (42, 22))]
"""The parts of each number of a hash."""


def agree(different):
    """Whether a part of hashes (…, 4) that differ so differs in a bit at most: bool (…)."""
    return np.logical_or.reduce([np.bitwise_count(different & np.uint64(part)) <= 1 for part in PARTS]).any(axis=-1)


def brute(clips, least):
    """All pairs of clips that overlap, with their shares, by the definition, every clip with every other."""
    found = {}
    allow = [allowed(clip) for clip in clips]
    for a, one in enumerate(clips):
        for b in range(a + 1, len(clips)):
            different = one[:, None] ^ clips[b][None]
            far = np.bitwise_count(different).sum(axis=2)
            if (far <= frames.MOST).any():
                alike = (far <= np.maximum(allow[a][:, None], allow[b])) & agree(different)
                share = round(longest(alike) / min(far.shape), 6)
                if share >= least:
                    found[a, b] = share
    return found


@dataclass(frozen=True, kw_only=True)
class Printing(Stage):
    """Hashes that are given."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    writes: ClassVar[Mapping[str, Kind]] = {"": HASHES}


class Fingerprints(Vectors):
    """Clips of which any may come to the store, be compared, and leave."""

    find = staticmethod(overlapping)

    def __init__(self, root, clips):
        self.store(root, Printing(), [clip.ravel().tolist() for clip in clips])
