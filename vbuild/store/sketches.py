"""Sketches of the vectors of a recipe, kept between builds: of many vectors they cost more than what a few new take.

A cache, and no more: it decides how long comparing takes, and never what is found. Whoever changes it holds the lock of
the recipe's pairs.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from vbuild.near.borders import open_margins
from vbuild.near.ground import PARTS, SKETCHES
from vbuild.store.keyed import Index, same
from vbuild.store.place import RIGHTS, replace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VERSION = 3
"""Of the files, and of what they hold."""

VECTORS = "vectors.v16"
"""The file of digests; it is written last, so it says how many rows there are."""


@dataclass(frozen=True)
class Learned:
    """By what sketches were made."""

    width: int
    reach: float
    """For which the borders between partitions were judged."""
    count: int
    """Vectors that there were."""
    share: float
    """Of all pairs, what borders between partitions leave, by a sample."""
    narrow: bool
    """Whether so few that partitions are made."""
    version: int = VERSION


@dataclass(frozen=True)
class Sketches:
    """The shelf of one recipe."""

    folder: Path

    def learned(self) -> Learned | None:
        """By what they were made; None where there are none."""
        try:
            learned = Learned(**json.loads((self.folder / "learned.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return learned if learned.version == VERSION else None

    def empty(self) -> None:
        """Takes all of them away."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name in (VECTORS, SKETCHES, PARTS):
            (self.folder / name).touch()

    def note(self, learned: Learned) -> None:
        """Says by what they are made; the arrays that it speaks of are written."""
        if not learned.narrow:
            (self.folder / "centroids.npy").unlink(missing_ok=True)
        replace(self.folder / "learned.json", json.dumps(asdict(learned)).encode(), remedy=RIGHTS)

    def places(self, vectors: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Where those of digests (n,) V16, each once, stand, int64, and which rows are missing: these places are behind
        all others.

        Room is made for them; until `keep` is called they count for nothing.
        """
        known = np.fromfile(self.folder / VECTORS, "V16")
        new = len(vectors) - len(known)
        if new >= 0 and same(vectors[new:], known).all():  # as a rule, for what was compared comes in that order
            at = np.arange(-new, len(known)).clip(-1)
        else:
            at = Index(known).find(vectors)
        missing = np.flatnonzero(at < 0)
        at[missing] = len(known) + np.arange(len(missing))
        rows = len(known) + len(missing)
        for name, size in ((SKETCHES, 2 * width), (PARTS, 4)):
            with (self.folder / name).open("r+b") as file:
                file.truncate(len(known) * size)
                file.truncate(rows * size)
        return at, missing

    def keep(self, vectors: np.ndarray) -> None:
        """The sketches of digests (n,) V16 are made, and stand behind all others."""
        for name in (SKETCHES, PARTS):
            with (self.folder / name).open("rb") as file:
                os.fsync(file.fileno())
        with (self.folder / VECTORS).open("ab") as file:
            file.write(vectors.tobytes())

    def border(self, more: Iterable[Path]) -> None:
        """Notes how close vectors come to borders, by the files that tell it of those that came; takes these away.

        Where they are noted already, in place: margins only fall, and lower ones lose nothing should these not be kept.
        """
        path = self.folder / "margins.npy"
        for each in more:
            if not path.exists():
                count = len(np.load(self.folder / "centroids.npy", "r"))
                np.save(path.with_suffix(".new.npy"), open_margins(count, count))
                path.with_suffix(".new.npy").replace(path)
            margins = np.load(path, "r+")
            heads = np.load(each.with_name(each.name.replace("margins", "heads")))
            margins[heads] = np.minimum(margins[heads], np.load(each, "r"))
            margins.flush()
            each.unlink()
