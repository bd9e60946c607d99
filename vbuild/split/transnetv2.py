"""Clips of the shots that TransNetV2 finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, Literal

from vbuild.errors import UsageError
from vbuild.fields import Kind
from vbuild.split.bounds import WRITES
from vbuild.split.lengths import Lengths, pts_of_times
from vbuild.stage import Clip, Phase, Row, Stage, knob


@dataclass(frozen=True, kw_only=True)
class TransNetV2(Lengths, Stage):
    """Cuts a video where TransNetV2 sees a transition: hard cuts, dissolves and fades.

    Reads the network's probabilities of the stage `shots`, so that another threshold or length runs no network. A
    frame whose probability is above the threshold is part of a transition and of no scene; a scene is what lies
    between. Rules and their order are those of NeMo Curator, in seconds by presentation times.

    Soucek and Lokoc, TransNet V2: an effective deep network architecture for fast shot transition detection, 2020.
    """

    version: ClassVar[int] = 2
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar[Literal["video", "clip"]] = "video"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {
        "probe": ("start_pts", "end_pts", "time_base_num", "time_base_den"),
        "shots": ("times", "probability"),
    }
    writes: ClassVar[Mapping[str, Kind]] = WRITES

    threshold: float = 0.4
    """Probability above which a frame is part of a transition."""
    whole: bool = True
    """Whether a video without a transition is one scene; else it gives no clip."""
    batch: int = knob(64)

    def __post_init__(self) -> None:
        """Refuses a threshold that is no probability."""
        super().__post_init__()
        if not 0 < self.threshold < 1:
            raise UsageError(f"threshold={self.threshold}: must be between 0 and 1")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The bounds of each video's clips, in order of time."""
        for clip in clips:
            shots = clip.columns["shots"]
            pts, end, base = pts_of_times(clip.columns["probe"], shots["times"])
            flags = [float(p) > self.threshold for p in shots["probability"]]
            bounds = [*pts, end]
            scenes = [(bounds[first], bounds[last]) for first, last in quiet(flags)]
            if not any(flags) and not self.whole:
                scenes = []
            elif all(flags) and self.whole and pts:
                scenes = [(pts[0], end)]
            yield self.bounds(scenes, pts, end, base)


def quiet(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """The runs of frames that are not flagged: index of the first, and behind the last."""
    place = 0
    for flag, run in groupby(flags):
        first, place = place, place + len(list(run))
        if not flag:
            yield first, place
