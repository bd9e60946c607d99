"""Opens video files, and says in one line what is wrong with those that do not open."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from errno import EINVAL
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.container import InputContainer
from av.stream import Disposition

from vbuild import uris
from vbuild.errors import MediaError, NoVideoError, SourceError
from vbuild.media.logs import listened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.audio.stream import AudioStream
    from av.codec.hwaccel import HWAccel
    from av.stream import Stream
    from av.video.stream import VideoStream

TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if hasattr(InputContainer, "metadata_errors") else {}
"""For titles that are no text; from PyAV 19 on they are read so by themselves."""

UNREADABLE = av.FFmpegError
"""What FFmpeg raises of bytes that it cannot read, or write."""


FORMATS = (
    *("mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "ogg", "asf", "mxf", "rm", "nut"),
    *("ivf", "obu", "av1", "h264", "hevc", "vvc", "m4v", "h263", "h261", "vc1", "dirac", "mjpeg", "mjpeg_2000", "dv"),
    *("gxf", "lxf", "wtv", "nsv", "nuv", "pva", "ty", "swf", "live_flv", "yuv4mpegpipe", "cavsvideo", "avs2", "avs3"),
    *("dnxhd", "mlv", "cine", "r3d", "ipu", "evc", "apv", "bink", "smk", "flic", "roq", "4xm", "vivo", "amv", "kux"),
    *("gif", "apng", "jpegxl_anim", "image2", "jpeg_pipe", "png_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe"),
    *("wav", "w64", "mp3", "aac", "flac", "ac3", "eac3", "dts", "amr", "aiff", "au", "caf", "ape", "tta", "wv", "loas"),
)
"""Demuxers that read one file and nothing else: what another file holds would be in no key. No playlists, no streams
of the network, no devices."""

ALONE = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file", "pattern_type": "none"}
"""Options by which FFmpeg opens the file that is named and no other."""

HEAD = 512
"""Bytes that tell a text."""

BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp", b"sidx", b"pdin", b"meta")
"""What the boxes are called that an mp4 begins with."""

MOOV = 64 << 20
"""Bytes of an index that are looked through."""

NO_INDEX = "moov atom not found"
"""What FFmpeg says of an mp4 without one, and of what is called so and is none."""

KINDS = {"unknown": "streams of no known kind", None: "streams of no known kind"}
"""What kinds of streams are called whose names say nothing."""

TAG = re.compile(r"\s*Stream #\d+:(\d+).*?: \w+: [\w-]+ (?:\([^)/]*\) )*\((\S+) / 0x")
"""How FFmpeg describes a stream: its index, and the tag of its codec."""


@contextmanager
def open_container(path: str, hardware: HWAccel | None = None) -> Iterator[InputContainer]:
    """A file that a path or a uri names, open for reading; `hardware` decodes what it can.

    Raises MediaError if it is no media file, and SourceError if it cannot be reached.
    """
    if Path(path).is_file() and not Path(path).stat().st_size:
        raise MediaError("the file is empty (0 bytes)")
    with ExitStack() as stack:
        try:
            file = f"file:{path}" if uris.is_path(path) else stack.enter_context(uris.open_uri(path))
            with heard() as log:
                container = av.open(file, "r", hwaccel=hardware, container_options=ALONE, **TOLERANT)
        except FileNotFoundError as error:
            raise SourceError("the file is gone") from error
        except uris.away() as error:
            raise SourceError(f"the file cannot be read ({ffmpeg_said(error)})") from error
        except uris.trouble(av.FFmpegError) as error:
            raise MediaError(f"it is no video that can be opened ({_why(path, error, log)})") from error
        with container:
            yield container


@contextmanager
def heard() -> Iterator[list[str]]:
    """The errors that FFmpeg logs meanwhile in this thread, a line each; there when it is over."""
    lines: list[str] = []
    with listened(av.logging.ERROR) as said:
        try:
            yield lines
        finally:
            lines += dict.fromkeys(" ".join(text.split()) for _, _, text in said)


def _why(path: str, error: Exception, log: Sequence[str]) -> str:
    """What is wrong with a file that FFmpeg does not open, of which it logged so much."""
    try:
        with uris.open_uri(path) as stream:
            start = stream.read(HEAD)
    except uris.trouble() as unread:
        return uris.reason(unread)
    head = start.decode(errors="ignore")
    if head and all(character.isprintable() or character.isspace() for character in head):
        return "it is a text: a playlist, a description of a stream, a web page"
    if isinstance(error, av.FFmpegError) and error.errno == EINVAL:
        return "its format is none of those that hold their own pictures, all in one file"
    if NO_INDEX in log:
        boxes = start[4:8] in BOXES
        return "its index, the moov box, is missing: it was cut off, or never finished" if boxes else ffmpeg_said(error)
    return "; ".join(log) or ffmpeg_said(error)


def encrypted(path: str) -> bool:
    """Whether the pictures of an mp4 are encrypted, by the name of their sample entry (ISO/IEC 14496-12, 8.12)."""
    with uris.open_uri(path) as stream:
        while len(head := stream.read(8)) == 8:
            size, name, read = int.from_bytes(head[:4], "big"), head[4:], 8
            if size == 1:
                size, read = int.from_bytes(stream.read(8), "big"), 16
            if name == b"moov":
                return b"encv" in stream.read(min(size, MOOV))
            if size < read or name not in BOXES:
                return False
            stream.seek(size - read, os.SEEK_CUR)
    return False


def picture(container: InputContainer) -> VideoStream:
    """The first stream of moving pictures; a cover picture is none. Raises NoVideoError if there is none."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    known = [s for s in moving if s.codec_context is not None]
    if known:
        return known[0]
    if moving:
        raise NoVideoError(f"no decoder is known for its pictures ({', '.join(tags(container, moving))})")
    if not container.streams:
        raise NoVideoError("no stream was found in it")
    kinds = sorted({KINDS.get(s.type, s.type) for s in container.streams if s.type != "video"})
    cover = " and a cover picture" if container.streams.video else ""
    raise NoVideoError(f"no video stream; it holds only {', '.join(kinds) or 'no sound'}{cover}")


def sound(container: InputContainer) -> AudioStream | None:
    """The first stream of sound for which there is a decoder; phones write some for which there is none."""
    return next((s for s in container.streams.audio if s.codec_context is not None), None)


def timed_streams(container: InputContainer, video: VideoStream) -> list[Stream]:
    """The streams that are read together, so that wherever a file is read it has one line of time."""
    heard = sound(container)
    return [video] if heard is None else [video, heard]


def tags(container: InputContainer, streams: Sequence[Stream]) -> list[str]:
    """The tags of the codecs of some streams, four letters as a rule, which FFmpeg tells in its description alone."""
    names = {int(m[1]): m[2] for line in description(container) if (m := TAG.match(line))}
    return [names.get(stream.index, "unknown") for stream in streams]


def description(container: InputContainer) -> list[str]:
    """How FFmpeg describes a file, in lines: for what PyAV does not tell."""
    with listened(av.logging.INFO):
        text: str = container.dumps_format()  # type: ignore[attr-defined]
    return text.splitlines()


def ffmpeg_said(error: Exception) -> str:
    """What FFmpeg said, without the path."""
    text = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return " ".join(str(text).split())
