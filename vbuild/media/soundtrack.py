"""The sound of a clip's file: copied where it belongs in mp4, else made AAC, on the clock of the picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.codec.context import Flags

from vbuild.media.sound import Track, decoded, decoder_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

COPIED = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "opus"})
"""Sound that belongs in mp4 as it is; all other is made AAC."""

AAC_FRAME = 1024
"""Samples an AAC packet."""

AAC_RATES = frozenset((96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350))
AAC_LAYOUTS = frozenset(("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"))


@dataclass(frozen=True)
class Soundtrack:
    """What was added to a file."""

    codec: str | None = None
    """None where there is no sound under the picture."""
    packets: Sequence[Packet[Any]] = field(default_factory=list)
    """To be muxed."""


def soundtrack(
    container: OutputContainer, packets: Sequence[Packet[Any]], base: Fraction, seconds: float
) -> Soundtrack:
    """Adds a stream to a file for the sound that lies in `seconds` from `base`, the source's time of its first frame.

    `packets` are the source's; some may lie before and behind.
    """
    if not packets:
        return Soundtrack()
    source = packets[0].stream
    assert isinstance(source, av.AudioStream)
    if source.codec_context.name in COPIED and len({_shape(source.codec_context.name, p) for p in packets}) == 1:
        return _copied(container, source, packets, base, seconds)
    return _encoded(container, source, packets, base, seconds)


def _shape(codec: str, packet: Packet[Any]) -> tuple[int, ...]:
    """The numbers of the rate and of the channels in a packet's own header; a file has one of each for all packets.

    ADTS (ISO/IEC 13818-7, 6.2), MPEG audio (11172-3, 2.4.1.3) and AC-3 (ETSI TS 102 366, 4.3) bear them.
    """
    head = bytes(packet)[:7]
    if len(head) < 7:
        return ()
    if codec == "aac" and head[0] == 0xFF and head[1] & 0xF6 == 0xF0 and not packet.stream.codec_context.extradata:
        return head[2] >> 2 & 15, (head[2] & 1) << 2 | head[3] >> 6
    if codec.startswith("mp3"):
        return head[1] & 0x18, head[2] & 0x0C, int(head[3] >> 6 == 3)
    return (head[4] >> 6, head[6] >> 5) if codec == "ac3" else ()


def _copied(
    container: OutputContainer, source: AudioStream, packets: Sequence[Packet[Any]], base: Fraction, seconds: float
) -> Soundtrack:
    """Packets as they are, with one before the first for the decoder to start on; an edit list hides it."""
    kept: list[Packet[Any]] = []
    for packet in packets:
        assert packet.pts is not None
        time, span = packet.pts * packet.time_base - base, (packet.duration or 0) * packet.time_base
        # where a clock jumped, sound may overlap
        on = not kept or packet.pts >= (kept[-1].pts or 0) + (kept[-1].duration or 1) / 2
        if on and time + 2 * span > 0 and time < seconds:
            kept.append(packet)
    if not kept:
        return Soundtrack()
    stream = container.add_stream_from_template(source)
    made = []
    for packet in kept:
        own = av.Packet(bytes(packet))
        own.time_base, own.duration = packet.time_base, packet.duration
        own.pts = own.dts = (packet.pts or 0) - round(base / packet.time_base)
        own.is_keyframe = True
        own.stream = stream
        made.append(own)
    return Soundtrack(source.codec_context.codec.canonical_name, made)


def _encoded(
    container: OutputContainer, source: AudioStream, packets: Sequence[Packet[Any]], base: Fraction, seconds: float
) -> Soundtrack:
    """Decodes, trims to whole samples, and encodes as AAC, packet by packet.

    At the rate and in the layout of its beginning; at 48 kHz in stereo what AAC does not know as it is.
    """
    decoder, track, coder = decoder_of(source), None, None
    for packet in packets:
        for frame in decoded(decoder, packet):
            if frame.pts is None:
                continue
            if track is None:
                rate, layout = frame.sample_rate, frame.layout.name
                if rate not in AAC_RATES or layout not in AAC_LAYOUTS:
                    rate, layout = 48_000, "stereo"
                coder = _Coder(container, rate, layout)
                track = Track(seconds, rate, layout, coder.give)
            track.hear(frame, float(frame.pts * packet.time_base - base))
    if track is None or coder is None:
        return Soundtrack()
    track.close()
    return Soundtrack("aac", coder.close())


class _Coder:
    """Makes samples AAC."""

    def __init__(self, container: OutputContainer, rate: int, layout: str) -> None:
        stream = container.add_stream("aac", rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.flags |= Flags.bitexact
        stream.codec_context.thread_count = 1
        self.stream, self.rate, self.layout = stream, rate, layout
        self.made: list[Packet[Any]] = []
        self.rest = np.zeros((len(av.AudioLayout(layout).channels), 0), np.float32)
        self.place = 0

    def give(self, samples: np.ndarray, place: int) -> None:  # noqa: ARG002  they come without gaps
        """The next samples."""
        self.rest = np.concatenate([self.rest, samples], axis=1)
        while self.rest.shape[1] >= AAC_FRAME:
            self._encode(self.rest[:, :AAC_FRAME])
            self.rest = self.rest[:, AAC_FRAME:]

    def _encode(self, samples: np.ndarray) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.place, Fraction(1, self.rate)
        self.place += samples.shape[1]
        self.made += self.stream.encode(frame)

    def close(self) -> list[Packet[Any]]:
        """All packets."""
        if self.rest.shape[1]:
            self._encode(self.rest)
        return self.made + self.stream.encode(None)
