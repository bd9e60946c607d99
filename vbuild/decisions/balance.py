"""How many clips of one kind, or of one source, stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vbuild.decisions.decision import Decision
from vbuild.errors import UsageError
from vbuild.stage import Phase


@dataclass(frozen=True, kw_only=True)
class Balance(Decision):
    """Caps how many clips stay that have one value in a column: of a concept, a source, a label.

    The column may be an instance's (`cluster`, `tags`, `bucket_aspect`), one that every clip has (`uri`, `video_id`),
    one of its video (`codec`), or one of a list of videos. Clips in whose column there is nothing (NULL) are not judged
    and stay; a condition such as `label is not null` drops them. Which clips go follows from the clips that come to it
    and the order of `keep` alone; they have the decision's name in `dropped_by`. Several may stand in a dataset, each
    over what the one before it left.
    """

    phase: ClassVar[Phase] = "balance"

    of: tuple[str, ...] = ("cluster",)
    """The column, or several, whose values are then taken together: [cluster, bucket_aspect]."""
    most: int | None = None
    """Clips of one value that may stay."""
    share: float | None = None
    """The same as a share of all clips that come to it, rounded down, one at least. It is not one of what stays: that
    may be more, where clips of other values are few. With `most`, both hold."""
    keep: str = ""
    """SQL order of which of them stay, best first: `aesthetic desc`; ties by clip_id, which is chance that stays."""

    def __post_init__(self) -> None:
        """Refuses caps that are none."""
        if not self.of:
            raise UsageError("of=[]: name a column, such as cluster or video_id")
        if self.most is not None and self.most < 1:
            raise UsageError(f"most={self.most}: must be 1 or more clips, or null")
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(f"share={self.share}: it is a share, above 0 and up to 1, or null")
