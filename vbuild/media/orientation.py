"""How footage is turned for show: by the display matrix that a file or a frame bears."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from av.sidedata.sidedata import SideDataContainer

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vbuild.media.graphs import FilterStep

SLACK = 0.01
"""Share by which a matrix may be off a turn by right angles."""

TURNS: dict[int, list[FilterStep]] = {
    0: [],
    1: [("transpose", "cclock")],
    2: [("hflip", None), ("vflip", None)],
    3: [("transpose", "clock")],
}
"""Quarter turns counter-clockwise, as filters."""


@dataclass(frozen=True)
class Orientation:
    """What is done to a picture before it is shown: it is mirrored, left to right, and then turned."""

    turns: int = 0
    """Quarters, counter-clockwise."""
    mirrored: bool = False
    odd: bool = False
    """Whether there is a matrix that is no such thing; it is not followed."""

    @property
    def steps(self) -> list[FilterStep]:
        """As filters. Fields that are not lines any more, or in another order, are named no longer."""
        mirror: list[FilterStep] = [("hflip", None)] if self.mirrored else []
        return [*mirror, *TURNS[self.turns], *([("setfield", "prog")] if self.turns else [])]

    def turned(self, picture: np.ndarray) -> np.ndarray:
        """An array (h, w, …), turned."""
        mirrored = picture[:, ::-1] if self.mirrored else picture
        return np.rot90(mirrored, self.turns) if self.turns else mirrored


UPRIGHT = Orientation()


def orientation(frame: VideoFrame) -> Orientation:
    """The orientation that a frame bears (ISO/IEC 14496-12, 6.2.2: x' = ax + cy, y' = bx + dy)."""
    # not frame.side_data: a circle, in which frames would wait for the garbage collector
    beside: Any = SideDataContainer(frame)  # type: ignore[call-arg]
    matrix = beside.get("DISPLAYMATRIX") if len(beside) else None
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    straight, across = (abs(a), abs(d)), (abs(b), abs(c))
    if not min(max(straight, across)) * SLACK >= max(min(straight, across)) or not any(straight + across):
        return Orientation(odd=True)
    mirrored = a * d - b * c < 0
    x, y = (-a, -b) if mirrored else (a, b)
    clockwise = (0 if x > 0 else 2) if abs(x) > abs(y) else (1 if y > 0 else 3)
    return Orientation(-clockwise % 4, mirrored)


def stretch_of(stream: VideoStream) -> Fraction | None:
    """What the width of a stream's pictures is multiplied by, that their pixels are square; None where they are.

    A sample aspect within 1 % of square is rounding by whoever made the file.
    """
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return aspect if aspect and abs(aspect - 1) > Fraction(1, 100) else None


def shown_size(frame: VideoFrame, stretch: Fraction | None, turn: Orientation) -> tuple[int, int]:
    """Width and height of a frame as it is shown: with square pixels, turned upright."""
    width = frame.width if stretch is None else max(1, round(frame.width * stretch))
    return (frame.height, width) if turn.turns % 2 else (width, frame.height)
