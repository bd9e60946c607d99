"""Encodes one clip to mp4, picture and sound on one clock, with bytes that depend on nothing but the clip."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.codec.context import CodecContext, Flags
from av.video.frame import PictureType

from vbuild.errors import MediaError
from vbuild.media.files import said
from vbuild.media.sound import Track

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

COPIED = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "opus"})
"""Sound that belongs in mp4 as it is; all other is made AAC."""

ENCODERS = ("libx264", "libopenh264", "h264_nvenc")

AAC_FRAME = 1024
"""Samples an AAC packet."""


@dataclass(frozen=True)
class Encoded:
    """What an encoder left."""

    frames: int
    width: int
    height: int
    fps: float | None
    duration: float
    """Seconds of picture."""
    codec: str
    audio: str | None
    """The codec of its sound; None if the clip has none."""


class ClipEncoder:
    """Takes a clip's frames and packets of sound and writes an mp4 file.

    Picture and sound are moved by one time, that of the first frame, so they stay in step. Frames keep their own
    distances. One thread a clip: x264's output depends on the number of threads.
    """

    def __init__(
        self, path: Path, *, codec: str, options: Mapping[str, str], duration: float, sound: bool = True
    ) -> None:
        self.codec, self.options, self.duration, self.wants_sound = codec, options, duration, sound
        self.container = av.open(
            str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}
        )
        self.video: VideoStream | None = None
        self.first: VideoFrame | None = None
        self.packets: list[Packet[Any]] = []
        self.sound: list[Packet[Any]] = []
        self.frames = 0
        self.start = 0.0
        self.last_pts = self.step = 0

    def frame(self, frame: VideoFrame, time: float) -> None:
        """One frame, `time` seconds from the clip's start. The first waits for the second, which tells the rate."""
        if self.first is None:
            self.first, self.start = frame, time
            return
        if self.video is None:
            self._open(self.first, _pts(frame) - _pts(self.first))
        self._encode(frame)

    def packet(self, packet: Packet[Any]) -> None:
        """One packet of sound, with the source's times."""
        if self.wants_sound:
            self.sound.append(packet)

    def _open(self, first: VideoFrame, step: int) -> None:
        """Opens the encoder for frames like the first, `step` ticks apart, and encodes the first."""
        base = _base(first)
        rate = Fraction(1 / (step * base)).limit_denominator(100_000)
        try:
            stream = self.container.add_stream(self.codec, rate=rate, options=dict(self.options))
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"{self.codec}: this encoder is not in the installed av ({said(error)})") from error
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = _even(first.width), _even(first.height), "yuv420p"
        context: Any = stream.codec_context
        context.time_base = stream.time_base = base
        context.thread_count = 1
        context.color_range, context.colorspace = first.color_range, first.colorspace
        context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
        context.flags |= Flags.bitexact
        self.video, self.step = stream, step
        self._encode(first)

    def _encode(self, frame: VideoFrame) -> None:
        """Encodes a frame under the clip's clock; the frame is shared, so it is left as it was."""
        stream = self.video
        assert stream is not None
        assert self.first is not None
        wanted = (stream.width, stream.height, "yuv420p")
        same = wanted == (frame.width, frame.height, frame.format.name)
        made = frame if same else frame.reformat(*wanted)
        pts, kind, self.last_pts = _pts(frame), frame.pict_type, _pts(frame)
        made.pts, made.pict_type = pts - _pts(self.first) if frame is not self.first else 0, PictureType.NONE
        try:
            self.packets += stream.encode(made)
        except av.FFmpegError as error:
            raise MediaError(f"{self.codec}: the encoder does not take the clip ({said(error)})") from error
        finally:
            frame.pts, frame.pict_type = pts, kind
        self.frames += 1

    def close(self) -> Encoded:
        """Ends the file. Raises MediaError if no frame came."""
        if self.first is None:
            self.container.close()
            raise MediaError("no frame came to be encoded")
        if self.video is None:
            self._open(self.first, max(1, round(self.duration / _base(self.first))))
        stream = self.video
        assert stream is not None
        self.packets += stream.encode(None)
        for packet in self.packets:
            packet.duration = packet.duration or self.step
        audio = self._add_sound(self.first)
        for packet in sorted(self.packets, key=_decode_time):
            self.container.mux(packet)
        self.container.close()
        seconds = float((self.last_pts - _pts(self.first) + self.step) * _base(self.first))
        return Encoded(
            frames=self.frames,
            width=stream.width,
            height=stream.height,
            fps=self.frames / seconds,
            duration=seconds,
            codec=stream.codec.canonical_name,
            audio=audio,
        )

    def _add_sound(self, first: VideoFrame) -> str | None:
        """Adds the sound that lies under the clip's picture, and returns its codec."""
        if not self.sound:
            return None
        base = _pts(first) * _base(first)
        source = self.sound[0].stream
        assert isinstance(source, av.AudioStream)
        if source.codec_context.name in COPIED:
            return self._copy(source, base)
        return self._transcode(source, base)

    def _copy(self, source: AudioStream, base: Fraction) -> str | None:
        """Takes packets as they are, with one before the first for the decoder to start on; an edit list hides it."""
        seconds = self.duration - self.start
        kept = []
        for packet in self.sound:
            assert packet.pts is not None
            time, span = packet.pts * packet.time_base - base, (packet.duration or 0) * packet.time_base
            if time + 2 * span > 0 and time < seconds:
                kept.append(packet)
        if not kept:
            return None
        stream = self.container.add_stream_from_template(source)
        for packet in kept:
            own = av.Packet(bytes(packet))
            own.time_base, own.duration = packet.time_base, packet.duration
            own.pts = own.dts = (packet.pts or 0) - round(base / packet.time_base)
            own.is_keyframe = True
            own.stream = stream
            self.packets.append(own)
        return source.codec_context.codec.canonical_name

    def _transcode(self, source: AudioStream, base: Fraction) -> str | None:
        """Decodes, trims to whole samples, and encodes as AAC."""
        track = Track(self.duration - self.start)
        decoder = CodecContext.create(source.codec_context.codec.name, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.extradata = source.codec_context.extradata
        decoder.sample_rate, decoder.layout = source.codec_context.sample_rate, source.codec_context.layout.name
        for packet in self.sound:
            try:
                frames = decoder.decode(packet)
            except av.FFmpegError:
                continue
            for frame in frames:
                if frame.pts is not None:
                    track.hear(frame, float(frame.pts * packet.time_base - base))
        if track.samples is None:
            return None
        stream = self.container.add_stream("aac", rate=track.rate, layout=track.layout)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.flags |= Flags.bitexact
        stream.codec_context.thread_count = 1
        for start in range(0, track.samples.shape[1], AAC_FRAME):
            part = np.ascontiguousarray(track.samples[:, start : start + AAC_FRAME])
            frame = av.AudioFrame.from_ndarray(part, "fltp", track.layout)
            frame.sample_rate, frame.pts, frame.time_base = track.rate, start, Fraction(1, track.rate)
            self.packets += stream.encode(frame)
        self.packets += stream.encode(None)
        return "aac"


def _pts(frame: VideoFrame) -> int:
    assert frame.pts is not None
    return frame.pts


def _base(frame: VideoFrame) -> Fraction:
    assert frame.time_base is not None
    return frame.time_base


def _even(side: int) -> int:
    """The side of a 4:2:0 picture."""
    return max(2, side // 2 * 2)


def _decode_time(packet: Packet[Any]) -> float:
    assert packet.dts is not None
    return float(packet.dts * packet.time_base)


def check(codec: str) -> None:
    """Raises MediaError, naming the encoders that open, if this one does not: being listed proves nothing."""
    if not _opens(codec):
        rest = [name for name in ENCODERS if name != codec and _opens(name)]
        raise MediaError(f"encoder {codec} does not open on this machine; {', '.join(rest) or 'no other'} does")


def _opens(codec: str) -> bool:
    try:
        context = CodecContext.create(codec, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = 320, 240, "yuv420p"
        context.time_base = Fraction(1, 25)
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True
