"""Which clips are near-duplicates, and which of them stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from vbuild.decisions.decision import Decision
from vbuild.errors import UsageError
from vbuild.stage import Phase

BY_CLUSTER = ("hard", "easy")
"""Orders of keeping by the distance to a centroid."""

WORDS = (*BY_CLUSTER, "random")
"""Orders of keeping that are no SQL."""


@dataclass(frozen=True, kw_only=True)
class Dedup(Decision):
    """Drops clips whose vectors, those of the instance in `of`, lie within `eps` of a clip that is kept."""

    phase: ClassVar[Phase] = "dedup"

    of: str | None = None
    """The instance whose vectors are compared."""
    eps: float = 0.02
    """Cosine distance up to which two clips are duplicates."""
    reach: float | None = None
    """Cosine distance up to which pairs are looked for and stored, so that `eps` can be moved below it; None: `eps`."""
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
        if self.clusters < 1:
            raise UsageError(f"clusters={self.clusters}: must be 1 or more")
        if self.reach is not None and not self.eps <= self.reach < 1:
            raise UsageError(f"reach={self.reach}: must be at least eps={self.eps} and below 1; or leave it out")
