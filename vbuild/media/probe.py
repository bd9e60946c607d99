"""Tells what a video file holds, counting only what can be trusted: packets, not headers."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av

from vbuild.errors import MediaError
from vbuild.media.files import (
    description,
    encrypted,
    ffmpeg_said,
    heard,
    open_container,
    picture,
    sound,
    tags,
    timed_streams,
)
from vbuild.media.line import Line
from vbuild.media.orientation import orientation, shown_size, stretch_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FIRST_FRAMES = 400
"""Packets that are tried before a file is said to hold no picture that can be decoded."""

CHAPTER = re.compile(r"\s*Chapter #\d+:\d+: start (-?[\d.]+), end (-?[\d.]+)$")
"""How FFmpeg describes a chapter: seconds."""

TRUE = 10
"""How much shorter than usual the last frame may be: many programs that know no better write one tick."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video stream and what stands beside it."""

    container: str
    codec: str
    pixel_format: str
    width: int
    """Pixels, as shown: turned upright, with square pixels."""
    height: int
    coded_width: int
    coded_height: int
    rotation: int
    """Degrees clockwise that turn it upright: 0, 90, 180 or 270."""
    fps: float | None
    """Frames by duration; None for a single frame without a duration."""
    frames: int
    """Packets that carry a picture that is shown: those of one time count once, for but one of them is shown."""
    duration: float
    """Seconds from the first frame's presentation to the end of the last's."""
    start_pts: int
    end_pts: int
    """Half-open, in ticks of the time base."""
    time_base_num: int
    time_base_den: int
    stream: int
    """The index of the stream in the file."""
    keyframes: int
    bitrate: int
    """Bits a second of the picture's packets."""
    interlaced: bool
    """Whether its frames are made of two fields."""
    vfr: bool
    """Whether frames stand at uneven distances, by more than the time base's rounding."""
    audio: str | None
    """The codec of the first sound that can be decoded."""
    audio_rate: int | None
    audio_channels: int | None
    video_streams: int
    jumps: int
    """How often the clock of the file jumps; what is behind a jump goes on where that before left off."""
    warning: str | None
    """What does not add up."""


@dataclass
class _Scan:
    """The packets of a stream."""

    pts: list[int]
    durations: list[int]
    keyframes: int = 0
    untimed: int = 0
    size: int = 0
    """Bytes of all packets."""
    hidden: int = 0
    """Packets whose picture is not shown."""
    jumps: int = 0
    """How often the clock of the file jumps."""
    broke: str | None = None
    cut: bool = False
    """Whether the file ends too early."""


def probe(path: str) -> Video:
    """Reads all packets of the video stream and decodes its first frame. Raises MediaError, NoVideoError."""
    with open_container(path) as container:
        first = _first_frame(container, picture(container))
    with open_container(path) as container:
        stream = picture(container)
        scan = _scan(container, stream)
        if isinstance(first, str):
            raise MediaError(_undecodable(path, stream, scan, first))
        return _video(container, stream, first, scan)


def times(path: str) -> list[float]:
    """When each frame of a file is shown, by its packets: seconds from the first. Raises MediaError, NoVideoError."""
    with open_container(path) as container:
        stream = picture(container)
        pts = sorted(set(_scan(container, stream).pts)) or [0]
        return [float((p - pts[0]) * (stream.time_base or Fraction(1, 1000))) for p in pts]


def chapters(path: str) -> list[float]:
    """Starts and ends, by turns, of the chapters that a file names: seconds from its first frame, none before it."""
    with open_container(path) as container:
        stream = picture(container)
        marks = _marks(container)
        pts = min(_scan(container, stream).pts, default=0) if marks else 0
        first = pts * (stream.time_base or Fraction(1, 1000))
        spans = [[max(time - first, Fraction(0)) for time in pair] for pair in marks]
    return [float(time) for start, end in sorted(spans) if start < end for time in (start, end)]


def _marks(container: InputContainer) -> list[tuple[Fraction, Fraction]]:
    """Starts and ends of chapters, seconds of the file's clock; PyAV tells them from 16 on, FFmpeg to a microsecond."""
    if not hasattr(container, "chapters"):
        return [(Fraction(m[1]), Fraction(m[2])) for line in description(container) if (m := CHAPTER.match(line))]
    units = ((mark, mark["time_base"] or Fraction(1)) for mark in container.chapters())
    return [(mark["start"] * unit, mark["end"] * unit) for mark, unit in units]


def hidden(packet: Packet[Any], codec: str) -> bool:
    """Whether the picture of a packet is not shown: an edit list leaves it out, or only other pictures refer to it.

    The latter as the headers of VP8 (RFC 6386, 9.1) and VP9 (its bitstream specification, 6.2) say; what is hidden
    within a packet of several pictures counts for nothing.
    """
    if packet.is_discard or codec not in ("vp8", "vp9"):
        return packet.is_discard
    data = memoryview(packet)
    if codec == "vp8":
        return not data[0] & 0x10
    several, more = data[-1] & 0xE0 == 0xC0, data[0] & 0x30 == 0x30
    again, shown = (0x04, 0x01) if more else (0x08, 0x02)
    return not (several or data[0] & (again | shown))


def _first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame | str:
    """The first frame that can be decoded: proof that the codec is known and the data is whole; else what is wrong."""
    why = "it holds no packet"
    try:
        for count, packet in enumerate(container.demux(stream)):
            if hasattr(packet, "has_sidedata") and packet.has_sidedata("encryption_info"):  # as PyAV tells from 16 on
                return ENCRYPTED
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                why = ffmpeg_said(error)
                frames = []
            if frames:
                return frames[0]
            if count >= FIRST_FRAMES:
                break
    except av.FFmpegError as error:
        why = ffmpeg_said(error)
    return why


