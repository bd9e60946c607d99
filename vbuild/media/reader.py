"""Frames and sound of a file in the order in which they come, from wherever it is put."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from fractions import Fraction
from heapq import heappop, heappush
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import av
from av.codec.context import Flags2

from vbuild.media.colours import colours_named
from vbuild.media.files import open_container, timed_streams
from vbuild.media.graphs import Whole
from vbuild.media.hardware import Planar, accelerator
from vbuild.media.line import Line, shown_at
from vbuild.media.orientation import stretch_of
from vbuild.media.probe import hidden

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

    from vbuild.stage import Decode

SOUGHT = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv"})
"""Containers in which a frame's time is told, and is the same behind a seek; all others are read through."""

EXACT = frozenset(
    {"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mpeg1video", "h263", "flv1", "theora", "mjpeg"}
    | {"prores", "dnxhd", "ffv1", "huffyuv", "ffvhuff", "utvideo", "qtrle", "rawvideo", "png", "msmpeg4v3", "snow"}
)
"""Codecs that were found to decode to the same pixels from a keyframe on as from the start of the file."""

AHEAD = 2
"""Frames among which times may be exchanged."""

EARLIER = (1.0, 4.0, 16.0, 64.0)
"""Seconds by which a seek steps back when it landed behind its target, as it does in MPEG streams."""

PREROLL = 0.3
"""Seconds of sound before a clip that its encoder may want."""


def sought(container: str, codec: str, pixels: str) -> bool:
    """Whether a file may be begun in its middle, by FFmpeg's names of its container, codec and pixel format.

    Of full chroma in h264 FFmpeg learns from the first packet alone by which x264 it was made, which it decodes by.
    """
    return container in SOUGHT and codec in EXACT and not (codec == "h264" and pixels.startswith(("yuv444", "gbr")))


def seekable(container: InputContainer, stream: av.VideoStream) -> bool:
    """The same of an open file."""
    context = stream.codec_context
    return sought(container.format.name, context.codec.canonical_name, context.pix_fmt or "")


class Event(NamedTuple):
    """What comes out of a file, with its time: a frame, a packet of sound, or, with neither, a loss of picture."""

    frame: VideoFrame | None
    packet: Packet[Any] | None
    time: float
    """Seconds."""
    pts: int


def deinterlaced(events: Iterator[Event]) -> Iterator[Event]:
    """Frames made whole; the filter sees all of them, from the first."""
    whole = Whole()
    for event in chain(events, [None]):
        if event is not None and event.frame is None:
            yield event
            continue
        made = whole.close() if event is None or event.frame is None else whole.see(event.frame)
        yield from (Event(frame, None, 0.0, 0) for frame in made)


