"""Which clips are near-duplicates, and which of them stay: a decision, declared here and taken by the build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from vbuild.errors import UsageError
from vbuild.fields import Kind
from vbuild.stage import Phase, Stage, wiring


@dataclass(frozen=True, kw_only=True)
class Dedup(Stage):
    """Drops clips whose vectors, those of the instance in `of`, lie within `eps` of a clip that is kept.

    It never runs and writes no column: all its fields are decisions, and moving them runs no stage that has run.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "dedup"
    writes: ClassVar[Mapping[str, Kind]] = {}
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"": ("",)}

    eps: float = wiring(0.02)
    """Cosine distance up to which two clips are duplicates."""
    reach: float | None = wiring(None)
    """Cosine distance up to which pairs are looked for and stored, so that `eps` can be moved below it; None: `eps`."""
    keep: str = wiring("")
    """SQL order of which clip of several stays, best first: `quality_sharpness desc`; ties by clip_id."""
    rule: Literal["greedy", "dominance"] = wiring("greedy")
    """greedy: a clip goes if a kept clip before it is near. dominance: if any clip before it is."""

    def __post_init__(self) -> None:
        """Refuses distances that no two vectors have."""
        if not 0 <= self.eps < 1:
            raise UsageError(f"eps={self.eps}: a cosine distance from 0 up to, but not, 1 is needed; try 0.02")
        if self.reach is not None and not self.eps <= self.reach < 1:
            raise UsageError(f"reach={self.reach}: must be at least eps={self.eps} and below 1; or leave it out")
