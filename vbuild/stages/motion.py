"""How much moves in a clip, by dense optical flow or by the codec's own motion vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import CELL, Clip, Frames, Moved, Phase, Row, Sampled, Stage, Vectors, knob

if TYPE_CHECKING:
    import numpy as np

SMALLEST = 32
"""Pixels a side below which a picture is enlarged: the flow's pyramid has no room in it."""

TOP = 0.05
"""Share of the pixels that are the fastest, as in VBench's dynamic degree (Huang et al., CVPR 2024)."""

REFERENCE = 256
"""Pixels of the shorter side of the picture whose speeds are told."""

VECTOR_PATCH = 256
"""Side of a patch of a picture at its own size, in pixels; and the shorter side from which NeMo Curator measures."""


@dataclass(frozen=True, kw_only=True)
class Motion(Stage):
    """How much moves from frame to frame, as a share of the frame's height + width.

    `mean`: over all pixels and frames. `min_patch`: over the patch of the picture that moves least; near 0 where part
    of the picture stands still, as under a fixed camera. `top`: over the twentieth of the pixels that moves most, of
    each pair: people in a wide shot move it, and hardly the mean. Where there is nothing to measure all are None, and
    `reason` says why.

    `speed` and `top_speed`: mean and `top` in pixels a second of a picture whose shorter side has 256, whatever the
    rate and the size of the footage: all that moved in the pairs over the time between their frames. By flow only, for
    nobody knows how much time a vector spans. The measure of VBench, which takes a clip for moving where the twentieth
    goes 48 pixels a second in a quarter of the pairs (6 in 1/8 s, by RAFT). A score in pixels between frames that are
    half a second apart, such as Data-Juicer's, is about half of `speed`, times the shorter side over 256.

    `by: flow`: Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016, as OpenCV has it. The preset
    FAST costs half a millisecond a pair more than ULTRAFAST, and its refinement reads a fifth less motion into the
    noise of a still shot.

    `by: vectors`: NeMo Curator's formula over the vectors by which the codec predicted blocks of the picture from other
    frames, at the picture's own size; what was not predicted counts as still. The frame predicted from may lie some
    frames away, so values are higher than by flow and depend on the encoder. h264 and the MPEG codecs give vectors;
    hevc, vp8, vp9, av1 and codecs without prediction give none. NeMo Curator drops a clip of which `mean` < 0.00098 or
    `min_patch` < 0.000001.

    `parity: true`: the score that NeMo Curator would give, with its defects: frames from half of the clip, none of
    pictures with a side under 256 pixels, and for `min_patch` the least of single points 256 pixels apart.
    """

    version: ClassVar[int] = 2
    phase: ClassVar[Phase] = "measure"
    writes: ClassVar[Mapping[str, Kind]] = {
        "mean": Scalar("float32"),
        "min_patch": Scalar("float32"),
        "top": Scalar("float32"),
        "speed": Scalar("float32"),
        "top_speed": Scalar("float32"),
        "reason": Scalar("string"),
    }
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    by: Literal["flow", "vectors"] = "flow"
    fps: float = 2.0
    """Pairs, or frames with vectors, a second."""
    short_side: int = 256
    """Pixels to which the shorter side is shrunk for flow."""
    patch: int = 64
    """Side of a patch in pixels of the shrunk picture, which is parted evenly into patches of about this side. By
    vectors a patch is 256 pixels of the picture itself."""
    parity: bool = False
    """Whether vectors are scored just as NeMo Curator does."""
    batch: int = knob(64)

    def __post_init__(self) -> None:
        """Refuses sizes and rates of nothing, and what the way of measuring does not know."""
        for name in ("fps", "short_side", "patch"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than 0")
        if self.parity and self.by != "vectors":
            raise UsageError(f"parity=true: NeMo Curator's score is by vectors, not by {self.by}; add by=vectors")
        for name in ("short_side", "patch") if self.by == "vectors" else ():
            if getattr(self, name) != getattr(Motion, name):
                raise UsageError(
                    f"{name}={getattr(self, name)}: it is flow's, and vectors have no use of it; leave it out"
                )

    def asks(self) -> Frames | Vectors:
        """Pairs of adjacent frames in gray, or motion vectors."""
        if self.by == "vectors":
            return Vectors(fps=self.fps, parity=self.parity)
        return Frames(fps=self.fps, short_side=self.short_side, pairs=True, format="gray")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """Mean, least and most motion of each clip."""
        for clip in clips:
            if self.by == "vectors":
                assert clip.vectors is not None
                yield self._by_vectors(clip.vectors)
            else:
                assert clip.frames is not None
                yield self._by_flow(clip.frames)

    def _by_flow(self, frames: Sampled) -> Row:
        import cv2

        cv2.setNumThreads(1)
        pairs = frames.pixels
        if not len(pairs):
            return _nothing("no two frames in a row")
        # one for each clip: on tiny pictures a flow changes its own scales for good
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        total = magnitude(pairs[0, 0], pairs[0, 1], flow)
        tops = [fastest(total)]
        for before, after in pairs[1:]:
            share = magnitude(before, after, flow)
            tops.append(fastest(share))
            total += share
        moved, top = total / len(pairs), sum(tops) / len(tops)
        mean = float(moved.mean())
        # by all the time between, for damaged times may put two frames next to nothing apart
        pace = 0.0 if frames.steps is None else len(pairs) * pixels_of(moved) / float(frames.steps.sum())
        return {
            "mean": mean,
            "min_patch": least(moved, self.patch),
            "top": top,
            "speed": mean * pace if pace else None,
            "top_speed": top * pace if pace else None,
            "reason": None,
        }

    def _by_vectors(self, moved: Moved) -> Row:
        if self.parity and min(moved.width, moved.height) < VECTOR_PATCH:
            return _nothing(f"a side of the picture is under {VECTOR_PATCH} pixels")
        if moved.seen < 2:
            return _nothing("no two frames in a row")
        if moved.cells is None:
            none = "no frame that it looks at has" if self.parity else "the codec gave no"
            return _nothing(f"{none} motion vectors ({moved.codec})")
        pixels = moved.cells.repeat(CELL, 0).repeat(CELL, 1)[: moved.height, : moved.width]
        share = pixels / (moved.width + moved.height)
        smallest = least_point(share, VECTOR_PATCH) if self.parity else least(share, VECTOR_PATCH)
        return {**_nothing(None), "mean": float(share.mean()), "min_patch": smallest, "top": fastest(share)}


def _nothing(why: str | None) -> Row:
    return {"mean": None, "min_patch": None, "top": None, "speed": None, "top_speed": None, "reason": why}


def fastest(values: np.ndarray) -> float:
    """The mean of the greatest `TOP` of the values of a picture (h, w)."""
    import numpy as np

    count = max(1, round(values.size * TOP))
    return float(np.partition(values, values.size - count, axis=None)[-count:].mean())


def pixels_of(picture: np.ndarray) -> float:
    """How many pixels the height + width of a picture (h, w) are where its shorter side has `REFERENCE`."""
    height, width = picture.shape
    return float(REFERENCE * (height + width) / min(height, width))


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


def least_point(values: np.ndarray, side: int) -> float:
    """The least of single points `side` pixels apart, each read between the four pixels around it.

    NeMo Curator's "patch minimum": it means to average patches, and shrinks without averaging.
    """
    import cv2

    return float(cv2.resize(values, None, fx=1 / side, fy=1 / side, interpolation=cv2.INTER_LINEAR).min())
