"""Decoders in a graphics card, where there is one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import av
from av.codec.hwaccel import HWAccel

from vbuild.media.graphs import Filters

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

PLANAR = {"nv12": "yuv420p", "p010le": "yuv420p10le", "nv16": "yuv422p", "nv24": "yuv444p"}
"""How a card lays pixels out → the layout of the same values that the processor's decoders use."""


@cache
def cuda() -> bool:
    """Whether a CUDA device opens; that FFmpeg lists it says nothing."""
    try:
        HWAccel("cuda", allow_software_fallback=False).create(av.Codec("h264", "r"))
    except (av.FFmpegError, RuntimeError, NotImplementedError):
        return False
    return True


def accelerator(device: str) -> HWAccel | None:
    """What decodes on a device (auto, cpu or cuda); None for the processor, which also takes what the device cannot."""
    return HWAccel("cuda", allow_software_fallback=True) if device != "cpu" and cuda() else None


class Planar:
    """Brings frames to the processor's layout: from another, the same values would be shrunk to other pixels."""

    def __init__(self) -> None:
        self.filters = Filters()

    def lay(self, frame: VideoFrame) -> VideoFrame:
        """One frame, with all that it says of itself."""
        wanted = PLANAR.get(frame.format.name)
        if wanted is None:
            return frame
        made = self.filters.pass_through(frame, [("setparams", "colorspace=unknown"), ("format", wanted)])
        made.colorspace = frame.colorspace
        return made
