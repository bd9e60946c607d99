"""Clips that overlap by the hashes of their frames, against every frame beside every other.

10 000 and 100 000 clips of about twenty frames are compared; VBUILD_BENCH_CLIPS=1000 names other sizes. A tenth are
copies of parts of others, shifted by half a step, with noise; of a third two frames show the same card; a fifth hardly
move. Every comparing runs in a process of its own. What is marked "scaled" was measured on some clips against all, and
multiplied.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import lance
import numpy as np
import pyarrow as pa

from benches.dedup import GIB, apart, knob, run_here
from benches.measure import Measure
from vbuild.decisions.compare import complete
from vbuild.decisions.dedup import HASHES
from vbuild.decisions.overlaps import LEAST, overlapping, reach_of
from vbuild.digest import column_of, keys_of
from vbuild.near.frames import MOST, SURE, WORDS, Sequences, chains, distances, shares
from vbuild.recipes import recipe
from vbuild.stage import Phase, Stage, outputs
from vbuild.store.actions import Results, schema
from vbuild.store.lance_io import open_dataset
from vbuild.store.pairs import Pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.fields import Kind

SIZES = [int(size) for size in knob("CLIPS", "10000,100000")]
GOALS = {10_000: 0.05, 100_000: 0.008}
"""Clips → the share of CPU seconds of all pairs of frames that it may cost."""

MORE = {10_000: 0.5, 100_000: 0.15}
"""Clips → the share of all of it that `NEW` more may cost; to open the store is a part of it."""

GROWTH = 2.5
"""How many times as much a clip may cost of ten times as many clips."""

NEW, CHECKED = 1000, 100
LENGTHS = 12, 29
LIVELY, STILL = 30, 3
"""Bits in which a frame differs from the one before."""

COPIES, CARDS, STILLS = 0.1, 1 / 3, 0.2
CARD, NOISE = 2, 20
"""Frames of a card, and the most bits of noise of a copy."""


def measures() -> Iterator[Measure]:
    """All sizes that are asked for."""
    before: tuple[int, float] | None = None
    for n in SIZES:
        with tempfile.TemporaryDirectory(prefix="vbuild-bench-") as folder:
            stored = Stored(Path(folder), n)
            planted = stored.write()
            pairs = stored.folder / "pairs"
            ours = apart(compared, stored, pairs, n)
            whole = apart(exact, stored).left * n / CHECKED / 2
            yield Measure(f"{n} clips: {ours.left} pairs, to all frames, scaled", ours.cpu, whole, GOALS.get(n))
            if before is not None:
                bound = before[1] * n / before[0]
                yield Measure(f"{n} clips: to as many times {before[0]}", ours.cpu, bound, GROWTH)
            yield Measure(f"{n} clips: largest it grew, to 2 GiB", ours.peak / GIB, 2.0, 1.0, "GiB")
            check(stored, pairs, planted)
            more = apart(compared, stored, pairs, n + NEW)
            yield Measure(f"{n} clips: {NEW} more, to all of it", more.cpu, ours.cpu, MORE.get(n))
            before = n, ours.cpu


@dataclass(frozen=True, kw_only=True)
class Printing(Stage):
    """What writes such hashes."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    writes: ClassVar[Mapping[str, Kind]] = {"": HASHES}


