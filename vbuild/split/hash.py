"""Clips between the cuts that PySceneDetect's hash detector finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from vbuild.errors import UsageError
from vbuild.fields import Kind
from vbuild.split.bounds import WRITES
from vbuild.split.detect import spaced
from vbuild.split.lengths import Lengths, pts_of_times, scenes_between
from vbuild.stage import Clip, Phase, Row, Stage, knob


@dataclass(frozen=True, kw_only=True)
class Hash(Lengths, Stage):
    """Cuts a video where the perceptual hash of pictures changes by a threshold or more: PySceneDetect's HashDetector.

    Reads what the stage `likeness` found of every frame, so that another threshold or length decodes nothing.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar[Literal["video", "clip"]] = "video"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {
        "probe": ("start_pts", "end_pts", "time_base_num", "time_base_den"),
        "likeness": ("times", "hash"),
    }
    writes: ClassVar[Mapping[str, Kind]] = WRITES

    threshold: float = 0.35
    """Share of the bits of the hash, 0..1, from whose change on a frame begins a new scene."""
    min_scene_len: int = 15
    """Frames; a cut that is closer to the one before is none."""
    whole: bool = True
    """Whether a video without a cut is one scene; else it gives no clip."""
    batch: int = knob(64)

    def __post_init__(self) -> None:
        """Refuses a threshold that is no share."""
        super().__post_init__()
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"threshold={self.threshold}: must be from 0 to 1")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The bounds of each video's clips, in order of time."""
        for clip in clips:
            likeness = clip.columns["likeness"]
            pts, end, base = pts_of_times(clip.columns["probe"], likeness["times"])
            frames = spaced(
                (n for n, x in enumerate(likeness["hash"]) if n and x >= self.threshold), self.min_scene_len
            )
            yield self.bounds(scenes_between(frames, pts, end, whole=self.whole), pts, end, base)