def _undecodable(path: str, stream: VideoStream, scan: _Scan, why: str) -> str:
    """Why no frame of a video can be decoded, of which the decoder said `why`."""
    if why == ENCRYPTED or encrypted(path):
        return f"its {stream.codec_context.name} video is {ENCRYPTED}"
    if scan.cut and len(scan.pts) <= 1:
        return "the file is cut off before the end of its first frame"
    return f"no frame of its {stream.codec_context.name} video can be decoded ({why})"


ENCRYPTED = "encrypted"

CUT = ("partial file", "File ended prematurely", "Truncated packet", "truncated")
"""What FFmpeg says, among other words, of a file that ends too early."""


def _scan(container: InputContainer, stream: VideoStream) -> _Scan:
    scan, line, codec = _Scan([], []), Line(container), stream.codec_context.codec.canonical_name
    try:
        with heard() as log:
            for packet in map(line.moved, container.demux(timed_streams(container, stream))):
                if packet.stream is stream and packet.size:
                    _count(scan, packet, codec)
    except av.FFmpegError as error:
        scan.broke = ffmpeg_said(error)
    scan.jumps = line.jumps
    scan.cut = any(words in text for text in log for words in CUT)
    return scan


def _count(scan: _Scan, packet: Packet[Any], codec: str) -> None:
    scan.size += packet.size
    scan.keyframes += packet.is_keyframe and not packet.is_discard
    if hidden(packet, codec):
        scan.hidden += 1
        return
    time = packet.dts if packet.pts is None else packet.pts
    scan.untimed += packet.pts is None
    if time is not None:
        scan.pts.append(time)
        scan.durations.append(packet.duration or 0)


def _video(container: InputContainer, stream: VideoStream, first: VideoFrame, scan: _Scan) -> Video:
    base = stream.time_base or Fraction(1, 1000)
    if not scan.pts:
        scan.pts.append(first.pts or 0)
        scan.durations.append(0)
    spans = dict(sorted(zip(scan.pts, scan.durations, strict=True)))
    pts = list(spans)
    deltas = [b - a for a, b in pairwise(pts)]
    usual = round(statistics.median(deltas)) if deltas else 0
    last = spans[pts[-1]]
    # in mp4 what others are decoded behind says when they are decoded, not how long it is shown
    false = last * TRUE < usual or (pts[-1] != scan.pts[-1] and last > 2 * usual > 0)
    last = (usual if false else last) or _tick_of(stream, base)
    start, end = pts[0], pts[-1] + max(last, 1)
    duration = float((end - start) * base)
    context = stream.codec_context
    turn = orientation(first)
    width, height = shown_size(first, stretch_of(stream), turn)
    heard = sound(container)
    return Video(
        container=container.format.name,
        codec=context.codec.canonical_name,
        pixel_format=first.format.name,
        width=width,
        height=height,
        coded_width=first.width,
        coded_height=first.height,
        rotation=-turn.turns % 4 * 90,
        fps=len(pts) / duration if len(pts) > 1 or scan.durations[0] else None,
        frames=len(pts),
        duration=duration,
        start_pts=start,
        end_pts=end,
        time_base_num=base.numerator,
        time_base_den=base.denominator,
        stream=stream.index,
        keyframes=scan.keyframes,
        bitrate=round(scan.size * 8 / duration),
        interlaced=first.interlaced_frame,
        vfr=_uneven(deltas, base),
        audio=None if heard is None else heard.codec_context.codec.canonical_name,
        audio_rate=None if heard is None else heard.codec_context.sample_rate,
        audio_channels=None if heard is None else heard.codec_context.channels,
        video_streams=len(container.streams.video),
        jumps=scan.jumps,
        warning=_warning(container, stream, first, scan, pts),
    )


def _tick_of(stream: VideoStream, base: Fraction) -> int:
    """The ticks of one frame by the header's rate, for a stream of one frame."""
    rate = stream.average_rate or stream.guessed_rate
    return round(1 / (rate * base)) if rate else 1


def _uneven(deltas: list[int], base: Fraction) -> bool:
    """Whether distances differ by more than a tick, and by more than 2 ms where ticks are coarse."""
    return bool(deltas) and (max(deltas) - min(deltas)) > max(1, 0.002 / float(base))


def _warning(
    container: InputContainer, stream: VideoStream, first: VideoFrame, scan: _Scan, pts: list[int]
) -> str | None:
    remarks = []
    if first.interlaced_frame:
        remarks.append("its frames are interlaced")
    if orientation(first).odd:
        remarks.append("its display matrix is no turn, and is not followed")
    if scan.cut:
        remarks.append("the file is cut off")
    if scan.broke:
        remarks.append(f"reading ends early ({scan.broke})")
    if stream.frames > len(pts) + scan.hidden:
        remarks.append(f"the header says {stream.frames} frames, {len(pts)} are there")
    if scan.untimed:
        remarks.append(f"{scan.untimed} frames have no presentation time")
    if len(container.streams.video) > 1:
        remarks.append(f"{len(container.streams.video)} video streams: the first of moving pictures is taken")
    if scan.jumps:
        remarks.append(f"its clock jumps {scan.jumps} times: what is behind goes on where that before left off")
    unheard = [s for s in container.streams.audio if s.codec_context is None]
    if unheard:
        remarks.append(f"no decoder is known for its sound ({', '.join(tags(container, unheard))})")
    return "; ".join(remarks) or None
