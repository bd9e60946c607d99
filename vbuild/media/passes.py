"""One decode of a video that serves its clips in order, and any number of requests on each."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from heapq import heappop, heappush
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.codec.context import Flags2

from vbuild.media.copying import Extract, Extraction
from vbuild.media.files import opened
from vbuild.media.graphs import graph
from vbuild.media.hardware import accelerator, planar
from vbuild.media.light import Light
from vbuild.media.pixels import Picture, Upright
from vbuild.media.sampling import Collected, Sampler
from vbuild.media.sound import Track
from vbuild.media.vectors import Moving
from vbuild.stage import Decode, Frames, Media, Moved, Packets, Request, Sampled, Sink, Sound, Vectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.filter import Graph
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

UNTIMED = frozenset({"mpeg", "mpegvideo", "h264", "hevc", "m4v", "vc1"})
"""Formats of few times or none, between which FFmpeg guesses, and otherwise behind a seek: they are read through."""

AHEAD = 2
"""Frames among which times may be exchanged."""

GAP = 4.0
"""Seconds without a clip that are worth a seek."""

EARLIER = (1.0, 4.0, 16.0, 64.0)
"""Seconds by which a seek steps back when it landed behind its target, as it does in MPEG streams."""

PREROLL = 0.3
"""Seconds of sound before a clip that its encoder may want."""

PATIENCE = 10.0
"""Seconds of picture behind a clip for which its sound is waited for."""


PLAIN = Decode(device="cpu")


@dataclass(frozen=True)
class Cut:
    """One clip of a pass: a frame is in it if start_pts <= pts < end_pts."""

    start_pts: int
    end_pts: int
    requests: Mapping[str, Request] = field(default_factory=dict)
    """Frames, sound and motion vectors that are collected."""
    sinks: Mapping[str, tuple[Request, Sink]] = field(default_factory=dict)
    """Fed while the pass decodes; the caller closes them when their clip is over, while the file is open."""


@dataclass(frozen=True)
class Taken:
    """What a pass found for one clip."""

    index: int
    """The clip's place among the cuts."""
    found: Mapping[str, Sampled | Moved | np.ndarray]
    """Per request: sampled frames, what moved, or sound as float32 (channels, samples)."""
    frames: int
    """Frames decoded in the clip."""
    warning: str | None
    """What was lost within it."""


def footage(path: str, stream: int, cuts: Sequence[Cut], decode: Decode = PLAIN) -> Iterator[Taken]:
    """Decodes a stream of a file once and yields each clip when it is over.

    Cuts are in order of their starts; they may overlap and leave gaps, over long ones of which the pass seeks. Bad
    packets are skipped and reported; a frame without a time, or with one that goes back, stands a tick behind the one
    before. Memory holds what requests collect and a few frames, however long the video. Raises MediaError.
    """
    if not cuts:
        return
    with ExitStack() as files:
        copies = _copies(path, stream, cuts, files)
        if copies is not None and not _decodes(cuts):
            yield from (Taken(n, {}, copies.upto(n), None) for n in range(len(cuts)))
            return
        reader = _Reader(path, stream, _hears(cuts), _moves(cuts), decode, files.enter_context(ExitStack()))
        for taken in _Pass(reader, cuts).clips():
            if copies is not None:
                copies.upto(taken.index)
            yield taken


def _copies(path: str, stream: int, cuts: Sequence[Cut], files: ExitStack) -> Extraction | None:
    """The way of packets beside that of frames, if any sink wants packets: to read them costs next to nothing."""
    sinks = [[sink for request, sink in cut.sinks.values() if isinstance(request, Packets)] for cut in cuts]
    if not any(sinks):
        return None
    clips = [Extract(cut.start_pts, cut.end_pts, own) for cut, own in zip(cuts, sinks, strict=True)]
    return Extraction(files.enter_context(opened(path)), stream, clips)


def _decodes(cuts: Sequence[Cut]) -> bool:
    """Whether anything is wanted but packets."""
    return any(c.requests or any(not isinstance(r, Packets) for r, _ in c.sinks.values()) for c in cuts)


def _hears(cuts: Sequence[Cut]) -> bool:
    wanted = [*(r for c in cuts for r in c.requests.values()), *(r for c in cuts for r, _ in c.sinks.values())]
    return any(isinstance(r, Sound) or (isinstance(r, Media) and r.sound) for r in wanted)


