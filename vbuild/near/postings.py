"""Which clips may overlap others, found by parts of their frames' hashes without a look at all pairs of frames.

Where two clips overlap, some frames of the shorter one are alike to frames of the other, `fewest` of them at least. Two
frames are alike only if one part of their hashes differs in a bit at most (`BANDS`): so where frames are listed by a
part, all that are alike stand under the same key or under one that differs in a bit, in one of the lists.

What very many clips show, such as a card, stands in the longest lists. Of each clip those frames are hushed, but fewer
than must be alike in a pair: so one at least of those that are alike is not. Frames that are both hushed are not looked
at, and a card costs nothing unless it is so much of clips that they overlap by it. Which frames are hushed decides how
long it takes, and never what is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vbuild.near.frames import BANDS, DECIMALS, MOST, Sequences, distances

if TYPE_CHECKING:
    from collections.abc import Iterator

BITS = (8, 21)
"""Of a key, at least and at most: more where there are more frames, up to the bits of the shortest part."""

HEAVY = 512
"""Frames among which one is listed, of all parts together, before it is worth hushing."""

SAME = 8
"""Bits in which frames of a run differ at most from the one before."""

BLOCK = 1 << 14
"""Runs that are looked up at once: what they meet stays in the processor's cache, for they are sorted by their keys."""

HITS = 1 << 15
"""Runs that are compared with others in one go."""

PAIRS = 1 << 22
"""Pairs of clips that are found in one go, unless they are of one clip."""


def fewest(counts: np.ndarray, least: float) -> np.ndarray:
    """How many frames are alike at least where a clip of so many is the shorter of a pair: int64 (n,).

    `least`: the share that makes a pair, which is rounded.
    """
    needed: np.ndarray = np.maximum(np.ceil(counts * (least - 10.0**-DECIMALS)), 1).astype(np.int64)
    return needed


def hushed(clips: Sequences, weights: np.ndarray, least: float) -> np.ndarray:
    """Which frames are hushed, bool (frames,): of each clip the heaviest, one fewer than must be alike in a pair."""
    found = np.zeros(len(weights), bool)
    heavy = np.flatnonzero(weights > HEAVY)
    if len(heavy):
        owners = clips.owners[heavy]
        order = np.lexsort((-weights[heavy], owners))
        owners = owners[order]
        place = np.arange(len(order)) - np.searchsorted(owners, owners)
        found[heavy[order]] = place < fewest(clips.counts, least)[owners] - 1
    return found


