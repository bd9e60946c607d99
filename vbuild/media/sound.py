"""The sound of a clip as samples on the clip's own clock."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.codec.context import CodecContext

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from av.audio.frame import AudioFrame
    from av.packet import Packet
    from av.stream import Stream

    from vbuild.stage import Sound

JITTER = 0.005
"""Seconds by which a packet's time may be off by rounding, and still follow on the one before without a gap."""

LAYOUTS = {1: "mono", 2: "stereo"}


def layout_of(channels: int) -> str:
    """FFmpeg's name for so many channels."""
    return LAYOUTS.get(channels, f"{channels}c")


def decoder_of(stream: Stream) -> av.AudioCodecContext:
    """A decoder for a stream of sound that has decoded nothing yet."""
    context = stream.codec_context
    assert isinstance(context, av.AudioCodecContext)
    made = CodecContext.create(context.codec.name, "r")
    assert isinstance(made, av.AudioCodecContext)
    made.extradata, made.sample_rate, made.layout = context.extradata, context.sample_rate, context.layout.name
    return made


def decoded(decoder: av.AudioCodecContext, packet: Packet[Any]) -> list[AudioFrame]:
    """The frames of a packet, with times in ticks of the packet's base; none of one that is damaged."""
    try:
        frames = decoder.decode(packet)
    except av.FFmpegError:
        return []
    for frame in frames:
        frame.time_base = packet.time_base
    return frames


class Track:
    """Gives on the decoded sound of a clip, on its clock, at one rate and in one layout, with silence in gaps.

    Where the source's rate or channels change, another resampler goes on. Nothing is held but what a resampler holds.
    """

    def __init__(self, duration: float, rate: int, layout: str, give: Callable[[np.ndarray, int], object]) -> None:
        """`give` gets float32 (channels, samples), block after block, and the place of the first of them.

        Together they are round(duration · rate) samples.
        """
        self.rate, self.layout, self.give = rate, layout, give
        self.channels = len(av.AudioLayout(layout).channels)
        self.length = round(duration * rate)
        self.given = self.place = 0
        self.resampler: AudioResampler | None = None
        self.made_for: tuple[object, ...] = ()
        self.due = 0.0
        """Seconds at which the next frame follows without a gap."""

    def hear(self, frame: AudioFrame, time: float) -> None:
        """One decoded frame of sound that starts `time` seconds after the clip does; it may reach over both ends."""
        shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        if self.resampler is None or shape != self.made_for or abs(time - self.due) > JITTER:
            self._flush()
            self.resampler, self.made_for = AudioResampler("fltp", self.layout, self.rate), shape
            self.place, self.due = round(time * self.rate), time
        self.due += frame.samples / frame.sample_rate
        self._put(self.resampler.resample(frame))

    def _flush(self) -> None:
        if self.resampler is not None:
            self._put(self.resampler.resample(None))

    def _put(self, frames: Sequence[AudioFrame]) -> None:
        for frame in frames:
            data = frame.to_ndarray()
            self._silence(min(self.place, self.length))
            # of what is heard twice the first stays
            self._give(data[:, max(self.given - self.place, 0) : max(self.length - self.place, 0)])
            self.place += data.shape[1]

    def _silence(self, until: int) -> None:
        while self.given < until:
            self._give(np.zeros((self.channels, min(until - self.given, self.rate)), np.float32))

    def _give(self, data: np.ndarray) -> None:
        if data.shape[1]:
            self.give(np.ascontiguousarray(data), self.given)
            self.given += data.shape[1]

    def close(self) -> None:
        """The clip is over."""
        self._flush()
        self._silence(self.length)


class Heard:
    """The sound of a clip, kept until it is over."""

    def __init__(self, duration: float, request: Sound) -> None:
        self.samples = np.zeros((request.channels, round(duration * request.rate)), np.float32)
        # the array, not self: a circle would keep all samples until the garbage collector comes by
        self.track = Track(duration, request.rate, layout_of(request.channels), partial(_keep, self.samples))

    def close(self) -> np.ndarray:
        """All of it: float32 (channels, samples)."""
        self.track.close()
        return self.samples


def _keep(samples: np.ndarray, data: np.ndarray, place: int) -> None:
    samples[:, place : place + data.shape[1]] = data
