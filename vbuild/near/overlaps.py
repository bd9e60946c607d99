"""What is to be done to find clips that overlap, parted for workers: new clips against all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild.near.chores import EDGES, MOST, Chore, Made
from vbuild.near.frames import WORDS, Sequences, shares
from vbuild.near.postings import pairs

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
    """Compares some new clips with one another and with some that stand behind each."""

    frames: Frames
    new: tuple[int, int]
    """The first of them, and the one behind the last."""
    others: tuple[int, int]
    least: float
    """The share of the shorter's frames that makes a pair."""

    @property
    def memory(self) -> int:
        """For some million frames, sorted by a part of their hashes, and the pairs of clips that are looked at."""
        return 3 << 28

    def run(self) -> Made:
        """The pairs that overlap."""
        clips, (first, stop) = self.frames.sequences(), self.others
        new, others = clips.part(*self.new), clips.part(first, stop)
        found, count = [EDGES.empty_table()], 0
        for done, some in pairs(new, others, self.least):
            behind = some.take(np.flatnonzero(some[1] + first > some[0] + self.new[0]), axis=1)
            share = shares(new, behind[0], others, behind[1])
            near = np.flatnonzero(share >= self.least)
            sides = (side.take(near) + start for side, start in zip(behind, (self.new[0], first), strict=True))
            found.append(pa.table([*(side.astype(np.uint32) for side in sides), share.take(near)], schema=EDGES))
            count += len(near)
            if count > MOST and first + done < stop:
                return Made(pa.concat_tables(found), replace(self, others=(first + done, stop)))
        return Made(pa.concat_tables(found))
