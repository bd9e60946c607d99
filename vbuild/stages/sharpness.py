"""How sharp a clip is by published scales, at the source's own size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Stage


@dataclass(frozen=True, kw_only=True)
class Sharpness(Stage):
    """How sharp a clip is, as papers measure it: at the source's own size; each None for a clip without a frame.

    - `laplacian`: variance of the Laplacian of luma (Pech-Pacheco et al., Diatom autofocusing in brightfield
      microscopy, 2000; kernel 0 1 0, 1 -4 1, 0 1 0), in squared levels of 0..255, mean over frames. Thresholds of
      papers, such as 200 to 2000, are of this.
    - `laplacian_min`: of the frame that is least sharp, so that a clip which blurs for a while can be told.
    - `tenengrad`: mean square of the gradient by Sobel (3 x 3), in squared levels, mean over frames; noise is less
      of it than of the Laplacian.

    They grow with detail, contrast and noise, and fall as footage is enlarged: compare footage of one size. `quality`
    has the first at one small size, where footage of all sizes can be compared.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = dict.fromkeys(("laplacian", "laplacian_min", "tenengrad"), Scalar("float32"))
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    fps: float = 1.0
    """Frames a second."""

    def __post_init__(self) -> None:
        """Refuses a rate of nothing."""
        if not self.fps > 0:
            raise UsageError(f"fps={self.fps}: must be more than 0")

    def asks(self) -> Frames:
        """Luma at the source's size."""
        return Frames(fps=self.fps, format="gray")

    def open(self, clip: Clip, model: None) -> Measuring:  # noqa: ARG002
        """Measures one clip."""
        return Measuring()


class Measuring:
    """A clip while its frames are measured; none is held."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []

    def frame(self, frame: Any, time: float) -> None:  # noqa: ARG002
        """One frame, uint8 (h, w)."""
        import cv2

        cv2.setNumThreads(1)
        # 16 bits hold both exactly, and cost half of what floats do
        laplacian = cv2.Laplacian(frame, cv2.CV_16S)
        _, deviation = cv2.meanStdDev(laplacian)
        across, down = (cv2.Sobel(frame, cv2.CV_16S, *order) for order in ((1, 0), (0, 1)))
        gradient = (cv2.norm(across, cv2.NORM_L2) ** 2 + cv2.norm(down, cv2.NORM_L2) ** 2) / frame.size
        self.found.append((float(deviation[0, 0]) ** 2, gradient))

    def packet(self, packet: object) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """The clip's measures."""
        if not self.found:
            return dict.fromkeys(Sharpness.writes)
        laplacians, gradients = zip(*self.found, strict=True)
        count = len(self.found)
        return {
            "laplacian": sum(laplacians) / count,
            "laplacian_min": min(laplacians),
            "tenengrad": sum(gradients) / count,
        }
