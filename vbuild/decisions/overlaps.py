"""Finds the pairs of clips that overlap, by the hashes of their frames."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from vbuild.errors import StageError
from vbuild.near.frames import DECIMALS, WORDS
from vbuild.near.overlaps import HASHES, STARTS, Frames, Overlap
from vbuild.values import value_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from vbuild.decisions.compare import Comparison

LEAST = 0.25
"""Pairs are stored from this share on, or a lesser one that is asked for: to ask for more, or for less down to it, runs
nothing."""

READ = 32_768
"""Clips that are read at once."""

FRAMES = (1 << 17, 1 << 20)
"""Frames of a part, at least and at most: of those of new clips an index is made."""

PARTED = 4
"""Into how many parts frames come, where that makes none too small or too large."""

ASKED = 2
"""Parts that are looked up in an index: it takes about as long to make one as to look one up."""


def reach_of(overlap: float) -> float:
    """Up to which distance, one less the share, pairs are stored for an overlap that is asked for."""
    return round(1 - min(overlap, LEAST), DECIMALS)


def overlapping(some: Comparison) -> Iterator[pa.Table]:
    """The pairs of clips that overlap."""
    starts = _laid_out(some)
    least = round(1 - some.reach, DECIMALS)
    hashes = Frames(some.work)
    size = int(np.clip(starts[-1] // PARTED, *FRAMES))
    new = _parts(starts, 0, some.fresh, size)
    chores = [
        Overlap(hashes, part, others, least)
        for part in new
        for others in _parts(starts, part[0], len(some.ids), ASKED * size)
    ]
    return some.run(chores)


def _parts(starts: np.ndarray, first: int, last: int, size: int) -> list[tuple[int, int]]:
    """Clips, from the first up to the last, in parts of about so many frames."""
    group = (starts[first:last] - starts[first]) // size
    edges = [first, *(np.flatnonzero(np.diff(group)) + 1 + first).tolist(), last]
    return list(pairwise(edges)) if last > first else []


def _laid_out(some: Comparison) -> np.ndarray:
    """Writes the hashes of the clips into files, and gives where those of each begin: int64 (n + 1,)."""
    column = value_column("")
    counts = []
    with (some.work / HASHES).open("wb") as file:
        for start in range(0, len(some.places), READ):
            cells = some.results.take(some.places[start : start + READ], [column])[column].combine_chunks()
            counts.append(np.diff(cells.offsets.to_numpy()))
            if (counts[-1] % WORDS).any():
                raise StageError(
                    f"{some.results.recipe.stage}: a hash of a frame is {WORDS} numbers of 64 bits; it wrote others"
                )
            file.write(cells.flatten().to_numpy().tobytes())
    starts = np.concatenate([[0], np.cumsum(np.concatenate([*counts, np.empty(0, np.int64)])) // WORDS])
    np.save(some.work / STARTS, starts.astype(np.int64))
    return starts.astype(np.int64)
