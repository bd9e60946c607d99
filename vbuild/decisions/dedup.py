"""Which clips are near-duplicates, and which of them stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from vbuild.decisions.decision import Decision
from vbuild.errors import UsageError
from vbuild.fields import List, Scalar
from vbuild.stage import Phase

HASHES = List(Scalar("uint64"))
"""The type of hashes of a clip's frames: four numbers a frame."""

BY_CLUSTER = ("hard", "easy")
"""Orders of keeping by the distance to a centroid."""

WORDS = (*BY_CLUSTER, "random")
"""Orders of keeping that are no SQL."""


@dataclass(frozen=True, kw_only=True)
class Dedup(Decision):
    """Drops clips that are near-duplicates of a clip that is kept: by the vectors of the instance in `of`, those within
    `eps`; or by its hashes of frames, those that share `overlap` of the frames of the shorter of the two."""

    phase: ClassVar[Phase] = "dedup"

    of: str | None = None
    """The instance whose vectors, or hashes of frames, are compared."""
    eps: float = 0.02
    """Of vectors: cosine distance up to which two clips are duplicates."""
    reach: float | None = None
    """Of vectors: cosine distance up to which pairs are looked for and stored, so that `eps` can be moved below it;
    None: `eps`."""
    overlap: float = 0.5
    """Of hashes of frames: the share of the frames of either clip that, where the other has them in the same order,
    makes the two duplicates."""
    keep: str = ""
    """SQL order of which clip of several stays, best first: `quality_sharpness desc`; ties by clip_id. Or `hard`: the
    clip farthest from the centroid of its cluster first; `easy`: the nearest first; `random`: any, always the same."""
    clusters: int = 1000
    """Of `hard` and `easy`: into how many clusters vectors are parted; an eighth of the vectors if these are few."""
    rule: Literal["greedy", "dominance", "components"] = "greedy"
    """greedy: a clip goes if a kept clip before it is near. dominance: if any clip before it is. components: if any is
    by way of others."""

    def __post_init__(self) -> None:
        """Refuses distances that no two vectors have."""
        if not 0 <= self.eps < 1:
            raise UsageError(f"eps={self.eps}: a cosine distance from 0 up to, but not, 1 is needed; try 0.02")
        if not 0 < self.overlap <= 1:
            raise UsageError(f"overlap={self.overlap}: a share above 0 and up to 1 is needed; try 0.5")
        if self.clusters < 1:
            raise UsageError(f"clusters={self.clusters}: must be 1 or more")
        if self.reach is not None and not self.eps <= self.reach < 1:
            raise UsageError(f"reach={self.reach}: must be at least eps={self.eps} and below 1; or leave it out")
