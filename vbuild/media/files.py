"""Opens video files, and says in one line what is wrong with those that do not open."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.stream import Disposition

from vbuild import uris
from vbuild.errors import MediaError, NoVideoError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
    from av.video.stream import VideoStream


@contextmanager
def opened(path: str, hardware: HWAccel | None = None) -> Iterator[InputContainer]:
    """A file that a path or a uri names, open for reading; `hardware` decodes what it can.

    Raises MediaError if it is no media file.
    """
    if Path(path).is_file() and not Path(path).stat().st_size:
        raise MediaError("the file is empty (0 bytes)")
    with ExitStack() as stack:
        try:
            file = path if uris.is_path(path) else stack.enter_context(uris.opened(path))
            container = av.open(file, "r", metadata_errors="replace", hwaccel=hardware)
        except FileNotFoundError as error:
            raise MediaError("the file is gone") from error
        except uris.trouble(av.FFmpegError) as error:
            raise MediaError(f"it is no video that can be opened ({said(error)})") from error
        with container:
            yield container


def picture(container: InputContainer) -> VideoStream:
    """The first stream of moving pictures; a cover picture is none. Raises NoVideoError if there is none."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if moving:
        return moving[0]
    if not container.streams:
        raise NoVideoError("no stream was found in it")
    kinds = sorted({s.type or "unknown" for s in container.streams if s.type != "video"})
    cover = " and a cover picture" if container.streams.video else ""
    raise NoVideoError(f"no video stream; it holds only {', '.join(kinds) or 'no sound'}{cover}")


def said(error: Exception) -> str:
    """What FFmpeg said, without the path."""
    text = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return " ".join(str(text).split())
