"""How a clip looks, by plain measures of its pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Stage, knob

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Quality(Stage):
    """Sharpness, brightness, contrast, colour, black, freeze and bars; each None where there is nothing to measure.

    - `sharpness`: variance of the Laplacian of luma, in squared levels of 0..255, mean over frames; under about 50 is
      soft, over 500 crisp at a short side of 256.
    - `brightness`, `contrast`: mean and standard deviation of luma (Rec. 601) in 0..1, mean over frames.
    - `colorfulness`: Hasler and Süsstrunk, Measuring colourfulness in natural images, 2003, of channels in 0..1, mean
      over frames: 0 is gray, 0.06 slightly, 0.23 quite, 0.43 extremely colourful.
    - `black`: share of frames that are black.
    - `freeze`: share of adjacent frames between which nothing changes.
    - `letterbox`, `pillarbox`: share of the height that bars above and below take, and of the width at left and right.
      None for a clip that is all black.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    writes: ClassVar[Mapping[str, Kind]] = dict.fromkeys(
        (
            "sharpness",
            "brightness",
            "contrast",
            "colorfulness",
            "black",
            "freeze",
            "letterbox",
            "pillarbox",
        ),
        Scalar("float32"),
    )
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    fps: float = 2.0
    """Pairs of adjacent frames a second."""
    short_side: int = 256
    """Pixels to which the shorter side is shrunk."""
    black_level: float = 0.1
    """Luma, 0..1, up to which a pixel is black."""
    bar_level: float = 0.04
    """Luma, 0..1, up to which a pixel may belong to a bar; below `black_level`, for night is not a bar."""
    black_share: float = 0.98
    """Share of such pixels from which a frame is black, and a line, over all frames that are not, is one of a bar."""
    freeze_level: float = 0.001
    """Mean change of the channels, 0..1, up to which nothing changes."""
    batch: int = knob(32)

    def __post_init__(self) -> None:
        """Refuses sizes and rates of nothing, and thresholds that are no shares."""
        for name in ("fps", "short_side"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than 0")
        for name in ("black_level", "bar_level", "black_share", "freeze_level"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name}={getattr(self, name)}: it is a share, from 0 to 1")

    def asks(self) -> Frames:
        """Pairs of adjacent frames."""
        return Frames(fps=self.fps, short_side=self.short_side, pairs=True)

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The measures of each clip."""
        for clip in clips:
            assert clip.frames is not None
            pairs = clip.frames.pixels
            yield self._measures(pairs) if len(pairs) else dict.fromkeys(self.writes)

    def _measures(self, pairs: np.ndarray) -> Row:
        """All measures of pairs of pictures, uint8 (n, 2, h, w, 3)."""
        import cv2
        import numpy as np

        cv2.setNumThreads(1)
        frames = pairs[:, 0]
        luma = np.stack([cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames])
        black = (luma <= self.black_level * 255).mean((1, 2)) >= self.black_share
        dark = luma[~black] <= self.bar_level * 255
        change = np.array([cv2.absdiff(*map(np.ascontiguousarray, pair)).mean() for pair in pairs]) / 255
        return {
            "sharpness": float(np.mean([cv2.Laplacian(frame, cv2.CV_32F).var() for frame in luma])),
            "brightness": float(luma.mean() / 255),
            "contrast": float(luma.std((1, 2)).mean() / 255),
            "colorfulness": float(np.mean([colorfulness(frame) for frame in frames])),
            "black": float(black.mean()),
            "freeze": float((change <= self.freeze_level).mean()),
            "letterbox": bars(dark.mean((0, 2)) >= self.black_share) if len(dark) else None,
            "pillarbox": bars(dark.mean((0, 1)) >= self.black_share) if len(dark) else None,
        }


def colorfulness(frame: np.ndarray) -> float:
    """Colourfulness of one picture, uint8 (h, w, 3), with channels in 0..1 (Hasler and Süsstrunk 2003, metric 3)."""
    import numpy as np

    red, green, blue = np.moveaxis(frame.astype(np.float64) / 255, -1, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread, offset = opponents.std((1, 2)), opponents.mean((1, 2))
    return float(np.hypot(*spread) + 0.3 * np.hypot(*offset))


def bars(black: np.ndarray) -> float:
    """Share of the lines, bool (n,), that are black at either end; 0 if all are, for then none is a bar."""
    import numpy as np

    lit = np.flatnonzero(~black)
    return 1.0 - float(lit[-1] - lit[0] + 1) / len(black) if len(lit) else 0.0