def pairs(one: Sequences, other: Sequences, least: float) -> Iterator[tuple[int, np.ndarray]]:
    """The pairs of clips that may overlap, some at a time: rows of either, int64 (2, n), each pair once.

    And for how many of the other clips, from the first on, all are told. `least`: the share that makes a pair; none
    that has it is missing.
    """
    waiting = [(0, len(other))]
    while waiting:
        start, stop = waiting.pop()
        codes = _codes(one, other.part(start, stop), least)
        if codes is None:
            half = (start + stop) // 2
            waiting += [(half, stop), (start, half)]
        else:
            yield stop, np.stack([codes % len(one), codes // len(one) + start])


def _codes(one: Sequences, other: Sequences, least: float) -> np.ndarray | None:
    """The pairs as numbers, each once: that of the other clip, times how many the one side has, and that of the one.

    None where they are too many and the other side can be parted.
    """
    bits = int(np.clip((len(one.hashes) + len(other.hashes)).bit_length(), *BITS))
    quiet, quiet_others = _quiet(one, other, least, bits)
    found = Found(len(one) * len(other))
    for band in BANDS:
        keys, others = (band.keys(clips.hashes, bits) for clips in (one, other))
        close = _close(keys, others, bits)
        told, silent = (runs(one, keys, np.flatnonzero(some)) for some in (~quiet, quiet))
        for some, meet in ((close & ~quiet_others, (told, silent)), (close & quiet_others, (told,))):
            if not some.any():
                continue
            listed = Postings(runs(other, others, np.flatnonzero(some)), bits)
            for sought in meet:
                for i, j in near(listed, sought):
                    found.add(listed.runs.owners.take(i) * len(one) + sought.owners.take(j))
                    if found.many and len(other) > 1:
                        return None
    return found.codes()


def _quiet(one: Sequences, other: Sequences, least: float, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Which frames of either side are hushed: by how many of the other side have their keys."""
    weights, others = (np.zeros(len(clips.hashes), np.int64) for clips in (one, other))
    for band in BANDS:
        keys = band.keys(other.hashes, bits)
        many = np.bincount(keys, minlength=1 << bits)
        weights += many.take(band.keys(one.hashes, bits))
        others += many.take(keys)
    return hushed(one, weights, least), hushed(other, others, least)


def _flips(bits: int) -> tuple[int, ...]:
    """What changes no bit of a key, or one."""
    return (0, *(1 << bit for bit in range(bits)))


def _close(keys: np.ndarray, others: np.ndarray, bits: int) -> np.ndarray:
    """Which of other keys may be within a bit of some keys: bool (n,), all where these are too many to tell much."""
    if len(keys) * bits > 1 << bits:
        return np.ones(len(others), bool)
    found = np.zeros(1 << bits, bool)
    for flip in _flips(bits):
        found[keys ^ flip] = True
    return found.take(others)


@dataclass(frozen=True)
class Runs:
    """n runs of frames of one clip that have one key, sorted by it, as looked up by the first frame of each."""

    keys: np.ndarray
    """int64 (n,)."""
    owners: np.ndarray
    hashes: np.ndarray
    """uint64 (n, WORDS): of the first frames."""
    allowed: np.ndarray
    """int16 (n,): in how many bits any of them may differ at most from one that is alike."""
    spread: np.ndarray
    """int16 (n,): in how many bits any of them differs from the first."""

    def __len__(self) -> int:
        return len(self.keys)

    def some(self, rows: slice) -> Runs:
        """Some of them."""
        return Runs(*(each[rows] for each in (self.keys, self.owners, self.hashes, self.allowed, self.spread)))


def runs(clips: Sequences, keys: np.ndarray, frames: np.ndarray) -> Runs:
    """Those of some frames, int64 (n,) in order; `keys` of all frames."""
    order = np.sort(keys.take(frames) << 32 | frames)
    keys, frames = order >> 32, order & 0xFFFFFFFF
    owners, allowed = clips.owners.take(frames), clips.allowed.take(frames)
    first = np.ones(len(frames), bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    first[1:] |= owners[1:] != owners[:-1]
    later = np.flatnonzero(~first)
    steps = distances(*(clips.hashes.take(frames.take(some), axis=0) for some in (later, later - 1)))
    first[later[steps > SAME]] = True
    starts = np.flatnonzero(first)
    hashes = clips.hashes.take(frames.take(starts), axis=0)
    spread = np.zeros(len(starts), np.int16)
    if len(starts) < len(frames):
        later = np.flatnonzero(~first)
        run = np.searchsorted(starts, later) - 1
        far = distances(clips.hashes.take(frames.take(later), axis=0), hashes.take(run, axis=0))
        np.maximum.at(spread, run, far)
        keys, owners, allowed = keys.take(starts), owners.take(starts), np.maximum.reduceat(allowed, starts)
    return Runs(keys, owners, hashes, allowed, spread)


class Postings:
    """Runs by their keys."""

    def __init__(self, listed: Runs, bits: int) -> None:
        """`bits`: of their keys."""
        self.runs, self.flips = listed, _flips(bits)
        self.starts = np.zeros((1 << bits) + 1, np.int32)
        np.cumsum(np.bincount(listed.keys, minlength=1 << bits), out=self.starts[1:])

    def met(self, keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The runs whose keys differ in a bit at most from some keys, some at a time: places here, and in `keys`."""
        for flip in self.flips:
            under = keys ^ flip
            first = self.starts.take(under)
            many = self.starts.take(under + 1) - first
            some = np.flatnonzero(many)
            if len(some):
                yield from _spread(some, first.take(some), many.take(some))


def _spread(own: np.ndarray, first: np.ndarray, many: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """So many places from a first one on, and whose each is, some at a time."""
    ends = np.cumsum(many, dtype=np.int64)
    start = before = 0
    while start < len(own):
        stop = max(int(np.searchsorted(ends, before + HITS, side="right")), start + 1)
        counts, total = many[start:stop], int(ends[stop - 1])
        shift = first[start:stop] - (ends[start:stop] - counts - before)
        yield np.arange(total - before) + np.repeat(shift, counts), np.repeat(own[start:stop], counts)
        start, before = stop, total


def near(postings: Postings, sought: Runs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The runs of which frames may be alike, some at a time: those that are listed, and those that are sought."""
    listed = postings.runs
    most = MOST + int(listed.spread.max()) + int(sought.spread.max(initial=0))
    for start in range(0, len(sought), BLOCK):
        some = sought.some(slice(start, start + BLOCK))
        for i, j in postings.met(some.keys):
            far = distances(listed.hashes.take(i, axis=0), some.hashes.take(j, axis=0))
            likely = np.flatnonzero(far <= most)
            a, b = i.take(likely), j.take(likely)
            limit = np.maximum(listed.allowed.take(a), some.allowed.take(b))
            limit += listed.spread.take(a) + some.spread.take(b)
            alike = np.flatnonzero(far.take(likely) <= limit)
            yield a.take(alike), b.take(alike) + start


class Found:
    """Numbers of pairs, of which each comes many times."""

    def __init__(self, most: int) -> None:
        """`most`: below which all of them are."""
        self.parts: list[np.ndarray] = []
        self.count = 0
        self.latest = np.full(1 << min(most, PAIRS).bit_length(), -1)
        """By the last bits of each: the latest of those, by which nearly all that come again are told."""

    def add(self, codes: np.ndarray) -> None:
        """Some that were found."""
        slots = codes & (len(self.latest) - 1)
        new = np.flatnonzero(self.latest.take(slots) != codes)
        self.parts.append(codes.take(new))
        self.latest[slots.take(new)] = self.parts[-1]
        self.count += len(new)
        if self.many:
            self.parts = [self.codes()]
            self.count = len(self.parts[0])

    @property
    def many(self) -> bool:
        """Whether they are more than are looked at in one go."""
        return self.count > PAIRS

    def codes(self) -> np.ndarray:
        """All of them, each once, in order."""
        found = np.sort(np.concatenate([np.empty(0, np.int64), *self.parts]))
        return found[np.flatnonzero(np.diff(found, prepend=-1))]
