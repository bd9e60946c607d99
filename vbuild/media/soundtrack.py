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
    if source.codec_context.name in COPIED:
        return _copied(container, source, packets, base, seconds)
    return _encoded(container, source, packets, base, seconds)


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
    """Decodes, trims to whole samples, and encodes as AAC; at 48 kHz in stereo what AAC does not know as it is."""
    track = _decoded(source, packets, base, seconds)
    if track.samples is None:
        return Soundtrack()
    samples, rate, layout = track.samples, track.rate, track.layout
    if rate not in AAC_RATES or layout not in AAC_LAYOUTS:
        samples, rate, layout = track.resampled(48_000, 2), 48_000, "stereo"
    stream = container.add_stream("aac", rate=rate, layout=layout)
    assert isinstance(stream, av.AudioStream)
    stream.codec_context.flags |= Flags.bitexact
    stream.codec_context.thread_count = 1
    made: list[Packet[Any]] = []
    for start in range(0, samples.shape[1], AAC_FRAME):
        part = np.ascontiguousarray(samples[:, start : start + AAC_FRAME])
        frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        made += stream.encode(frame)
    return Soundtrack("aac", made + stream.encode(None))


def _decoded(source: AudioStream, packets: Sequence[Packet[Any]], base: Fraction, seconds: float) -> Track:
    track = Track(seconds)
    decoder = decoder_of(source)
    for packet in packets:
        for frame in decoded(decoder, packet):
            if frame.pts is not None:
                track.hear(frame, float(frame.pts * packet.time_base - base))
    return track
