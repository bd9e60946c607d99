"""How like each frame of a video is to the one before, and how bright it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, List, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Sink, Stage
from vbuild.stages.changes import shrunk

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Likeness(Stage):
    """Brightness of every frame of a video, and its likeness to the one before by hash and by histogram.

    `times`: seconds of each frame from the video's first. `level`: mean of red, green and blue, 0..255. `hash`: the
    share, 0..1, in which the perceptual hash (of the low frequencies of a cosine transform) differs from that of the
    frame before. `histogram`: the correlation of the histogram of luma with that of the frame before, up to 1. The
    first frame is like the one before: 0 and 1. By PySceneDetect's own functions (https://scenedetect.com/docs), of
    pictures shrunk as it shrinks them, so that the cuts are those that it finds in a run of its own.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar = "video"
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = dict.fromkeys(
        ("times", "level", "hash", "histogram"), List(Scalar("float64"))
    )
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    long_side: int = 256
    """Pixels to which the longer side of the picture is shrunk."""
    size: int = 8
    """Side of the hash, in bits."""
    lowpass: int = 2
    """The hash is of this part of the frequencies: 2 is the lower half."""
    bins: int = 128
    """Bins of the histogram."""

    def __post_init__(self) -> None:
        """Refuses pictures, hashes and histograms of nothing."""
        for name, least in (("long_side", 1), ("size", 2), ("lowpass", 1), ("bins", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"likeness.{name}={getattr(self, name)}: must be {least} or more")
        if self.size * self.lowpass % 2:
            raise UsageError(f"likeness.size={self.size}: size * lowpass must be even, for the cosine transform")

    def asks(self) -> Frames:
        """Every frame."""
        return Frames(every=True)

    def open(self, clip: Clip, model: None) -> Sink:  # noqa: ARG002
        """Compares a video's frames as they come."""
        return Likening(self)


class Likening:
    """Holds the hash and the histogram of one frame, and what was found up to it."""

    def __init__(self, stage: Likeness) -> None:
        self.stage = stage
        self.before: tuple[np.ndarray, np.ndarray] | None = None
        self.measures: list[tuple[float, float, float, float]] = []

    def frame(self, frame: Any, time: float) -> None:
        """One frame, uint8 (h, w, 3) in RGB."""
        import cv2
        import numpy as np
        from scenedetect.detectors import HashDetector, HistogramDetector

        picture = cv2.cvtColor(shrunk(frame, self.stage.long_side), cv2.COLOR_RGB2BGR)
        bits = HashDetector.hash_frame(picture, self.stage.size, self.stage.lowpass)
        histogram = HistogramDetector.calculate_histogram(picture, bins=self.stage.bins)
        differs, alike = 0.0, 1.0
        if self.before is not None:
            differs = np.count_nonzero(bits != self.before[0]) / float(bits.size)
            alike = cv2.compareHist(self.before[1], histogram, cv2.HISTCMP_CORREL)
        self.before = bits, histogram
        self.measures.append((time, float(np.mean(picture)), differs, alike))

    def packet(self, packet: object) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """The whole video."""
        columns = zip(*self.measures, strict=True) if self.measures else ((),) * len(self.stage.writes)
        return dict(zip(self.stage.writes, map(list, columns), strict=True))
