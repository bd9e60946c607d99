"""Which clips are to train with, and which to test with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from vbuild.decisions.decision import Decision
from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.stage import Phase


def _usual() -> dict[str, float | None]:
    return {"train": 0.9, "val": 0.05, "test": 0.05}


@dataclass(frozen=True, kw_only=True)
class Folds(Decision):
    """Puts each clip into a fold (train, val, test) by its source video, so that no video is on both sides.

    By a hash of the column in `by`, alone: no other video moves one, nor does its path, its place in a list, or what is
    dropped. Shares are of videos, and come out as chance has it. When shares change, few videos move: none but to a
    fold that has grown beside its own, and where the others keep their proportions, no more than must. (Weighted
    rendezvous hashing: each fold draws for each video -ln(u) / share, u in (0, 1) by the hash, and the least has it.)
    The order in which folds are written means nothing.

    Near-duplicates of one another in two folds leak from one to the other: let a dedup drop them. What it has dropped
    does no harm, for only kept clips are trained with. Where it leaves too much, `by: cluster` keeps what is of a kind
    together; a clip that has nothing in the column goes by its video.
    """

    phase: ClassVar[Phase] = "measure"
    together: ClassVar[bool] = False
    adds: ClassVar[Mapping[str, Kind]] = {"": Scalar("string")}

    by: str = "video_id"
    """The column whose clips stay together: of every clip (`video_id`, `uri`), of a list of videos (`speaker`), or of
    an instance (`cluster`)."""
    shares: Mapping[str, float | None] = field(default_factory=_usual)
    """Fold → its share; all of them come to 1. null takes one away that another file gave."""
    seed: int = 0
    """Another one draws anew."""

    def __post_init__(self) -> None:
        """Refuses shares that are none."""
        given = [share or 0.0 for share in self.shares.values()]
        if not all(0 <= share <= 1 for share in given):
            raise UsageError(f"shares={dict(self.shares)}: each is from 0 to 1")
        if not math.isclose(total := math.fsum(given), 1, abs_tol=1e-6):
            raise UsageError(
                f"shares={dict(self.shares)}: they come to {total:g}, not to 1; give all of them, and null to those "
                "that go, as in shares={train:0.8,val:null,test:0.2}"
            )
        if "" in self.shares:
            raise UsageError(f"shares={dict(self.shares)}: a fold needs a name")
