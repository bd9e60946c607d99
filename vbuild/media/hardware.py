"""Decoders in a graphics card, where there is one."""

from __future__ import annotations

from functools import cache

import av
from av.codec.hwaccel import HWAccel


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
