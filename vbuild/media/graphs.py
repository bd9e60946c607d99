"""Chains of FFmpeg's filters that frames go through one by one."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.filter import Graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.video.frame import VideoFrame

FilterStep = tuple[str, str | None]
"""A filter and its options."""

UNNAMED = 2
"""The matrix, primaries or transfer that nobody named (Rec. ITU-T H.273)."""


class Filters:
    """A chain of filters, made anew when the frames' shape or colours change. A frame keeps its time."""

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self.made_for: tuple[object, ...] = ()

    def pass_through(self, frame: VideoFrame, steps: Sequence[FilterStep]) -> VideoFrame:
        """One frame through the steps, each of which gives a frame for a frame."""
        wanted = (*_looks(frame), *steps)
        if self.graph is None or wanted != self.made_for:
            self.graph, self.made_for = graph(frame, steps), wanted
        self.graph.push(frame)
        made = self.graph.pull()
        assert isinstance(made, av.VideoFrame)
        made.pts, made.time_base = frame.pts, frame.time_base
        return made


class Whole:
    """Makes frames that are marked as interlaced whole, a frame for a frame; all others are left as they are.

    The filter looks at the frames before and behind, so it holds one back.
    """

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self.base = Fraction(1)

    def see(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """The frames that can be had when one more came, with their times in its ticks."""
        if self.graph is None:
            self.graph = graph(frame, [("bwdif", "mode=send_frame:deint=interlaced")])
            self.base = frame.time_base or self.base
        self.graph.push(frame)
        return self._pulled(self.graph)

    def close(self) -> Iterator[VideoFrame]:
        """The last, when no more comes."""
        if self.graph is None:
            return
        self.graph.push(None)
        yield from self._pulled(self.graph)

    def _pulled(self, filters: Graph) -> Iterator[VideoFrame]:
        while True:
            try:
                made = filters.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(made, av.VideoFrame)
            if made.pts is not None and made.time_base is not None:
                made.pts = round(made.pts * made.time_base / self.base)
            made.time_base = self.base
            yield made


def graph(frame: VideoFrame, steps: Sequence[FilterStep]) -> Graph:
    """A chain of filters for frames like this one: of its size, format, matrix and range."""
    made = Graph()
    if hasattr(made, "threads"):
        made.threads = 1
    last = made.add("buffer", _described(frame))
    for name, options in steps:
        step = made.add(name, options)
        last.link_to(step)
        last = step
    last.link_to(made.add("buffersink"))
    made.configure()
    return made


def _looks(frame: VideoFrame) -> tuple[int, int, str, int, int]:
    """What frames of one chain have in common: width, height, format, matrix and range."""
    return frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range)


def _described(frame: VideoFrame) -> str:
    """A frame as FFmpeg's buffer wants it; PyAV's own words for it leave out the colours."""
    width, height, pixels, matrix, range_ = _looks(frame)
    return (
        f"video_size={width}x{height}:pix_fmt={pixels}:time_base={frame.time_base}:pixel_aspect=1/1"
        f":colorspace={matrix}:range={range_}"
    )
