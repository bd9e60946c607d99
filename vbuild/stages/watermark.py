"""Marks that stand still over a scene that moves, such as logos and watermarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Stage, knob

if TYPE_CHECKING:
    import numpy as np

FEW = 5
"""Frames under which much stands still by chance."""

CLOSE = 9
"""Pixels over which strokes are one mark."""

LEAST = 0.0003
"""Share of the picture that the strokes of a mark take at least."""

WIDEST = 0.9
"""Share of a side from which what stands is the edge of a bar."""

RIM = 0.06
"""Share of the shorter side around a mark that has to move, for a thing of the scene stands among others."""

APART = 0.9
"""Share of the detail in that rim that has to move."""

TURNS = 0.25
"""Share of the gradients' energy across their main direction, at least: an edge that is seen to stand may move along
itself, as a horizon does in a pan, and what has edges of all directions may not."""

FILLED = 0.2
"""Share of its box that the strokes of a mark fill, at least."""

SEEN = 0.5
"""Correlation of a frame's gradients with the mark's from which the mark is seen in it."""


@dataclass(frozen=True)
class Mark:
    """Something that stands."""

    box: tuple[int, int, int, int]
    """Left, top, width and height in pixels."""
    strokes: np.ndarray
    """bool (h, w): its edges."""


@dataclass(frozen=True, kw_only=True)
class Watermark(Stage):
    """Marks that stand still while the scene moves: logos, watermarks, standing text; no model, no reading.

    - `area`: share of the picture that the boxes of marks cover; 0 where there is none.
    - `share`: of all frames, the share in which a mark is seen; 0 where there is none.
    - `corner`: of the marks, by the area of their boxes, the share whose middle is in a corner; 0 where there is none.
    - `moving`: of all detail, the share that moves. Where it is less than `least`, as under a fixed camera, a mark
      looks like the scene, and the other three are None. All four are for clips of less than five frames.

    A mark is where gradients are the same in all frames (the length of their mean over their root mean square), in all
    directions, in a box of some size, around which the scene moves. Marks that come, go or move within a clip, or
    through which the scene is seen clearly, are not found, and what stands in a scene that seems to move, by grain, by
    light or by people before it, may be taken for one. Of the 41 clips of real films by which the limits were set 32
    could be told of: in all four that have marks they were found, and in one of the 28 others one was reported.
    `text_overlay` knows text by its look, and needs no scene that moves.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    writes: ClassVar[Mapping[str, Kind]] = dict.fromkeys(("area", "share", "corner", "moving"), Scalar("float32"))
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    fps: float = 2.0
    """Frames a second."""
    short_side: int = 360
    """Pixels to which the shorter side is shrunk."""
    contrast: float = 4.0
    """Levels of 0..255 a pixel, root mean square over frames, from which a change of luma is detail."""
    steady: float = 0.85
    """How alike the gradients of a mark are in all frames, 0..1."""
    least: float = 0.75
    """Share of the detail that must move for marks to be told of."""
    largest: float = 0.15
    """Share of the picture that the box of a mark takes at most."""
    zone: float = 0.2
    """Share of width and of height that a corner takes."""
    batch: int = knob(16)

    def __post_init__(self) -> None:
        """Refuses sizes and rates of nothing, and thresholds that are no shares."""
        for name in ("fps", "short_side", "contrast"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than 0")
        for name in ("steady", "least", "largest", "zone"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name}={getattr(self, name)}: it is a share, from 0 to 1")

    def asks(self) -> Frames:
        """Frames in gray."""
        return Frames(fps=self.fps, short_side=self.short_side, format="gray")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """What stands in each clip."""
        for clip in clips:
            assert clip.frames is not None
            yield self._measures(clip.frames.pixels)

    def _measures(self, frames: np.ndarray) -> Row:
        """The measures of pictures, uint8 (n, h, w)."""
        import numpy as np

        none = dict.fromkeys(self.writes)
        if len(frames) < FEW:
            return none
        mean, size = standing(frames)
        detail = size >= self.contrast
        if not detail.any():
            return none
        still = detail & (np.hypot(*mean) >= self.steady * size)
        moving = 1 - float(still.sum() / detail.sum())
        if moving < self.least:
            return {**none, "moving": moving}
        found = list(marks(mean, detail, still, self.largest))
        areas = [mark.box[2] * mark.box[3] for mark in found]
        cornered = [cornered_at(mark.box, detail.shape, self.zone) for mark in found]
        inside = sum(area for area, corner in zip(areas, cornered, strict=True) if corner)
        return {
            "area": min(1.0, sum(areas) / detail.size),
            "share": seen(frames, mean, found),
            "corner": inside / sum(areas) if areas else 0.0,
            "moving": moving,
        }


def gradients(picture: np.ndarray) -> np.ndarray:
    """The gradients of a gray picture (h, w) to the right and down, in levels a pixel: float32 (2, h, w)."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    soft = cv2.GaussianBlur(np.ascontiguousarray(picture), (0, 0), 1.0)
    return np.stack([cv2.Sobel(soft, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))])


def standing(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the gradients over frames, (2, h, w), and the root mean square of their lengths, (h, w)."""
    import numpy as np

    total = np.zeros((2, *frames.shape[1:]), np.float32)
    squares = np.zeros(frames.shape[1:], np.float32)
    for frame in frames:
        found = gradients(frame)
        total += found
        squares += (found * found).sum(0)
    return total / len(frames), np.sqrt(squares / len(frames))


def marks(mean: np.ndarray, detail: np.ndarray, still: np.ndarray, largest: float) -> Iterator[Mark]:
    """The marks among what stands still, bool (h, w), given the mean gradients and where any detail is."""
    import cv2
    import numpy as np

    height, width = still.shape
    closed = cv2.morphologyEx(still.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((CLOSE, CLOSE), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(closed)
    for label in range(1, count):
        left, top, wide, high, _ = (int(value) for value in boxes[label])
        strokes = still & (labels == label)
        small = strokes.sum() < LEAST * still.size or strokes.sum() < FILLED * wide * high
        large = wide * high > largest * still.size or wide > WIDEST * width or high > WIDEST * height
        if small or large or turns(mean[:, strokes]) < TURNS:
            continue
        rim = round(RIM * min(height, width))
        around = np.zeros_like(still)
        around[max(0, top - rim) : top + high + rim, max(0, left - rim) : left + wide + rim] = True
        around[top : top + high, left : left + wide] = False
        # a flat rim, as of sky, tells nothing against a mark: the scene as a whole moves
        if (still & around).sum() <= (1 - APART) * (detail & around).sum():
            yield Mark((left, top, wide, high), strokes)


def turns(vectors: np.ndarray) -> float:
    """Share of the energy of vectors (2, n) across their main direction: 0 of one direction to 0.5 of all."""
    import numpy as np

    across, along = np.linalg.eigvalsh(vectors.astype(np.float64) @ vectors.T.astype(np.float64))
    return float(max(across, 0.0) / max(across + along, 1e-12))


def cornered_at(box: tuple[int, int, int, int], shape: tuple[int, ...], zone: float) -> bool:
    """Whether the middle of a box is in a corner of a picture (h, w)."""
    left, top, wide, high = box
    middle = (left + wide / 2) / shape[1], (top + high / 2) / shape[0]
    return all(min(place, 1 - place) <= zone for place in middle)


def seen(frames: np.ndarray, mean: np.ndarray, found: Sequence[Mark]) -> float:
    """Share of the frames in which one mark at least is seen."""
    import numpy as np

    count = 0
    for frame in frames if found else ():
        here = gradients(frame)
        for mark in found:
            a, b = here[:, mark.strokes], mean[:, mark.strokes]
            if (a * b).sum() >= SEEN * np.sqrt((a * a).sum() * (b * b).sum()) > 0:
                count += 1
                break
    return count / len(frames)
