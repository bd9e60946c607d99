"""Encodes one clip to mp4, picture and sound on one clock, with bytes that depend on nothing but the clip."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.codec.context import CodecContext, Flags
from av.video.frame import PictureType

from vbuild import digest
from vbuild.errors import MediaError, UsageError
from vbuild.media.colours import Planes, tag_colours
from vbuild.media.files import ffmpeg_said
from vbuild.media.graphs import Whole
from vbuild.media.line import shown_at
from vbuild.media.options import ENCODERS, SizeLimits
from vbuild.media.pace import Pace
from vbuild.media.soundtrack import soundtrack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

JITTER = 0.25
"""Share of a frame by which times may be off by rounding when frames are counted by them."""

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells of itself on the terminal, whatever FFmpeg's level of logging


@dataclass(frozen=True)
class Encoded:
    """What an encoder left."""

    frames: int
    width: int
    height: int
    fps: float | None
    start: float
    """Seconds from the clip's start to the first frame; less than 0 in a copy that begins before it."""
    duration: float
    """Seconds of picture."""
    codec: str
    audio: str | None
    """The codec of its sound; None if the clip has none."""


STEADY = "MMX2,SSE,SSE2,SSE2Fast,LZCNT,SSSE3,SSE4.2,AVX,FMA3,BMI2,AVX2"
"""What of a processor x264 may use: all but AVX-512."""


def steady(codec: str, options: Mapping[str, str]) -> dict[str, str]:
    """Options with which the same frames give the same bytes each time.

    With AVX-512 x264's macroblock tree reads beyond pictures whose width is no multiple of 128, and picks its
    quantizers by what lies there; the narrower instructions agree among each other.
    """
    if codec != "libx264" or not _avx512():
        return dict(options)
    given = options.get("x264-params")
    return {**options, "x264-params": f"{given}:asm={STEADY}" if given else f"asm={STEADY}"}


@cache
def _avx512() -> bool:
    """Whether this processor has AVX-512."""
    try:
        return "avx512" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


