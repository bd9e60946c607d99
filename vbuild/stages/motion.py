"""How much moves in a clip, by dense optical flow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.errors import UsageError
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Stage, knob

if TYPE_CHECKING:
    import numpy as np

SMALLEST = 32
"""Pixels a side below which a picture is enlarged: the flow's pyramid has no room in it."""


@dataclass(frozen=True, kw_only=True)
class Motion(Stage):
    """How much moves: mean and least optical flow of adjacent frames, as a share of the frame's height + width.

    `mean`: over all pixels and pairs. `min_patch`: over the patch of the picture that moves least; near 0 where part of
    the picture stands still, as under a fixed camera. Both None for a clip without two adjacent frames.

    Flow: Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016, as OpenCV has it. The preset FAST
    costs half a millisecond a pair more than ULTRAFAST, and its refinement reads a fifth less motion into the noise of
    a still shot.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    writes: ClassVar[Mapping[str, str]] = {"mean": "float32", "min_patch": "float32"}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    fps: float = 2.0
    """Pairs a second."""
    short_side: int = 256
    """Pixels to which the shorter side is shrunk."""
    patch: int = 64
    """Side of a patch in pixels of the shrunk picture, which is parted evenly into patches of about this side."""
    batch: int = knob(64)

    def __post_init__(self) -> None:
        """Refuses sizes and rates of nothing."""
        for name in ("fps", "short_side", "patch"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than 0")

    def asks(self) -> Frames:
        """Pairs of adjacent frames in gray."""
        return Frames(fps=self.fps, short_side=self.short_side, pairs=True, format="gray")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """Mean and least motion of each clip."""
        import cv2

        cv2.setNumThreads(1)
        for clip in clips:
            assert clip.frames is not None
            pairs = clip.frames.pixels
            if not len(pairs):
                yield {"mean": None, "min_patch": None}
                continue
            # one for each clip: on tiny pictures a flow changes its own scales for good
            flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
            total = magnitude(pairs[0, 0], pairs[0, 1], flow)
            for before, after in pairs[1:]:
                total += magnitude(before, after, flow)
            moved = total / len(pairs)
            yield {"mean": float(moved.mean()), "min_patch": least(moved, self.patch)}


def magnitude(before: np.ndarray, after: np.ndarray, flow: Any) -> np.ndarray:
    """How far each pixel moves between two gray pictures (h, w), as a share of h + w: float32 (h', w').

    h', w' are h, w, but at least `SMALLEST`.
    """
    import cv2
    import numpy as np

    height, width = (max(side, SMALLEST) for side in before.shape)
    before, after = (cv2.resize(np.ascontiguousarray(p), (width, height)) for p in (before, after))
    moved = flow.calc(before, after, None)
    share: np.ndarray = cv2.magnitude(moved[..., 0], moved[..., 1]) / (height + width)
    return share


def least(values: np.ndarray, side: int) -> float:
    """The least mean of the patches, about `side` pixels a side, into which an (h, w) picture is evenly parted."""
    import cv2

    rows, columns = (max(1, round(length / side)) for length in values.shape)
    return float(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA).min())
