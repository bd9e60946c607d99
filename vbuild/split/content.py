"""Clips between the cuts that PySceneDetect's content detector finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from vbuild.fields import Kind
from vbuild.split.bounds import WRITES
from vbuild.split.detect import cuts, scored, scores
from vbuild.split.lengths import Lengths, pts_of_times, scenes_between
from vbuild.stage import Clip, Phase, Row, Stage, knob


@dataclass(frozen=True, kw_only=True)
class Content(Lengths, Stage):
    """Cuts a video where the picture changes by more than a threshold: PySceneDetect's ContentDetector.

    Reads the changes of the stage `changes`, so that another threshold or length decodes nothing.
    """

    version: ClassVar[int] = 2
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar[Literal["video", "clip"]] = "video"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {
        "probe": ("start_pts", "end_pts", "time_base_num", "time_base_den"),
        "changes": ("times", "hue", "saturation", "luma"),
    }
    writes: ClassVar[Mapping[str, Kind]] = WRITES

    threshold: float = 27.0
    """Mean change of hue, saturation and luma, in levels of 0..255, from which a frame begins a new scene."""
    min_scene_len: int = 15
    """Frames; cuts that are closer are merged."""
    whole: bool = True
    """Whether a video without a cut is one scene; else it gives no clip."""
    batch: int = knob(64)

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The bounds of each video's clips, in order of time."""
        for clip in clips:
            changes = clip.columns["changes"]
            pts, end, base = pts_of_times(clip.columns["probe"], changes["times"])
            frames = cuts(scored(self.detector()), scores(changes))
            yield self.bounds(scenes_between(frames, pts, end, whole=self.whole), pts, end, base)

    def detector(self) -> Any:
        """PySceneDetect's detector with these parameters."""
        from scenedetect.detectors import ContentDetector

        return ContentDetector(threshold=self.threshold, min_scene_len=self.min_scene_len)
