"""What is to be done to find clips that overlap, parted for workers: new clips against all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild.near.chores import EDGES, Chore, Made
from vbuild.near.frames import CELLS, WORDS, Index, Sequences, shares

if TYPE_CHECKING:
    from pathlib import Path

HASHES, STARTS = "hashes.u64", "starts.npy"
"""Files of the work: the hashes of all frames, and where those of each clip begin."""


@dataclass(frozen=True)
class Frames:
    """The hashes of n clips, the new ones first, as they lie in files."""

    work: Path

    def sequences(self) -> Sequences:
        """All of them."""
        starts = np.load(self.work / STARTS)
        hashes = np.memmap(self.work / HASHES, np.uint64, "r") if starts[-1] else np.empty(0, np.uint64)
        return Sequences(np.asarray(hashes).reshape(-1, WORDS), starts)


@dataclass(frozen=True)
class Overlap(Chore):
    """Compares some new clips with some that stand behind each, or with all of these."""

    frames: Frames
    new: tuple[int, int]
    """The first of them, and the one behind the last."""
    others: tuple[int, int]
    least: float
    """The share of the shorter's frames that makes a pair."""

    def run(self) -> Made:
        """The pairs that overlap."""
        clips = self.frames.sequences()
        index = Index(clips.part(*self.others))
        step = max(CELLS // max(len(index.clips), 1), 1)
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for first in range(*self.new, step):
            some = clips.part(first, min(first + step, self.new[1]))
            sure = index.sure(some)
            a, b = np.nonzero(sure)
            behind = b + self.others[0] > a + first
            a, b = a[behind], b[behind]
            share = shares(some, a, index.clips, b)
            near = share >= self.least
            found.append((a[near] + first, b[near] + self.others[0], share[near]))
        a, b, share = (np.concatenate(side) for side in zip(*found, strict=True))
        sides = [pa.array(side, pa.uint32()) for side in (a, b)]
        return Made(pa.table([*sides, pa.array(share, pa.float64())], schema=EDGES))
