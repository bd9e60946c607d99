"""How much text lies over a clip, by where a detector sees text in its frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import PASSES
from vbuild.models import ppocr
from vbuild.stage import Clip, Frames, Phase, Row, Sampled, Send, Sink, Stage, knob

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class TextOverlay(Stage):
    """Text that stands still, text in corners, and how much text there is; all None for a clip without a frame.

    - `track`: seconds from the first to the last sight of the text that stands in one place longest; 0 if none is seen
      twice. A caption or a logo stands still while the scene moves; so does a sign before a fixed camera.
    - `inner_track`: the same without text in the corners, where the logos are.
    - `corner`: of the frames with text, the share with text in a corner.
    - `share`: of all frames, the share with text.
    - `area`: share of the picture that text covers, mean over all frames.

    Text is what PP-OCR's detector finds; nothing is read. Two sights are of one text if their upright boxes overlap
    (intersection over union); each text goes on with the box that overlaps it most.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    sink: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = dict.fromkeys(
        ("track", "inner_track", "corner", "share", "area"), Scalar("float32")
    )
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "ppocr": ppocr.VERSION}

    fps: float = 2.0
    """Frames a second."""
    long_side: int = 640
    """Pixels to which the longer side is shrunk."""
    threshold: float = 0.4
    """Probability from which a pixel is text."""
    box_threshold: float = 0.7
    """Mean probability within a box from which it is text."""
    overlap: float = 0.9
    """Intersection over union from which a box is at the place of one before."""
    gap: int = 5
    """Sampled frames after which a text that was not seen again has ended."""
    zone: float = 0.1
    """Share of width and of height that a corner takes; a text is in it if its middle is."""
    device: str = knob("auto")
    """`cuda` or `cpu`; `auto`: a GPU where onnxruntime can use one."""

    def __post_init__(self) -> None:
        """Refuses sizes and rates of nothing, and thresholds that are no shares."""
        for name in ("fps", "long_side", "gap"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than 0")
        for name in ("threshold", "box_threshold", "overlap", "zone"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name}={getattr(self, name)}: it is a share, from 0 to 1")

    def asks(self) -> Frames:
        """Frames of the detector's size."""
        return Frames(fps=self.fps, long_side=self.long_side)

    def models(self) -> Mapping[str, str]:
        """The detector's weights, by their digest. Raises UsageError if they are not installed."""
        return {"detector": ppocr.identity()}

    def load(self) -> ppocr.Detector:
        """The detector."""
        return ppocr.Detector(
            long_side=self.long_side, threshold=self.threshold, box_threshold=self.box_threshold, device=self.device
        )

    def open(self, clip: Clip, model: Send) -> Sink:  # noqa: ARG002
        """Hands a clip's frames over, one by one."""
        return Handing(model)

    def run(self, clips: Sequence[Clip], model: ppocr.Detector) -> Iterable[Row]:
        """Of each frame the boxes of its texts, float32 (n, 4) of left, top, right, bottom in 0..1, and their area."""
        return [texts_of(model, clip.frames.pixels[0]) for clip in clips if clip.frames is not None]

    def join(self, left: Row, parts: Sequence[Row]) -> Row:
        """The whole clip's measures."""
        times = left["times"]
        if not times:
            return dict.fromkeys(self.writes)
        sights = [part["boxes"] for part in parts]
        # half a step more, for the frame nearest to a moment may lie beside it
        gap = (self.gap + 0.5) / self.fps
        cornered = [in_corner(boxes, self.zone) for boxes in sights]
        inner = [boxes[~corner] for boxes, corner in zip(sights, cornered, strict=True)]
        texts = sum(len(boxes) > 0 for boxes in sights)
        return {
            "track": longest(times, sights, self.overlap, gap),
            "inner_track": longest(times, inner, self.overlap, gap),
            "corner": sum(bool(corner.any()) for corner in cornered) / texts if texts else 0.0,
            "share": texts / len(times),
            "area": sum(part["area"] for part in parts) / len(times),
        }


class Handing:
    """Hands frames over."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.times: list[float] = []

    def frame(self, frame: Any, time: float) -> None:
        """One frame, uint8 (h, w, 3) in RGB."""
        import numpy as np

        self.times.append(time)
        self.send(Sampled(frame[None], np.array([time])))

    def packet(self, packet: object) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """When each was."""
        return {"times": self.times}


def texts_of(detector: ppocr.Detector, frame: np.ndarray) -> Row:
    """The texts of a frame, uint8 (h, w, 3) in RGB."""
    import cv2
    import numpy as np

    height, width = frame.shape[:2]
    corners = detector.boxes(frame)
    covered = np.zeros((height, width), np.uint8)
    for box in corners:
        cv2.fillConvexPoly(covered, box.astype(np.int32), 1)
    corners = corners / (width, height)
    return {"boxes": np.concatenate([corners.min(1), corners.max(1)], axis=1), "area": float(covered.mean())}


def in_corner(boxes: np.ndarray, zone: float) -> np.ndarray:
    """Which boxes, float (n, 4) of left, top, right, bottom in 0..1, have their middle in a corner: bool (n,)."""
    import numpy as np

    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside: np.ndarray = np.all(np.minimum(middles, 1 - middles) <= zone, axis=1)
    return inside


def longest(times: Sequence[float], sights: Sequence[np.ndarray], overlap: float, gap: float) -> float:
    """Seconds from first to last sight of the text that is seen longest in one place; 0 if none is seen twice.

    `sights`: boxes of each time, float (n, 4) of left, top, right, bottom. A text goes on with the box that overlaps
    its last by `overlap` or more, the best pairs first, if that comes within `gap` seconds.
    """
    import numpy as np

    tracks: list[tuple[float, float, np.ndarray]] = []
    """First and last time, and last box, of the texts that may go on."""
    most = 0.0
    for time, boxes in zip(times, sights, strict=True):
        tracks = [track for track in tracks if time - track[1] <= gap]
        shared = overlaps(np.array([box for *_, box in tracks]).reshape(-1, 4), boxes)
        began = [time] * len(boxes)
        for place in np.argsort(-shared, axis=None, kind="stable"):
            track, box = np.unravel_index(place, shared.shape)
            if shared[track, box] < overlap:
                break
            if began[box] == time and tracks[track][1] < time:
                began[box] = tracks[track][0]
                tracks[track] = (began[box], time, boxes[box])
        tracks += [(time, time, box) for box, start in zip(boxes, began, strict=True) if start == time]
        most = max([most, *(time - start for start in began)])
    return most


def overlaps(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of each of n boxes (n, 4) with each of m (m, 4): float (n, m)."""
    import numpy as np

    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    common = (high - low).clip(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (some, others)]
    union = areas[0][:, None] + areas[1][None, :] - common
    share: np.ndarray = common / np.maximum(union, np.finfo(float).tiny)
    return share
