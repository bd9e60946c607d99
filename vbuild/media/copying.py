"""Copies clips out of a file as they are encoded, from keyframe on: nothing is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av

from vbuild.errors import MediaError
from vbuild.media.encode import Encoded, decode_time
from vbuild.media.files import sound, timed_streams
from vbuild.media.line import Line, shown_at
from vbuild.media.reader import seekable
from vbuild.media.soundtrack import soundtrack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from vbuild.stage import Sink

MP4 = frozenset(("h264", "hevc", "av1", "vp9", "mpeg4"))
"""Pictures that players expect in mp4; all others are put in Matroska."""

GAP = 4.0
"""Seconds before the first clip that are worth a seek."""

EARLIER = (0.0, 1.0, 4.0, 16.0, 64.0)
"""Seconds by which a seek steps back when it landed behind its target."""

MARGIN = 1.0
"""Seconds of sound before and behind the pictures of a clip that are given with them."""

PATIENCE = 10.0
"""Seconds of picture behind the last clip for which its sound is waited for."""


@dataclass(eq=False)
class Extract:
    """One clip that is copied."""

    start_pts: int
    end_pts: int
    """Its frames are those with start_pts <= pts < end_pts."""
    sinks: Sequence[Sink]
    key: int | None = None
    """Presentation time of the keyframe on which the copy begins."""
    frames: int = 0
    """Frames of the clip."""
    reached: int = -(1 << 62)
    """The last time that is copied: what is shown before it is copied too, so that there is no hole."""
    first: int | None = None
    """The time of the first frame of the clip."""
    done: bool = False
    ahead: list[Packet[Any]] = field(default_factory=list)
    """Packets of frames behind the clip, which are copied only if a frame of the clip comes after them."""

    def see(self, packet: Packet[Any]) -> None:
        """The next packet of the picture, in order of decoding; the first is a keyframe."""
        pts, end = shown_at(packet), max(self.end_pts, self.reached)
        if self.key is None:
            self.key = pts
        self.done = self.done or (packet.dts is not None and packet.dts >= end)
        if self.done or pts < self.key:
            return
        self.ahead.append(packet)
        if pts < end:
            if self.start_pts <= pts < self.end_pts:
                self.frames, self.first = self.frames + 1, min(pts, pts if self.first is None else self.first)
            self.reached = max([self.reached, *map(shown_at, self.ahead)])
            for sink in self.sinks:
                for waiting in self.ahead:
                    sink.packet(waiting)
            self.ahead.clear()

    @property
    def pictures(self) -> int:
        """Pictures of the clip: the one that stands when it begins, and those that come in it."""
        stands = self.key is not None and self.key < self.start_pts and self.first != self.start_pts
        return self.frames + stands

    def hear(self, packet: Packet[Any]) -> None:
        """A packet of sound near the clip."""
        for sink in self.sinks:
            sink.packet(packet)


def _packets(container: InputContainer, video: VideoStream, start: int, *, through: bool) -> Iterator[Packet[Any]]:
    """Packets of picture and sound from a keyframe at or before `start`, or from the beginning of the file."""
    base = _base(video)
    wanted = timed_streams(container, video)
    far = (start - (video.start_time or 0)) * base > GAP and not through and seekable(container, video)
    for seconds in EARLIER if far else ():
        container.seek(start - round(seconds / base), stream=video, backward=True)
        held = []
        packets = _demuxed(container, wanted)
        for packet in packets:
            held.append(packet)
            if packet.stream is video and packet.is_keyframe:
                break
        if held and held[-1].stream is video and shown_at(held[-1]) <= start:
            yield from held
            yield from packets
            return
    if far:
        container.seek(video.start_time or 0, stream=video, backward=True)
    yield from _demuxed(container, wanted)


def _demuxed(container: InputContainer, streams: Sequence[Any]) -> Iterator[Packet[Any]]:
    line = Line(container)
    try:
        for packet in map(line.moved, container.demux(list(streams))):
            if packet.size and not packet.is_discard and (packet.pts is not None or packet.dts is not None):
                yield packet
    except av.FFmpegError:
        return


class Extraction:
    """Feeds the sinks of clips, which are in order of their starts, with their packets of picture and sound.

    A copy begins on the last keyframe at or before its clip and ends with the last packet that a frame of the clip
    needs; sound comes from a margin on both sides. Memory holds the packets from one keyframe to the
    next.
    """

    def __init__(
        self, container: InputContainer, stream: int, clips: Sequence[Extract], *, through: bool = False
    ) -> None:
        video = container.streams[stream]
        assert isinstance(video, av.VideoStream)
        self.video, self.base = video, _base(video)
        self.sounds = sound(container) is not None
        self.clips, self.waiting, self.active = clips, list(clips), list[Extract]()
        self.packets = _packets(container, video, clips[0].start_pts, through=through)
        self.group: list[Packet[Any]] = []
        """The packets since the last keyframe."""
        self.sound: list[Packet[Any]] = []
        self.heard = self.seen = Fraction(-1)

    def upto(self, clip: int) -> int:
        """Reads until nothing more can come for a clip, and says how many of its frames came."""
        wanted = self.clips[clip]
        while wanted in self.waiting or not self._over(wanted):
            packet = next(self.packets, None)
            if packet is None:
                self._open(None)
                break
            if packet.stream is self.video:
                self._see(packet)
            elif packet.pts is not None:
                self._hear(packet)
            self.active = [each for each in self.active if not self._over(each)]
        return wanted.pictures

    def _over(self, clip: Extract) -> bool:
        end = max(clip.end_pts, clip.reached) * self.base + MARGIN
        return clip.done and (not self.sounds or self.heard >= end or self.seen >= end + PATIENCE)

    def _see(self, packet: Packet[Any]) -> None:
        pts = shown_at(packet)
        self.seen = max(self.seen, pts * self.base)
        if packet.is_keyframe:
            self._open(pts)
            self.group.clear()
            self.sound = [p for p in self.sound if (p.pts or 0) * p.time_base >= pts * self.base - MARGIN]
        if self.group or packet.is_keyframe:
            self.group.append(packet)
        for clip in self.active:
            clip.see(packet)

    def _open(self, key: int | None) -> None:
        """Begins the clips that start before the keyframe at `key`: the one before it is the last that serves them."""
        while self.waiting and self.group and (key is None or self.waiting[0].start_pts < key):
            clip = self.waiting.pop(0)
            for packet in self.group:
                clip.see(packet)
            for packet in self.sound:
                self._give(clip, packet)
            self.active.append(clip)

    def _hear(self, packet: Packet[Any]) -> None:
        self.heard = max(self.heard, (packet.pts or 0) * packet.time_base)
        self.sound.append(packet)
        for clip in self.active:
            self._give(clip, packet)

    def _give(self, clip: Extract, packet: Packet[Any]) -> None:
        assert clip.key is not None
        time = (packet.pts or 0) * packet.time_base
        if clip.key * self.base - MARGIN <= time < max(clip.end_pts, clip.reached) * self.base + MARGIN:
            clip.hear(packet)


class ClipCopier:
    """Takes a clip's packets and writes a file: mp4, or Matroska for pictures that have no place in mp4."""

    def __init__(self, stem: Path, *, start: float, duration: float, sound: bool = True) -> None:
        """`stem` is the file's path without its suffix, `start` the clip's start in seconds of the source's clock."""
        self.stem, self.start, self.duration, self.wants_sound = stem, start, duration, sound
        self.video: list[Packet[Any]] = []
        self.sound: list[Packet[Any]] = []

    def packet(self, packet: Packet[Any]) -> None:
        """One packet, with the source's times."""
        if isinstance(packet.stream, av.VideoStream):
            self.video.append(packet)
        elif self.wants_sound:
            self.sound.append(packet)

    def close(self) -> tuple[Path, Encoded]:
        """Writes the file. Raises MediaError if the clip has no keyframe to begin with, as where an edit hides it."""
        times = sorted(map(shown_at, self.video))
        if not self.video or times[0] > round(self.start / _base(self.video[0].stream)):
            raise MediaError("no keyframe was found at or before the clip, so it cannot be copied; encode it")
        source = self.video[0].stream
        assert isinstance(source, av.VideoStream)
        base, codec = _base(source), source.codec_context.codec.canonical_name
        kind = "mp4" if codec in MP4 else "matroska"
        path = self.stem.with_suffix(".mp4" if kind == "mp4" else ".mkv")
        # the last picture lasts until the clip ends, if it is not behind that, only there for others
        end = round((self.start + self.duration) / base)
        if end <= times[-1]:
            end = times[-1] + max(max(self.video, key=shown_at).duration or 0, 1)
        seconds = float((end - times[0]) * base)
        options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if kind == "mp4" else {})
        with av.open(str(path), "w", format=kind, options=options) as container:
            stream = container.add_stream_from_template(source)
            added = soundtrack(container, self.sound, times[0] * base, seconds)
            own = _moved(self.video, times, end, stream)
            for packet in sorted([*own, *added.packets], key=decode_time):
                container.mux(packet)
        return path, Encoded(
            frames=len(times),
            width=source.codec_context.width,
            height=source.codec_context.height,
            fps=len(times) / seconds,
            start=float(times[0] * base) - self.start,
            duration=seconds,
            codec=codec,
            audio=added.codec,
        )


def _moved(packets: Sequence[Packet[Any]], times: Sequence[int], end: int, stream: Any) -> list[Packet[Any]]:
    """Copies of packets, in order of decoding, for another file, their times (`times`, sorted) counted from the first.

    Times of decoding are made anew, for Matroska has none: those of presentation in order, early enough for each.
    """
    early = max(time - shown_at(packet) for time, packet in zip(times, packets, strict=True))
    made = []
    until = dict(pairwise([*times, end]))
    for time, packet in zip(times, packets, strict=True):
        own = av.Packet(bytes(packet))
        own.time_base, own.is_keyframe = packet.time_base, packet.is_keyframe
        own.duration = until[shown_at(packet)] - shown_at(packet)
        own.pts, own.dts, own.stream = shown_at(packet) - times[0], time - early - times[0], stream
        made.append(own)
    return made


def _base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)
