"""How much each frame of a video differs from the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, List, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Sink, Stage

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Changes(Stage):
    """Change of hue, saturation and luma of every frame of a video against the one before; what splitters read.

    `times`: seconds of each frame from the video's first. `hue`, `saturation`, `luma`: mean absolute difference of the
    channels of HSV as OpenCV has them in 8 bits (hue in 0..180, else 0..255), 0 for the first frame. These are the
    parts of the frame score of PySceneDetect (https://scenedetect.com/docs), of pictures shrunk as it shrinks
    them, so that its detectors find the cuts that they find in a run of their own.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar = "video"
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = dict.fromkeys(
        ("times", "hue", "saturation", "luma"), List(Scalar("float64"))
    )
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    long_side: int = 256
    """Pixels to which the longer side of the picture is shrunk."""

    def __post_init__(self) -> None:
        """Refuses a picture of nothing."""
        if self.long_side < 1:
            raise UsageError(f"changes.long_side={self.long_side}: must be 1 or more pixels")

    def asks(self) -> Frames:
        """Every frame."""
        return Frames(every=True)

    def open(self, clip: Clip, model: None) -> Sink:  # noqa: ARG002
        """Compares a video's frames as they come."""
        return Changing(self.long_side)


class Changing:
    """Holds one small frame, and what changed up to it."""

    def __init__(self, long_side: int) -> None:
        self.long_side = long_side
        self.before: np.ndarray | None = None
        self.times: list[float] = []
        self.parts: list[tuple[float, float, float]] = []

    def frame(self, frame: Any, time: float) -> None:
        """One frame, uint8 (h, w, 3) in RGB; a frame of another size than the one before has no change."""
        import cv2

        hsv = cv2.cvtColor(shrunk(frame, self.long_side), cv2.COLOR_RGB2HSV)
        changed = (0.0, 0.0, 0.0)
        if self.before is not None and self.before.shape == hsv.shape:
            hue, saturation, luma, _ = cv2.sumElems(cv2.absdiff(hsv, self.before))
            pixels = float(hsv.shape[0] * hsv.shape[1])
            changed = (hue / pixels, saturation / pixels, luma / pixels)
        self.before = hsv
        self.times.append(time)
        self.parts.append(changed)

    def packet(self, packet: object) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """The whole video's changes."""
        hue, saturation, luma = zip(*self.parts, strict=True) if self.parts else ((), (), ())
        return {"times": self.times, "hue": list(hue), "saturation": list(saturation), "luma": list(luma)}


def shrunk(frame: Any, long_side: int) -> Any:
    """A picture whose longer side is so many pixels at most, as PySceneDetect shrinks those that it compares."""
    import cv2

    height, width = frame.shape[:2]
    factor = max(height, width) / long_side
    if factor <= 1:
        return frame
    return cv2.resize(
        frame, (max(1, round(width / factor)), max(1, round(height / factor))), None, 0, 0, cv2.INTER_LINEAR
    )