class ClipEncoder:
    """Takes a clip's frames and packets of sound and writes an mp4 file.

    Picture and sound are moved by one time, that of the clip's start, so they stay in step; the first frame is shown
    from there, the last until the clip ends, and all others come at their own times. Interlaced frames keep their
    fields, in their order, where the encoder knows such and the size stays; else they are made whole. One thread a
    clip: x264's output depends on the number of threads. Held are the clip's encoded packets, where sound is made AAC,
    its samples, and, where an even rate is asked for, one frame.
    """

    def __init__(
        self,
        path: Path,
        *,
        codec: str,
        options: Mapping[str, str],
        start: float,
        duration: float,
        fps: float | None,
        limits: SizeLimits = SizeLimits(),  # noqa: B008  frozen
    ) -> None:
        """`start` is the clip's, in seconds of the source's clock, `fps` the source's rate, None if it has none."""
        self.codec, self.options, self.start, self.duration, self.limits = codec, options, start, duration, limits
        most = self.source = fps or 1 / duration
        if limits.fps is not None:
            most = limits.fps if limits.repeat else min(most, limits.fps)
        self.rate = ENCODERS[codec].rate(most if limits.frames is None else min(most, limits.frames / duration))
        self.container = av.open(
            str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}
        )
        self.video: VideoStream | None = None
        self.base = self.clock = Fraction(1)
        """Seconds of a tick of the source's clock, and of the file's."""
        self.pace: Pace | None = None
        self.planes = Planes()
        self.whole: Whole | None = None
        self.packets: list[Packet[Any]] = []
        self.sound: list[Packet[Any]] = []
        self.frames = 0
        self.slot = -1

    def frame(self, frame: VideoFrame, time: float) -> None:
        """One frame, `time` seconds from the clip's start."""
        stream = self._open(frame) if self.video is None else self.video
        ticks = round(time / self.base)
        if self.whole is None and frame.interlaced_frame and not stream.codec_context.flags & Flags.interlaced_dct:
            self.whole = Whole()
        if self.whole is None:
            self._take(frame, stream, ticks)
            return
        pts, frame.pts = frame.pts, ticks
        made = list(self.whole.see(frame))
        frame.pts = pts
        for one in made:
            self._take(one, stream, one.pts or 0)

    def _take(self, frame: VideoFrame, stream: VideoStream, ticks: int) -> None:
        """A frame as it is to be encoded, or the one before where an even rate is asked for."""
        if self.pace is None:
            self._let(frame, stream, ticks)
        else:
            for one, time in self.pace.see(frame, ticks):
                self._let(one, stream, time)

    def _let(self, frame: VideoFrame, stream: VideoStream, ticks: int) -> None:
        """Encodes a frame if it is among those that the limit lets through; `ticks` are of the file's clock."""
        if self._wanted(float(ticks * self.clock)):
            self._encode(frame, stream, ticks if self.frames else 0)

    def _wanted(self, time: float) -> bool:
        """Whether a frame is among those that the limit lets through: the first of each of so many even parts."""
        if self.limits.frames is None:
            return True
        slot = int(time / self.duration * self.limits.frames + JITTER)
        new = self.slot < slot < self.limits.frames
        self.slot = max(slot, self.slot)
        return new

    def packet(self, packet: Packet[Any]) -> None:
        """One packet of sound, with the source's times."""
        self.sound.append(packet)

    def _open(self, first: VideoFrame) -> VideoStream:
        """Opens the encoder for frames like the first."""
        self.base = self.clock = _base(first)
        if self.limits.fps is not None:
            self.pace = Pace(self.limits.fps, self.source, self.duration, self.base, repeat=self.limits.repeat)
            self.clock = self.pace.clock
        try:
            stream = self.container.add_stream(self.codec, rate=self.rate, options=steady(self.codec, self.options))
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"{self.codec}: this encoder is not in the installed av ({ffmpeg_said(error)})") from error
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = self.limits.size(first.width, first.height)
        stream.pix_fmt = "yuv420p"
        context: Any = stream.codec_context
        context.time_base = stream.time_base = self.clock
        context.thread_count = 1
        tag_colours(context, self._picture(first, stream))
        context.flags |= Flags.bitexact
        same = (stream.width, stream.height, "yuv420p") == (first.width, first.height, first.format.name)
        if first.interlaced_frame and same and ENCODERS[self.codec].fields:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        self.video = stream
        return stream

    def _picture(self, frame: VideoFrame, stream: VideoStream) -> VideoFrame:
        scaled = self.limits.scaled(frame.width, frame.height)
        return self.planes.convert(frame, (stream.width, stream.height), scaled)

    def _encode(self, frame: VideoFrame, stream: VideoStream, time: int) -> None:
        """Encodes a frame under the clip's clock; the frame is shared, so it is left as it was."""
        made = self._picture(frame, stream)
        pts, base, kind = frame.pts, frame.time_base, frame.pict_type
        made.pts, made.time_base, made.pict_type = time, self.clock, PictureType.NONE
        try:
            self.packets += stream.encode(made)
        except av.FFmpegError as error:
            raise MediaError(f"{self.codec}: the encoder does not take the clip ({ffmpeg_said(error)})") from error
        finally:
            frame.pts, frame.time_base, frame.pict_type = pts, base, kind
        self.frames += 1

    def close(self) -> Encoded:
        """Ends the file. Raises MediaError if no frame came."""
        stream = self.video
        if stream is None:
            self.container.close()
            raise MediaError("no frame came to be encoded")
        for frame in self.whole.close() if self.whole else ():
            self._take(frame, stream, frame.pts or 0)
        for frame, ticks in self.pace.close() if self.pace else ():
            self._let(frame, stream, ticks)
        self.packets += stream.encode(None)
        self._last()
        audio = soundtrack(self.container, self.sound, round(self.start / self.base) * self.base, self.duration)
        for packet in sorted([*self.packets, *audio.packets], key=decode_time):
            self.container.mux(packet)
        self.container.close()
        return Encoded(
            frames=self.frames,
            width=stream.width,
            height=stream.height,
            fps=self.frames / self.duration,
            start=0.0,
            duration=self.duration,
            codec=stream.codec.canonical_name,
            audio=audio.codec,
        )

    def _last(self) -> None:
        """Each picture lasts until the next, in order of presentation, and the last until the clip ends."""
        end = max(round(self.duration / self.clock), 1)
        shown = sorted(shown_at(packet) for packet in self.packets)
        until = dict(pairwise([*shown, max(end, shown[-1] + 1)]))
        for packet in self.packets:
            packet.duration = until[shown_at(packet)] - shown_at(packet)
        # a file of mp4 lasts as long as its last packet, in order of decoding, says
        self.packets[-1].duration = max(end - shown_at(self.packets[-1]), 1)


def _base(frame: VideoFrame) -> Fraction:
    assert frame.time_base is not None
    return frame.time_base


def decode_time(packet: Packet[Any]) -> float:
    """Seconds: the order in which packets are muxed."""
    assert packet.dts is not None
    return float(packet.dts * packet.time_base)


def check(codec: str) -> None:
    """Raises UsageError, naming the encoders that open, if this one does not: being listed proves nothing."""
    if (why := _refusal(codec)) is not None:
        rest = [name for name in ENCODERS if name != codec and _refusal(name) is None]
        raise UsageError(f"codec={codec}: it does not open on this machine ({why}); {', '.join(rest) or 'no other'} do")


def _refusal(codec: str) -> str | None:
    """Why an encoder does not open; None if it does."""
    try:
        _small(codec).open()
    except (av.FFmpegError, ValueError) as error:
        return f"{ffmpeg_said(error) or type(error).__name__}"
    return None


@cache
def build_of(codec: str) -> str:
    """What tells one build of an encoder from another: versions, and a digest of what it makes of a fixed picture."""
    if _refusal(codec) is not None:
        return "none that opens"
    context = _small(codec)
    context.options = steady(codec, {})
    context.flags |= Flags.bitexact
    frame = av.VideoFrame(context.width, context.height, "yuv420p")
    for number, plane in enumerate(frame.planes):
        wave = (x * x * (number + 1) // 64 % 256 for x in range(plane.buffer_size))
        plane.update(bytes(wave))
    frame.pts = 0
    made = [bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]]
    return f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}, {digest.of_bytes(b''.join(made)).hex()}"


def _small(codec: str) -> VideoCodecContext:
    """An encoder for pictures of a size that all take, not opened yet."""
    context = CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 320, 240, "yuv420p"
    context.time_base, context.thread_count = Fraction(1, 25), 1
    return context