def _moves(cuts: Sequence[Cut]) -> bool:
    """Whether the decoder has to tell its motion vectors."""
    return any(isinstance(r, Vectors) for c in cuts for r in c.requests.values())


@dataclass(frozen=True)
class _Event:
    """What comes out of a file: a frame, a packet of sound, or the loss of a packet, with its time."""

    frame: VideoFrame | None
    packet: Packet[Any] | None
    time: float
    """Seconds."""
    pts: int
    lost: bool = False


def deinterlaced(events: Iterator[_Event]) -> Iterator[_Event]:
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
        yield from (_Event(made, None, 0.0, 0) for made in _pulled(filters, base))


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


class _Reader:
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
            events: list[_Event] = []
            reading = self._read()
            for event in reading:
                events.append(event)
                if event.frame is not None:
                    break
            if events and events[-1].frame is not None and events[-1].pts <= pts:
                self.events = chain(events, reading)
                return
        self._open()

    def _read(self) -> Iterator[_Event]:
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
                yield _Event(frame, None, self.seconds(last), last)

    def _decoded(self) -> Iterator[_Event]:
        """Everything from here on, frames with the times that FFmpeg gives them."""
        for packet in self._packets():
            if packet.stream_index != self.index:
                if packet.size and packet.pts is not None:
                    time = float(packet.pts * packet.time_base)
                    yield _Event(None, packet, time, 0)
                continue
            if not packet.size and packet.pts is not None:
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                pts = packet.dts if packet.pts is None else packet.pts
                yield _Event(None, None, 0.0 if pts is None else self.seconds(pts), pts or 0, lost=True)
                continue
            for frame in frames:
                yield _Event(planar(frame), None, 0.0, 0)

    def _packets(self) -> Iterator[Packet[Any]]:
        """Packets of picture and sound, and at the end what flushes the decoder, also where reading breaks off."""
        wanted = [self.stream] if self.sound is None else [self.stream, self.sound]
        try:
            yield from self.container.demux(wanted)
        except av.FFmpegError:
            flush = av.Packet()
            flush.stream = self.stream
            yield flush


class _Clip:
    """A cut while it is fed."""

    def __init__(self, index: int, cut: Cut, stream: av.VideoStream, base: Fraction) -> None:
        self.index, self.cut = index, cut
        self.start, self.end = float(cut.start_pts * base), float(cut.end_pts * base)
        duration = float((cut.end_pts - cut.start_pts) * base)
        self.collected: dict[str, Collected] = {}
        self.tracks: dict[str, Track] = {}
        self.moving: dict[str, Moving] = {}
        self.samplers: list[Sampler] = []
        self.media: list[tuple[Media, Sink]] = []
        self.frames = self.lost = self.damaged = 0
        self.seen = False
        for name, request in cut.requests.items():
            if isinstance(request, Frames):
                self.collected[name] = Collected(request, duration)
            elif isinstance(request, Vectors):
                self.moving[name] = Moving(request, stream, duration)
            else:
                self.tracks[name] = Track(duration)
        for request, sink in cut.sinks.values():
            if isinstance(request, Frames):
                self.samplers.append(Sampler(request, duration, partial(_feed, sink)))
            elif isinstance(request, Media):
                self.media.append((request, sink))
        self.hears = bool(self.tracks) or any(request.sound for request, _ in self.media)

    def see(self, picture: Picture, upright: Upright, time: float) -> None:
        """One frame, `time` seconds from the clip's start."""
        self.frames += 1
        self.damaged += picture.frame.is_corrupt
        for sampler in (*(c.sampler for c in self.collected.values()), *self.samplers):
            sampler.see(time, picture)
        for moving in self.moving.values():
            moving.see(picture.frame, time)
        for _, sink in self.media:
            sink.frame(picture.upright(upright), time)

    def hear(self, packet: Packet[Any], frames: Sequence[AudioFrame]) -> None:
        """One packet of sound, and what it decodes to."""
        for track in self.tracks.values():
            for frame in frames:
                if frame.pts is not None and frame.time_base is not None:
                    track.hear(frame, float(frame.pts * frame.time_base) - self.start)
        for request, sink in self.media:
            if request.sound:
                sink.packet(packet)

    def close(self) -> Taken:
        """The clip is over."""
        for sampler in self.samplers:
            sampler.close()
        found: dict[str, Sampled | Moved | np.ndarray] = {name: c.close() for name, c in self.collected.items()}
        found |= {name: moving.close() for name, moving in self.moving.items()}
        for name, track in self.tracks.items():
            request = self.cut.requests[name]
            assert isinstance(request, Sound)
            found[name] = track.resampled(request.rate, request.channels)
        said = [f"{self.lost} packets could not be decoded"] if self.lost else []
        said += [f"{self.damaged} frames are damaged"] if self.damaged else []
        return Taken(self.index, found, self.frames, "; ".join(said) or None)


