"""Which clips overlap, by hashes of their frames: which frames are alike, and how long they go on in one order.

Two frames are alike if their hashes differ in no more bits than the noise of codecs, signs and bars makes (`NOISE`),
and half of what a step of time changes in the livelier of the two clips there: the moments that were hashed lie half a
step apart at most. So what stands still must agree more closely than what moves, and slides of one template, or one
scene at two times, are none. And in one of the twelve parts of their hashes (`BANDS`) they differ in a bit at most, for
by these they are found among many (`near/postings.py`). Hashes that differ in `SURE` bits at most surely have such a
part; of those that differ in 31 bits, where chance would have it, 99 of 100 have, and 85 of those that differ in 40.

Of 29 videos, 79 clips by `adaptive`, at 4 frames a second: 98 of 100 frames are alike in a coarse copy of a fifth of
the pixels, and in one with bars; 91 where it is 4 % slower or faster, 93 where it begins elsewhere, 87 with a logo. Of
401 times that a copy has three quarters of a clip, 379 are pairs, and 357 share half. Of 110 489 pairs of clips of
different videos 33 are found: 13 are of one film, which is in three of them, 18 of two takes on one court, of which no
two share half, and two of black frames that show nothing but the same logo. Slides of one template are 46 bits apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = 4
"""Numbers of 64 bits of a hash."""

NOISE, MOST = 24, 64
"""Bits, of 256, in which hashes of frames that are alike differ at most: where nothing moves, and however much does."""


@dataclass(frozen=True)
class Band:
    """A part of a hash: some bits of one of its numbers."""

    word: int
    first: int
    bits: int

    @property
    def mask(self) -> np.uint64:
        """Its bits, of that number."""
        return np.uint64(((1 << self.bits) - 1) << self.first)

    def keys(self, hashes: np.ndarray, bits: int) -> np.ndarray:
        """So many of them, the last ones, of hashes uint64 (n, WORDS): int64 (n,)."""
        left_out = self.first + self.bits - bits
        return (hashes[:, self.word] >> np.uint64(left_out) & np.uint64((1 << bits) - 1)).astype(np.int64)


BANDS = tuple(Band(word, first, bits) for word in range(WORDS) for first, bits in ((0, 21), (21, 21), (42, 22)))
"""The parts of which one at least differs in a bit at most in frames that are alike."""

SURE = 2 * len(BANDS) - 1
"""Bits in which two hashes differ at most of which one part at least surely differs in one bit at most."""

CELLS = 1 << 22
"""Pairs of frames that are looked at in one go, so many numbers of 64 bits."""

DECIMALS = 6
"""Of shares."""


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """In how many bits hashes uint64 (…, WORDS), or as many of their words, differ, broadcast together: int16 (…)."""
    counts = (np.bitwise_count(a[..., word] ^ b[..., word]) for word in range(a.shape[-1]))
    different: np.ndarray = next(counts).astype(np.int16)  # to add up along so short an axis takes longer
    for count in counts:
        different += count
    return different


def agree(different: np.ndarray) -> np.ndarray:
    """Whether hashes have a part that differs in a bit at most: bool (n,).

    `different`: uint64 (n, WORDS), the bits in which they differ.
    """
    found = np.zeros(len(different), bool)
    for band in BANDS:
        part = different[:, band.word] & band.mask
        found |= (part & (part - np.uint64(1))) == 0
    return found


def alike(one: np.ndarray, other: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Which frames are alike, by hashes uint64 (…, WORDS) and in how many bits they may differ, int16: bool (…)."""
    far = distances(one, other)
    found: np.ndarray = far <= allowed
    doubtful = np.nonzero(found & (far > SURE))
    one, other = (np.broadcast_to(side, (*found.shape, WORDS))[doubtful] for side in (one, other))
    found[doubtful] = agree(one ^ other)
    return found


