"""Turns decoded frames into arrays and upright frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter

from vbuild.media.probe import shown_size

if TYPE_CHECKING:
    from fractions import Fraction

    from av.video.frame import VideoFrame

    from vbuild.stage import Frames


ALONE: dict[str, Any] = {"threads": 1} if tuple(map(int, av.__version__.split(".")[:2])) >= (16, 1) else {}
"""Small pictures are shrunk in half the time without the threads that FFmpeg starts where it may."""


def target_size(request: Frames, shown: tuple[int, int]) -> tuple[int, int]:
    """Width and height, upright, of the pictures that a request wants of frames shown at a size."""
    if request.size is not None:
        return request.size
    width, height = shown
    if request.short_side is not None:
        scale = min(1.0, request.short_side / min(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))
    if request.height is not None and request.height < height:
        return max(2, round(width * request.height / height / 2) * 2), request.height
    return shown


class Upright:
    """Turns frames upright and gives them square pixels; frames that are both already go through untouched."""

    def __init__(self, aspect: Fraction | None) -> None:
        self.aspect = aspect
        self.graph: Graph | None = None
        self.shape: tuple[int, int, str] | None = None

    def turn(self, frame: VideoFrame) -> VideoFrame:
        """One frame, in order of time."""
        size = shown_size(frame, self.aspect)
        turns = round(frame.rotation / 90) % 4
        if not turns and size == (frame.width, frame.height):
            return frame
        shape = (frame.width, frame.height, frame.format.name)
        if self.graph is None or shape != self.shape:
            self.graph, self.shape = _graph(frame, turns, size), shape
        self.graph.push(frame)
        turned = self.graph.pull()
        assert isinstance(turned, av.VideoFrame)
        turned.pts, turned.time_base = frame.pts, frame.time_base
        return turned


class Picture:
    """One decoded frame, converted once for each size and format that is asked of it."""

    def __init__(self, frame: VideoFrame, aspect: Fraction | None, converters: dict[object, VideoReformatter]) -> None:
        self.frame, self.aspect, self.converters = frame, aspect, converters
        self.made: dict[object, np.ndarray] = {}
        self.turned: VideoFrame | None = None

    def upright(self, turner: Upright) -> VideoFrame:
        """The frame as it is, or turned if it has to be; once, for frames go through a filter in order."""
        if self.turned is None:
            self.turned = turner.turn(self.frame)
        return self.turned

    def array(self, request: Frames) -> np.ndarray:
        """The upright picture as a request wants it: uint8 (h, w, 3) or (h, w), contiguous."""
        size = target_size(request, shown_size(self.frame, self.aspect))
        what = (size, request.format)
        if what not in self.made:
            self.made[what] = self._convert(size, request.format)
        return self.made[what]

    def _convert(self, size: tuple[int, int], pixels: str) -> np.ndarray:
        turns = round(self.frame.rotation / 90) % 4
        width, height = size[::-1] if turns % 2 else size
        converter = self.converters.setdefault((size, pixels), VideoReformatter())
        made = converter.reformat(self.frame, width, height, pixels, interpolation=Interpolation.AREA, **ALONE)
        array = made.to_ndarray()
        return np.ascontiguousarray(np.rot90(array, turns) if turns else array)


def _graph(frame: VideoFrame, turns: int, size: tuple[int, int]) -> Graph:
    graph = Graph()
    last = graph.add_buffer(template=None, width=frame.width, height=frame.height, format=frame.format,
                            time_base=frame.time_base)  # fmt: skip
    chain: dict[int, list[tuple[str, str | None]]] = {
        0: [],
        1: [("transpose", "cclock")],
        2: [("hflip", None), ("vflip", None)],
        3: [("transpose", "clock")],
    }
    steps: list[tuple[str, str | None]] = [*chain[turns], ("scale", f"{size[0]}:{size[1]}"), ("setsar", "1")]
    for name, options in steps:
        step = graph.add(name, options)
        last.link_to(step)
        last = step
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph
