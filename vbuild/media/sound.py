"""The sound of a clip as samples on the clip's own clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.codec.context import CodecContext

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.packet import Packet
    from av.stream import Stream

JITTER = 0.005
"""Seconds by which a packet's time may be off by rounding, and still follow on the one before without a gap."""

LAYOUTS = {1: "mono", 2: "stereo"}


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
    """Collects the decoded sound of a clip at the source's rate: float32 (channels, samples), silence in gaps."""

    def __init__(self, duration: float) -> None:
        self.duration = duration
        self.samples: np.ndarray | None = None
        self.rate = 0
        self.layout = ""
        self.place = 0
        self.planar: AudioResampler | None = None

    def hear(self, frame: AudioFrame, time: float) -> None:
        """One decoded frame of sound that starts `time` seconds after the clip does; it may reach over both ends."""
        if self.samples is None or self.planar is None:
            self.rate, self.layout = frame.sample_rate, frame.layout.name
            channels = len(frame.layout.channels)
            self.samples = np.zeros((channels, round(self.duration * self.rate)), np.float32)
            self.planar = AudioResampler("fltp", frame.layout, frame.sample_rate)
            self.place = round(time * self.rate)
        for converted in self.planar.resample(frame):
            data = converted.to_ndarray()
            place = round(time * self.rate)
            if abs(place - self.place) <= JITTER * self.rate:
                place = self.place
            self._put(data, place)
            self.place = place + data.shape[1]

    def _put(self, data: np.ndarray, place: int) -> None:
        assert self.samples is not None
        first, last = max(place, 0), min(place + data.shape[1], self.samples.shape[1])
        if first < last and len(data) == len(self.samples):
            self.samples[:, first:last] = data[:, first - place : last - place]

    def resampled(self, rate: int, channels: int) -> np.ndarray:
        """The whole clip's sound at another rate and number of channels: float32 (channels, round(duration · rate))."""
        wanted = np.zeros((channels, round(self.duration * rate)), np.float32)
        if self.samples is None:
            return wanted
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(self.samples), "fltp", self.layout)
        frame.sample_rate = self.rate
        turn = AudioResampler("fltp", LAYOUTS.get(channels, f"{channels}c"), rate)
        parts = [part.to_ndarray() for fed in (frame, None) for part in turn.resample(fed)]
        found = np.concatenate(parts, axis=1) if parts else wanted[:, :0]
        length = min(found.shape[1], wanted.shape[1])
        wanted[:, :length] = found[:, :length]
        return wanted
