"""Chains of FFmpeg's filters that frames go through one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from av.filter import Graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.video.frame import VideoFrame

Step = tuple[str, str | None]
"""A filter and its options."""

UNNAMED = 2
"""The matrix, primaries or transfer that nobody named (Rec. ITU-T H.273)."""


class Filters:
    """A chain of filters, made anew when the frames' shape or colours change. A frame keeps its time."""

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self.made_for: tuple[object, ...] = ()

    def pass_through(self, frame: VideoFrame, steps: Sequence[Step]) -> VideoFrame:
        """One frame through the steps, each of which gives a frame for a frame."""
        wanted = (_described(frame), *steps)
        if self.graph is None or wanted != self.made_for:
            self.graph, self.made_for = graph(frame, steps), wanted
        self.graph.push(frame)
        made = self.graph.pull()
        assert isinstance(made, av.VideoFrame)
        made.pts, made.time_base = frame.pts, frame.time_base
        return made


def graph(frame: VideoFrame, steps: Sequence[Step]) -> Graph:
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


def _described(frame: VideoFrame) -> str:
    """A frame as FFmpeg's buffer wants it; PyAV's own words for it leave out the colours."""
    return (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={frame.time_base}"
        f":pixel_aspect=1/1:colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    )
