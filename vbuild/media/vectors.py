"""How far the blocks of a picture move, by the codec's own motion vectors."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING

import numpy as np
from av.sidedata.sidedata import SideDataContainer

from vbuild.stage import CELL, Moved, Vectors

if TYPE_CHECKING:
    import av
    from av.video.frame import VideoFrame

SIZES = (8, 16)
"""Sides of the blocks that are painted; a decoder gives the parts of smaller ones as one of 8."""


class Moving:
    """Adds up, over the frames that a request wants of a clip, how far each part of the picture moves."""

    def __init__(self, request: Vectors, stream: av.VideoStream, duration: float) -> None:
        self.request, self.codec = request, stream.codec_context.codec.canonical_name
        rate = float(stream.average_rate or stream.base_rate or 30)
        self.step = max(1, round(rate / request.fps))
        # NeMo Curator takes a clip of less than a second for one of thirty
        self.most = max(10, round(request.fps * (floor(duration) or 30) / 2))
        self.seen = self.moment = self.frames = 0
        self.size = (0, 0)
        self.total: np.ndarray | None = None

    def see(self, frame: VideoFrame, time: float) -> None:
        """The next frame, at `time` seconds from the clip's start."""
        self.seen += 1
        # the first moves from what was before the clip, which may be another shot
        if self.seen == 1:
            self.size = (frame.width, frame.height)
        elif (frame.width, frame.height) == self.size and self._due(time):
            self._add(frame, time)

    def _due(self, time: float) -> bool:
        if self.request.parity:
            return (self.seen - 1) % self.step == 0 and self.frames < self.most
        return time >= self.moment / self.request.fps

    def _add(self, frame: VideoFrame, time: float) -> None:
        # not frame.side_data: a circle, in which frames would wait for the garbage collector
        data = SideDataContainer(frame).get("MOTION_VECTORS")  # type: ignore[call-arg]
        if data is None:
            return
        while self.moment / self.request.fps <= time:
            self.moment += 1
        far = painted(data.to_ndarray(), *self.size)
        self.total = far if self.total is None else self.total + far
        self.frames += 1

    def close(self) -> Moved:
        """The clip is over."""
        mean = None if self.total is None else self.total / self.frames
        return Moved(mean, *self.size, frames=self.frames, seen=self.seen, codec=self.codec)


def painted(vectors: np.ndarray, width: int, height: int) -> np.ndarray:
    """How far each cell of 8x8 pixels moves, in pixels: float64 (rows, columns), of FFmpeg's AVMotionVector (n,).

    NeMo Curator's formula: a vector holds for its block, w by h pixels around (dst_x, dst_y), which moves by
    -motion / motion_scale; of two for one place the later holds; what lies outside of the picture is cut off.
    """
    cells = np.zeros((-(-height // CELL), -(-width // CELL)))
    known = vectors[np.isin(vectors["w"], SIZES) & np.isin(vectors["h"], SIZES) & (vectors["motion_scale"] > 0)]
    far = np.hypot(known["motion_x"], known["motion_y"]) / known["motion_scale"]
    wide, high = known["w"].astype(int), known["h"].astype(int)
    # a block of 16 is painted as two or four cells, in the order of the vectors
    each = np.repeat(np.arange(len(known)), wide * high // CELL**2)
    place = np.arange(len(each)) - np.searchsorted(each, each)
    down, across = np.divmod(place, wide[each] // CELL)
    row = ((known["dst_y"] - high // 2) // CELL)[each] + down
    column = ((known["dst_x"] - wide // 2) // CELL)[each] + across
    inside = (row >= 0) & (row < cells.shape[0]) & (column >= 0) & (column < cells.shape[1])
    cells[row[inside], column[inside]] = far[each][inside]
    return cells
