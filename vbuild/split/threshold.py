"""Clips between the fades that PySceneDetect's threshold detector finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from vbuild.errors import UsageError
from vbuild.fields import Kind
from vbuild.split.bounds import WRITES
from vbuild.split.detect import cuts
from vbuild.split.lengths import Lengths, pts_of_times, scenes_between
from vbuild.stage import Clip, Phase, Row, Stage, knob


@dataclass(frozen=True, kw_only=True)
class Threshold(Lengths, Stage):
    """Cuts a video where the picture fades to black, or to white, and back: PySceneDetect's ThresholdDetector.

    Reads what the stage `likeness` found of every frame, so that another threshold or length decodes nothing.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar[Literal["video", "clip"]] = "video"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {
        "probe": ("start_pts", "end_pts", "time_base_num", "time_base_den"),
        "likeness": ("times", "level"),
    }
    writes: ClassVar[Mapping[str, Kind]] = WRITES

    threshold: int = 12
    """Mean level of red, green and blue, 0..255, below which the picture is faded out."""
    method: Literal["floor", "ceiling"] = "floor"
    """`floor`: faded out below the threshold; `ceiling`: from the threshold on, as to white."""
    fade_bias: float = 0.0
    """Where in what is faded out the cut lies: -1 where the picture went, 0 in the middle, 1 where it came back."""
    min_out_length: int = 0
    """Frames; shorter fades are none."""
    add_final_scene: bool = False
    """Whether a fade at the end of the video, from which nothing comes back, is a cut too."""
    min_scene_len: int = 15
    """Frames; a cut that is closer to the one before is none."""
    whole: bool = True
    """Whether a video without a cut is one scene; else it gives no clip."""
    batch: int = knob(64)

    def __post_init__(self) -> None:
        """Refuses levels and places that there are not."""
        super().__post_init__()
        if not 0 <= self.threshold <= 255:
            raise UsageError(f"threshold={self.threshold}: must be a level from 0 to 255")
        if not -1 <= self.fade_bias <= 1:
            raise UsageError(f"fade_bias={self.fade_bias}: must be from -1 to 1")
        if self.min_out_length < 0:
            raise UsageError(f"min_out_length={self.min_out_length}: must be 0 or more frames")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The bounds of each video's clips, in order of time."""
        for clip in clips:
            likeness = clip.columns["likeness"]
            pts, end, base = pts_of_times(clip.columns["probe"], likeness["times"])
            frames = cuts(self.detector(), likeness["level"])
            yield self.bounds(scenes_between(frames, pts, end, whole=self.whole), pts, end, base)

    def detector(self) -> Any:
        """PySceneDetect's detector with these parameters; of a picture it takes the mean, so that a level will do."""
        from scenedetect.detectors import ThresholdDetector

        return ThresholdDetector(
            threshold=self.threshold,
            min_scene_len=self.min_scene_len,
            fade_bias=self.fade_bias,
            add_final_scene=self.add_final_scene,
            method=ThresholdDetector.Method[self.method.upper()],
            min_out_length=self.min_out_length,
        )