def _feed(sink: Sink, time: float, pictures: list[np.ndarray]) -> None:
    sink.frame(pictures[0] if len(pictures) == 1 else np.stack(pictures), time)


class _Pass:
    """The way through a file."""

    def __init__(self, reader: _Reader, cuts: Sequence[Cut]) -> None:
        self.reader = reader
        self.waiting = deque(_Clip(n, cut, reader.stream, reader.base) for n, cut in enumerate(cuts))
        self.active: list[_Clip] = []
        self.recent: deque[tuple[float, Packet[Any], list[AudioFrame]]] = deque()
        self.decodes = any(clip.tracks for clip in self.waiting)
        self.upright, self.light = Upright(reader.aspect), Light()
        self.converters: dict[object, VideoReformatter] = {}
        self.seen = self.heard = float("-inf")
        self.sought: _Clip | None = None

    def clips(self) -> Iterator[Taken]:
        """Every clip, when it is over."""
        self._enter()
        while event := next(self.reader.events, None):
            self._take(event)
            yield from self._over(ended=False)
            if not self.active and not self.waiting:
                return
            if not self.active and self.waiting[0].start - max(self.seen, self.heard) > GAP:
                self._enter()
        while self.waiting:
            self._open(self.waiting.popleft())
        yield from self._over(ended=True)

    def _enter(self) -> None:
        """Goes to the next clip, over what lies between; once, for the nearest keyframe may be far before it."""
        first = self.waiting[0]
        if first is self.sought:
            return
        self.sought = first
        begin = self.reader.stream.start_time or 0
        if first.start - max(float(begin * self.reader.base), self.seen) > GAP:
            self.reader.seek(first.cut.start_pts)
            self.recent.clear()

    def _take(self, event: _Event) -> None:
        if event.packet is not None:
            self._hear(event)
        elif event.lost:
            for clip in (*self.active, *self.waiting):
                clip.lost += clip.cut.start_pts <= event.pts < clip.cut.end_pts
        elif event.frame is not None:
            self.seen = max(self.seen, event.time)
            while self.waiting and self.waiting[0].cut.start_pts <= event.pts:
                self._open(self.waiting.popleft())
            picture = Picture(event.frame, self.reader.aspect, self.converters, self.light)
            for clip in self.active:
                if clip.cut.start_pts <= event.pts < clip.cut.end_pts:
                    time = self.reader.seconds(event.pts - clip.cut.start_pts)
                    clip.see(picture, self.upright, time)

    def _hear(self, event: _Event) -> None:
        """Gives a packet of sound to the clips that may want it, and holds it for those that are yet to open."""
        assert event.packet is not None
        self.heard = max(self.heard, event.time)
        frames = self._decoded(event.packet)
        self.recent.append((event.time, event.packet, frames))
        horizon = min(self.heard, self.seen if self.seen > float("-inf") else self.heard) - 2 * PREROLL
        while self.recent and self.recent[0][0] < horizon:
            self.recent.popleft()
        for clip in self.active:
            if clip.hears and clip.start - PREROLL <= event.time < clip.end:
                clip.hear(event.packet, frames)

    def _decoded(self, packet: Packet[Any]) -> list[AudioFrame]:
        if not self.decodes:
            return []
        try:
            frames: list[Any] = packet.decode()
        except av.FFmpegError:
            return []
        return frames

    def _open(self, clip: _Clip) -> None:
        """A clip begins: it gets the sound that came before its first frame."""
        self.active.append(clip)
        if clip.hears:
            for time, packet, frames in self.recent:
                if clip.start - PREROLL <= time < clip.end:
                    clip.hear(packet, frames)

    def _over(self, *, ended: bool) -> Iterator[Taken]:
        """The clips that nothing more can come for."""
        for clip in list(self.active):
            silent = self.reader.sound is None or not clip.hears
            complete = silent or self.heard >= clip.end or self.seen >= clip.end + PATIENCE
            if ended or (self.seen >= clip.end and complete):
                self.active.remove(clip)
                yield clip.close()
