"""Frames and sound of a file in the order in which they come, from wherever it is put."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import heappop, heappush
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import av
from av.codec.context import Flags2

from vbuild.media.files import opened
from vbuild.media.graphs import graph
from vbuild.media.hardware import accelerator, planar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from av.container import InputContainer
    from av.filter import Graph
    from av.packet import Packet
    from av.video.frame import VideoFrame

    from vbuild.stage import Decode

UNTIMED = frozenset({"mpeg", "mpegvideo", "h264", "hevc", "m4v", "vc1"})
"""Formats of few times or none, between which FFmpeg guesses, and otherwise behind a seek: they are read through."""

AHEAD = 2
"""Frames among which times may be exchanged."""

EARLIER = (1.0, 4.0, 16.0, 64.0)
"""Seconds by which a seek steps back when it landed behind its target, as it does in MPEG streams."""


@dataclass(frozen=True)
class Event:
    """What comes out of a file: a frame, a packet of sound, or the loss of a packet, with its time."""

    frame: VideoFrame | None
    packet: Packet[Any] | None
    time: float
    """Seconds."""
    pts: int
    lost: bool = False


def deinterlaced(events: Iterator[Event]) -> Iterator[Event]:
    """Frames that are marked as interlaced made whole, a frame for a frame; all others as they are.

    The filter looks at the frames before and behind, so it holds one back, and sees all frames from the first.
    """
    filters: Graph | None = None
    base = Fraction(1)
    for event in chain(events, [None]):
        frame = None if event is None else event.frame
        if event is not None and frame is None:
            yield event
            continue
        if filters is None:
            if frame is None:
                return
            filters, base = graph(frame, [("bwdif", "mode=send_frame:deint=interlaced")]), frame.time_base or base
        filters.push(frame)
        yield from (Event(made, None, 0.0, 0) for made in _pulled(filters, base))


def _pulled(filters: Graph, base: Fraction) -> Iterator[VideoFrame]:
    """The frames that a chain of filters gives now, with their times in ticks of `base`."""
    while True:
        try:
            made = filters.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(made, av.VideoFrame)
        if made.pts is not None and made.time_base is not None:
            made.pts = round(made.pts * made.time_base / base)
        made.time_base = base
        yield made


class Reader:
    """Frames and sound of one file in the order in which they come, from wherever it is put."""

    def __init__(self, path: str, stream: int, hears: bool, moves: bool, decode: Decode, files: ExitStack) -> None:
        self.path, self.index, self.hears, self.moves, self.files = path, stream, hears, moves, files
        # decoders in a graphics card tell no vectors
        self.decode = replace(decode, device="cpu") if moves else decode
        self._open()

    def _open(self) -> None:
        self.files.close()
        self.container: InputContainer = self.files.enter_context(opened(self.path, accelerator(self.decode.device)))
        stream = self.container.streams[self.index]
        assert isinstance(stream, av.VideoStream)
        self.stream = stream
        self.stream.codec_context.thread_count = 1
        self.stream.codec_context.thread_type = "NONE"
        if self.moves:
            self.stream.codec_context.flags2 |= Flags2.export_mvs
        self.sound = self.container.streams.audio[0] if self.hears and self.container.streams.audio else None
        self.base = self.stream.time_base or Fraction(1, 1000)
        self.aspect = self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio
        self.events = self._read()

    def seconds(self, ticks: int) -> float:
        """Ticks of the time base, which are a fraction, in seconds."""
        return ticks * self.base.numerator / self.base.denominator

    def seek(self, pts: int) -> None:
        """Puts the file to a frame at or before `pts`; where a seek lands behind it, further back, or to the start."""
        if self.container.format.name in UNTIMED:
            return
        before = self.sound is not None or self.decode.deinterlace
        early = (1.0 if before else 0.0, *EARLIER)
        for seconds in early:
            self.container.seek(pts - round(seconds / self.base), stream=self.stream, backward=True)
            events: list[Event] = []
            reading = self._read()
            for event in reading:
                events.append(event)
                if event.frame is not None:
                    break
            if events and events[-1].frame is not None and events[-1].pts <= pts:
                self.events = chain(events, reading)
                return
        self._open()

    def _read(self) -> Iterator[Event]:
        """Everything from here on; a frame's time never goes back.

        A decoder gives frames in their order, but where a container has no presentation times (h264 in AVI) those that
        FFmpeg guesses are exchanged between neighbours: each frame gets the earliest that is left of a few.
        """
        frames: deque[VideoFrame] = deque()
        times: list[int] = []
        last: int | None = None
        events = deinterlaced(self._decoded()) if self.decode.deinterlace else self._decoded()
        for event in chain(events, repeat(None, AHEAD)):
            if event is not None and event.frame is None:
                yield event
                continue
            if event is not None and event.frame is not None:
                pts = event.frame.dts if event.frame.pts is None else event.frame.pts
                heappush(times, max(times, default=last or 0) + 1 if pts is None else pts)
                frames.append(event.frame)
            if frames and (event is None or len(frames) > AHEAD):
                frame, pts = frames.popleft(), heappop(times)
                last = frame.pts = pts if last is None or pts > last else last + 1
                yield Event(frame, None, self.seconds(last), last)

    def _decoded(self) -> Iterator[Event]:
        """Everything from here on, frames with the times that FFmpeg gives them."""
        for packet in self._packets():
            if packet.stream_index != self.index:
                if packet.size and packet.pts is not None:
                    time = float(packet.pts * packet.time_base)
                    yield Event(None, packet, time, 0)
                continue
            if not packet.size and packet.pts is not None:
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                pts = packet.dts if packet.pts is None else packet.pts
                yield Event(None, None, 0.0 if pts is None else self.seconds(pts), pts or 0, lost=True)
                continue
            for frame in frames:
                yield Event(planar(frame), None, 0.0, 0)

    def _packets(self) -> Iterator[Packet[Any]]:
        """Packets of picture and sound, and at the end what flushes the decoder, also where reading breaks off."""
        wanted = [self.stream] if self.sound is None else [self.stream, self.sound]
        try:
            yield from self.container.demux(wanted)
        except av.FFmpegError:
            flush = av.Packet()
            flush.stream = self.stream
            yield flush