@dataclass(frozen=True)
class Stored:
    """Hashes of clips in a Lance dataset, as a stage's results are stored."""

    folder: Path
    n: int
    """How many clips are compared; so many as `NEW` stand behind them."""

    @property
    def path(self) -> Path:
        return self.folder / "hashes.lance"

    def write(self) -> np.ndarray:
        """Writes them; returns pairs that were planted, int (m, 2)."""
        random = np.random.default_rng(self.n)
        clips, planted = made(self.n + NEW, random)
        shape = schema(outputs(Printing()))
        lists = pa.ListArray.from_arrays(
            pa.array(clips.starts * WORDS, pa.int32()), pa.array(clips.hashes.reshape(-1), pa.uint64())
        )
        keys = column_of(random.integers(0, 2**63, (len(clips), 2)).view("V16").reshape(-1))
        given = {"key": keys, "value": lists, "digest__value": keys}
        columns = [given.get(f.name, pa.nulls(len(clips), f.type)) for f in shape]
        lance.write_dataset(pa.table(columns, schema=shape), str(self.path))
        return planted[(planted < self.n).all(axis=1)]

    def results(self) -> Results:
        return Results(self.path, recipe(Printing()), outputs(Printing()))

    def digests(self) -> np.ndarray:
        """Those of all, and of the new ones behind them."""
        return keys_of(lance.dataset(str(self.path)).to_table(columns=["digest__value"])["digest__value"])

    def clips(self) -> Sequences:
        """All but those that are new."""
        lists = lance.dataset(str(self.path)).to_table(columns=["value"])["value"].combine_chunks()[: self.n]
        hashes = lists.flatten().to_numpy().reshape(-1, WORDS)
        return Sequences(hashes, (lists.offsets.to_numpy() // WORDS).astype(np.int64))


def made(n: int, random: np.random.Generator) -> tuple[Sequences, np.ndarray]:
    """Clips, and pairs of a copy and what it was made of, int (m, 2)."""
    counts = random.integers(*LENGTHS, n)
    starts = np.concatenate([[0], np.cumsum(counts)])
    step = np.where(random.random(n) < STILLS, STILL, LIVELY)
    frame, hashes = leaning(n, random), np.empty((starts[-1], WORDS), np.uint64)
    for at in range(max(LENGTHS)):
        some = counts > at
        hashes[starts[:-1][some] + at] = frame[some]
        frame ^= (frame ^ leaning(n, random)) & some_bits(2 * step, random)
    planted = random.permutation(n)[: 2 * int(COPIES * n)].reshape(-1, 2)
    for copy, source in planted.tolist():
        clip, room = (hashes[starts[row] : starts[row + 1]] for row in (source, copy))
        long = min(int(random.integers(len(clip) // 2, len(clip))), len(room))
        at = int(random.integers(len(clip) - long))
        half = (clip[at : at + long] ^ clip[at + 1 : at + long + 1]) & numbers(long, random)
        room[:long] = clip[at : at + long] ^ half ^ some_bits(np.full(long, random.integers(NOISE + 1)), random)
    for start in starts[:-1][random.random(n) < CARDS].tolist():
        at = start + int(random.integers(8))
        hashes[at : at + CARD] = SHOWN ^ some_bits(np.full(1, 3), random)
    return Sequences(hashes, starts), planted


def numbers(n: int, random: np.random.Generator) -> np.ndarray:
    """Hashes uint64 (n, WORDS) of bits that are even."""
    return random.integers(0, 2**64, (n, WORDS), np.uint64)


def leaning(n: int, random: np.random.Generator) -> np.ndarray:
    """Hashes of which a bit is set in 11 of 32: a part agrees in two of them six times as often as where bits are even,
    as it does in real ones."""
    a, b, c, d, e = (numbers(n, random) for _ in range(5))
    found: np.ndarray = a & (b | (c & (d | e)))
    return found


def some_bits(most: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Numbers uint64 (n, WORDS) of which up to so many bits, (n,), are set."""
    found = np.zeros((len(most), WORDS), np.uint64)
    for at in range(int(most.max(initial=0))):
        rows = np.flatnonzero(most > at)
        bit = random.integers(64, size=len(rows)).astype(np.uint64)
        found[rows, random.integers(WORDS, size=len(rows))] |= np.uint64(1) << bit
    return found


SHOWN = numbers(1, np.random.default_rng(0))
"""The card."""


def compared(stored: Stored, pairs: Path, count: int) -> int:
    """Our way, of the first so many; how many pairs there are."""
    wanted = stored.digests()[:count]
    complete(Pairs(pairs), stored.results(), wanted, reach_of(0.5), run_here, overlapping)
    edges = open_dataset(pairs / "edges.lance")
    return 0 if edges is None else int(edges.count_rows())


def exact(stored: Stored) -> float:
    """CPU seconds of the first clips' frames beside those of all."""
    clips = stored.clips()
    before = time.process_time()
    beside(clips, CHECKED)
    return time.process_time() - before


def beside(clips: Sequences, rows: int) -> np.ndarray:
    """Which of the first clips have a frame that is within `MOST` bits of one of each clip: bool (rows, n)."""
    first, found = clips.starts[:rows], np.zeros((rows, len(clips)), bool)
    one = clips.hashes[: clips.starts[rows], None]
    step = 64
    for start in range(0, len(clips), step):
        some = clips.part(start, min(start + step, len(clips)))
        close = np.logical_or.reduceat(distances(one, some.hashes) <= MOST, first, axis=0)
        found[:, start : start + step] = np.logical_or.reduceat(close, some.starts[:-1], axis=1)
    return found


def check(stored: Stored, folder: Path, planted: np.ndarray) -> None:
    """Raises AssertionError if the store lacks a pair, or has one too many."""
    clips = stored.clips()
    known = dict(zip(*edges(stored, folder), strict=True))
    a, b = np.nonzero(beside(clips, CHECKED))
    a, b = a[a < b], b[a < b]
    true = {(x, y): s for x, y, s in zip(a.tolist(), b.tolist(), shares(clips, a, clips, b), strict=True) if s >= LEAST}
    ours = {pair: share for pair, share in known.items() if pair[0] < CHECKED}
    assert ours == true, f"{len(ours.keys() ^ true.keys())} pairs of {len(true)} differ"
    lost = [pair for pair in np.sort(planted, axis=1).tolist() if tuple(pair) not in known and surely(clips, *pair)]
    assert not lost, f"{len(lost)} planted pairs are lost"


def edges(stored: Stored, folder: Path) -> tuple[list[tuple[int, int]], list[float]]:
    """The pairs in the store, and their shares."""
    a, b, share = Pairs(folder).edges(stored.digests()[: stored.n], LEAST)
    return list(zip(a.tolist(), b.tolist(), strict=True)), share.tolist()


def surely(clips: Sequences, a: int, b: int) -> bool:
    """Whether two clips overlap by frames alone that are within `SURE` bits."""
    one, other = (clips.part(row, row + 1).hashes for row in (a, b))
    same = distances(one[:, None], other) <= SURE
    return bool(round(int(chains(same[None])[0]) / min(same.shape), 6) >= LEAST)
