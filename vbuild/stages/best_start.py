"""Where near its start a clip is sharpest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Stage


@dataclass(frozen=True, kw_only=True)
class BestStart(Stage):
    """Seconds from a clip's start to the sharpest frame near it; None for a clip without a frame.

    Generators of video that start from a picture are trained on clips whose first frame is sharp. It is a column and
    no more: a clip stays the span that it is, so that captions, vectors and files of it go together. Whoever loads a
    clip begins there.

    - the column itself: seconds from the clip's start; of frames as sharp the earliest.
    - `gain`: how much sharper that frame is than the first, 1 for as sharp: the quotient of their variances of the
      Laplacian, of luma at a short side of `short_side`; None where the first is flat.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {"": Scalar("float64"), "gain": Scalar("float32")}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    within: float = 1.0
    """Seconds from the clip's start in which it is looked for."""
    fps: float = 12.0
    """Frames a second that are compared."""
    short_side: int = 360
    """Pixels to which the shorter side is shrunk."""

    def __post_init__(self) -> None:
        """Refuses sizes, rates and times of nothing."""
        for name in ("within", "fps", "short_side"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than 0")

    def asks(self) -> Frames:
        """Frames in gray."""
        return Frames(fps=self.fps, short_side=self.short_side, format="gray")

    def open(self, clip: Clip, model: None) -> Looking:  # noqa: ARG002
        """Looks for one clip's best start."""
        return Looking(self.within)


class Looking:
    """A clip while its start is looked at; no frame is held."""

    def __init__(self, within: float) -> None:
        self.within = within
        self.found: list[tuple[float, float]] = []
        """Times and how sharp they are."""

    def frame(self, frame: Any, time: float) -> None:
        """One frame, uint8 (h, w)."""
        import cv2

        if self.found and time > self.within:
            return
        cv2.setNumThreads(1)
        _, deviation = cv2.meanStdDev(cv2.Laplacian(frame, cv2.CV_16S))
        self.found.append((time, float(deviation[0, 0]) ** 2))

    def packet(self, packet: object) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """The sharpest frame's time, and how it compares with the first."""
        if not self.found:
            return dict.fromkeys(BestStart.writes)
        time, best = max(self.found, key=lambda found: found[1])
        first = self.found[0][1]
        return {"": time, "gain": best / first if first else None}