class Reader:
    """Frames and sound of one file in the order in which they come, from wherever it is put."""

    def __init__(
        self, path: str, stream: int, hears: bool, moves: bool, decode: Decode, files: ExitStack, *, through: bool
    ) -> None:
        self.path, self.index, self.files, self.through = path, stream, files, through
        self.hears, self.moves = hears, moves
        # decoders in a graphics card tell no vectors
        self.decode = replace(decode, device="cpu") if moves else decode
        self.planar = Planar()
        self._open()

    def _open(self) -> None:
        self.files.close()
        self.container: InputContainer = self.files.enter_context(
            open_container(self.path, accelerator(self.decode.device))
        )
        stream = self.container.streams[self.index]
        assert isinstance(stream, av.VideoStream)
        self.stream = stream
        self.stream.codec_context.thread_count = 1
        self.stream.codec_context.thread_type = "NONE"
        if self.moves:
            self.stream.codec_context.flags2 |= Flags2.export_mvs
        self.wanted = timed_streams(self.container, stream)
        self.silent = not self.hears or len(self.wanted) == 1
        self.base = self.stream.time_base or Fraction(1, 1000)
        self.stretch = stretch_of(stream)
        self.used = False
        """Whether anything was decoded: some decoders keep of it, through a seek, what then shows in other pictures."""
        self.passed: list[int] = []
        """Times of the packets of picture, hidden ones left out, that were read and that nobody has asked for yet."""
        self.events = self._read(self._packets())

    def seconds(self, ticks: int) -> float:
        """Ticks of the time base, which are a fraction, in seconds."""
        return ticks * self.base.numerator / self.base.denominator

    def seek(self, pts: int) -> None:
        """Puts the file to a keyframe before a frame at or before `pts`, and to the sound before that, or to its start.

        Where the pixels behind a seek would not be those of a decode from the start, it reads on.
        """
        if self.through or not seekable(self.container, self.stream):
            return
        early = 0.0 if self.silent and not self.decode.deinterlace else 1.0
        for seconds in (early, *EARLIER):
            if self.used:
                self._open()
            try:
                self.container.seek(pts - round(seconds / self.base), stream=self.stream, backward=True)
            except av.FFmpegError:
                break
            if self._lands(pts):
                return
        self._open()

    def _lands(self, pts: int) -> bool:
        """Whether the file stands where all of picture and sound from `pts` on can be had; if so, it is read from here.

        A decoder may give its first frame long after a keyframe, where pictures are renewed bit by bit.
        """
        packets = self._packets()
        held: list[Packet[Any]] = []
        for packet in packets:
            if packet.stream is not self.stream or packet.is_keyframe:
                held.append(packet)
            if packet.stream is self.stream and packet.is_keyframe:
                break
        if not held or held[-1].stream is not self.stream or shown_at(held[-1]) > pts:
            return False
        events = self._read(chain(held, packets))
        read: list[Event] = []
        first: list[Event] = []
        heard: list[Event] = []
        for event in events:
            read.append(event)
            first += [event] if event.frame is not None else []
            heard += [event] if event.packet is not None else []
            if first and (self.silent or heard or len(first) > AHEAD):
                break
        self.events = chain(read, events)
        late = heard and heard[0].time > self.seconds(pts) - PREROLL
        return bool(first) and first[0].pts <= pts and not late

    def _read(self, packets: Iterator[Packet[Any]]) -> Iterator[Event]:
        """Everything that packets come to; a frame's time never goes back.

        A decoder gives frames in their order, but where a container has no presentation times (h264 in AVI) those that
        FFmpeg guesses are exchanged between neighbours: each frame gets the earliest that is left of a few.
        """
        frames: deque[VideoFrame] = deque()
        times: list[int] = []
        last: int | None = None
        events = self._decoded(packets)
        events = deinterlaced(events) if self.decode.deinterlace else events
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

    def _decoded(self, packets: Iterator[Packet[Any]]) -> Iterator[Event]:
        """Everything that packets come to, frames with the times that FFmpeg gives them."""
        codec = self.stream.codec_context.codec.canonical_name
        for packet in packets:
            if packet.stream is not self.stream:
                if self.hears and packet.size and packet.pts is not None:
                    yield Event(None, packet, float(packet.pts * packet.time_base), 0)
                continue
            # an empty packet would end the decoder
            if not packet.size and packet.pts is not None:
                continue
            if packet.size and packet.pts is not None and not hidden(packet, codec):
                self.passed.append(packet.pts)
            self.used = True
            try:
                frames = packet.decode()
            except av.FFmpegError:
                pts = packet.dts if packet.pts is None else packet.pts
                yield Event(None, None, 0.0 if pts is None else self.seconds(pts), pts or 0)
                continue
            for frame in frames:
                yield Event(self.planar.lay(colours_named(frame, self.stream)), None, 0.0, 0)

    def _packets(self) -> Iterator[Packet[Any]]:
        """Packets of picture and sound, and at the end what flushes the decoder, also where reading breaks off."""
        line = Line(self.container)
        try:
            yield from map(line.moved, self.container.demux(self.wanted))
        except av.FFmpegError:
            flush = av.Packet()
            flush.stream = self.stream
            yield flush
