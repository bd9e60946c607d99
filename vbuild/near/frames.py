"""Which clips overlap, by hashes of their frames: which frames are alike, and how long they go on in one order.

Two frames are alike if their hashes differ in no more bits than the noise of codecs, signs and bars makes (`NOISE`),
and half of what a step of time changes in the livelier of the two clips there: the moments that were hashed lie half a
step apart at most. So what stands still must agree more closely than what moves, and slides of one template, or one
scene at two times, are none. Two clips are compared at all if they have two frames that differ in `SURE` bits at most.

Of eighteen videos, at 4 frames a second, half a step apart: 95 of 100 frames are alike in a coarse copy of a fifth of
the pixels, with bars, or 4 % faster; no frame came within 90 bits of one of another video.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = 4
"""Numbers of 64 bits of a hash."""

NOISE, MOST = 24, 64
"""Bits, of 256, in which hashes of frames that are alike differ at most: where nothing moves, and however much does."""

PARTS = 16
"""Numbers of 16 bits of a hash."""

SURE = 2 * PARTS - 1
"""Bits in which two hashes differ at most of which one part at least differs in one bit at most."""

FLIPS = (0, *(1 << bit for bit in range(16)))
"""What changes no bit of a part, or one."""

CELLS = 1 << 22
"""Pairs of clips, of frames, or of candidates, that are looked at in one go."""

DECIMALS = 6
"""Of shares."""


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """In how many bits hashes uint64 (…, WORDS), or as many of their words, differ, broadcast together: int16 (…)."""
    counts = (np.bitwise_count(a[..., word] ^ b[..., word]) for word in range(a.shape[-1]))
    different: np.ndarray = next(counts).astype(np.int16)  # to add up along so short an axis takes longer
    for count in counts:
        different += count
    return different


def chains(alike: np.ndarray) -> np.ndarray:
    """The most frames of one clip that are alike to as many of another in the same order, int32 (n,).

    `alike`: bool (n, frames of the one, frames of the other): of n pairs of clips. The longest common subsequence.
    """
    n, frames, others = alike.shape
    best = np.zeros((n, others + 1), np.int32)
    for frame in range(frames):
        longer = np.maximum(best[:, 1:], best[:, :-1] + alike[:, frame])
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


class Index:
    """Finds, of clips, those that have a frame that is surely that of another clip."""

    def __init__(self, clips: Sequences) -> None:
        self.clips = clips
        self.hashes, self.owners = distinct(clips)
        numbers = self.hashes.view(np.uint16)
        self.orders = [np.argsort(numbers[:, part], kind="stable").astype(np.int32) for part in range(PARTS)]
        self.many = [np.bincount(numbers[:, part], minlength=1 << 16) for part in range(PARTS)]
        self.starts = [np.cumsum(each) - each for each in self.many]

    def sure(self, others: Sequences) -> np.ndarray:
        """Which of other clips (rows) have a frame within `SURE` of one of these (columns): bool."""
        found = np.zeros((len(others), len(self.clips)), bool)
        hashes, owners = distinct(others)
        numbers = hashes.view(np.uint16)
        for part in range(PARTS):
            starts, order = self.starts[part], self.orders[part]
            sorted_ = self.hashes[order]
            for flip in FLIPS:
                sought = numbers[:, part] ^ np.uint16(flip)
                first, many = starts[sought], self.many[part][sought]
                for frames in _blocks(many):
                    own, place = _expanded(frames, first, many)
                    # half of a hash tells of nearly all that are far
                    near = np.flatnonzero(distances(hashes[own, : WORDS // 2], sorted_[place, : WORDS // 2]) <= SURE)
                    own, place = own[near], place[near]
                    near = np.flatnonzero(distances(hashes[own], sorted_[place]) <= SURE)
                    found[owners[own[near]], self.owners[order[place[near]]]] = True
        return found


def distinct(clips: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of clips, each once a clip, uint64 (n, WORDS), and whose each is."""
    owners = np.repeat(np.arange(len(clips)), clips.counts)
    order = np.lexsort((*clips.hashes.T, owners))
    hashes, owners = clips.hashes[order], owners[order]
    new = np.ones(len(order), bool)
    new[1:] = (hashes[1:] != hashes[:-1]).any(axis=1) | (owners[1:] != owners[:-1])
    return np.ascontiguousarray(hashes[new]), owners[new]


def _blocks(many: np.ndarray) -> Iterator[slice]:
    """Frames with so many candidates each, parted so that no part has too many."""
    ends = np.cumsum(many)
    start = 0
    while start < len(many):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + CELLS, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _expanded(frames: slice, first: np.ndarray, many: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each of some frames with each of its candidates: their numbers, and the candidates' places."""
    counts = many[frames]
    own = np.repeat(np.arange(frames.start, frames.stop), counts)
    within = np.arange(len(own)) - np.repeat(np.cumsum(counts) - counts, counts)
    return own, first[own] + within


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
        alike = distances(frames, others) <= np.maximum(allowed, allows)
        alike &= (allowed >= 0) & (allows >= 0)
        found[rows] = chains(alike)
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
