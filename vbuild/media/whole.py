"""Whether a file of pictures can be decoded to its end."""

from __future__ import annotations

import av

from vbuild.errors import MediaError
from vbuild.media.files import ffmpeg_said, open_container, picture

SUFFIXES = frozenset((".mp4", ".mkv", ".mov", ".webm", ".jpg", ".png"))
"""What FFmpeg decodes; of an animated webp it does not."""


def flaw(path: str) -> str | None:
    """Why not every frame of a file can be decoded; None if each can."""
    frames = 0
    try:
        with open_container(path) as container:
            for _ in container.decode(picture(container)):
                frames += 1
    except MediaError as error:
        return str(error)
    except av.FFmpegError as error:
        return f"frame {frames} cannot be decoded ({ffmpeg_said(error)})"
    return None if frames else "it holds no frame"
