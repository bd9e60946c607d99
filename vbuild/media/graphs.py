"""Chains of FFmpeg's filters that frames go through one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from av.filter import Graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.video.frame import VideoFrame


class Filters:
    """A chain of filters, made anew when the frames' shape changes. A frame keeps its time."""

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self.made_for: tuple[object, ...] = ()

    def pass_through(self, frame: VideoFrame, steps: Sequence[tuple[str, str | None]]) -> VideoFrame:
        """One frame through the steps, each of which gives a frame for a frame."""
        wanted = (frame.width, frame.height, frame.format.name, *steps)
        if self.graph is None or wanted != self.made_for:
            self.graph, self.made_for = graph(frame, steps), wanted
        self.graph.push(frame)
        made = self.graph.pull()
        assert isinstance(made, av.VideoFrame)
        made.pts, made.time_base = frame.pts, frame.time_base
        return made


def graph(frame: VideoFrame, steps: Sequence[tuple[str, str | None]]) -> Graph:
    """A chain of filters for frames like this one."""
    made = Graph()
    last = made.add_buffer(
        template=None, width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    for name, options in steps:
        step = made.add(name, options)
        last.link_to(step)
        last = step
    last.link_to(made.add("buffersink"))
    made.configure()
    return made