def chains(same: np.ndarray) -> np.ndarray:
    """The most frames of one clip that are alike to as many of another in the same order, int32 (n,).

    `same`: bool (n, frames of the one, frames of the other): of n pairs of clips. The longest common subsequence.
    """
    n, frames, others = same.shape
    best = np.zeros((n, others + 1), np.int32)
    for frame in range(frames):
        longer = np.maximum(best[:, 1:], best[:, :-1] + same[:, frame])
        np.maximum.accumulate(longer, axis=1, out=best[:, 1:])
    return best[:, -1]


def allowances(hashes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """In how many bits each frame of clips may differ from one that is alike: int16 (frames,).

    `hashes` uint64 (frames, WORDS) of clips one behind the other, `starts` int64 (n + 1,) of each.
    """
    steps = distances(hashes[1:], hashes[:-1])
    inner = starts[1:-1]
    steps[inner[(inner > 0) & (inner < len(hashes))] - 1] = 0
    lively = np.zeros(len(hashes), np.int16)
    lively[1:] = steps
    np.maximum(lively[:-1], steps, out=lively[:-1])
    allowed: np.ndarray = np.minimum(NOISE + lively // 2, MOST)
    return allowed


class Sequences:
    """The hashes of n clips, frame by frame."""

    def __init__(self, hashes: np.ndarray, starts: np.ndarray) -> None:
        """`hashes`: uint64 (frames, WORDS) of all clips, one behind the other; `starts`: int64 (n + 1,), of each."""
        self.hashes, self.starts = hashes, starts

    @cached_property
    def allowed(self) -> np.ndarray:
        """As `allowances` gives it."""
        return allowances(self.hashes, self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def owners(self) -> np.ndarray:
        """int64 (frames,): whose each is."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def counts(self) -> np.ndarray:
        """int64 (n,): the frames of each."""
        return np.diff(self.starts)

    def part(self, start: int, stop: int) -> Sequences:
        """Some that stand behind one another."""
        first, last = self.starts[start], self.starts[stop]
        return Sequences(np.asarray(self.hashes[first:last]), self.starts[start : stop + 1] - first)

    def padded(self, rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The hashes of some clips, uint64 (rows, length, WORDS), and in how many bits each may differ, int16
        (rows, length): in fewer than none where there is no frame."""
        places = self.starts[rows][:, None] + np.arange(length)
        there = np.arange(length) < self.counts[rows][:, None]
        places = np.where(there, places, 0)
        return self.hashes[places], np.where(there, self.allowed[places], -1)


def shares(left: Sequences, a: np.ndarray, right: Sequences, b: np.ndarray) -> np.ndarray:
    """Of pairs of clips, `a` of the one and `b` of the other (n,), the share of the shorter's frames that the longer
    has in the same order: float64 (n,)."""
    one, other = left.counts[a], right.counts[b]
    found = np.zeros(len(a))
    order = np.lexsort((other, one))
    for pairs in _alike_long(one[order], other[order]):
        rows = order[pairs]
        frames, allowed = (side[:, :, None] for side in left.padded(a[rows], int(one[rows].max())))
        others, allows = (side[:, None] for side in right.padded(b[rows], int(other[rows].max())))
        most = np.where((allowed >= 0) & (allows >= 0), np.maximum(allowed, allows), -1)
        found[rows] = chains(alike(frames, others, most))
    share: np.ndarray = np.round(found / np.minimum(one, other), DECIMALS)
    return share


def _alike_long(one: np.ndarray, other: np.ndarray) -> Iterator[slice]:
    """Pairs that are sorted by their lengths, parted so that padded they are not too many."""
    start = 0
    while start < len(one):
        stop, long, wide = start, 0, 0
        while stop < len(one):
            long, wide = max(long, int(one[stop])), max(wide, int(other[stop]))
            if stop > start and (stop + 1 - start) * long * wide * WORDS > CELLS:
                break
            stop += 1
        yield slice(start, stop)
        start = stop
