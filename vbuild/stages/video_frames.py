"""Frames of a whole video as image files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vbuild.stages.frames import Frames


@dataclass(frozen=True, kw_only=True)
class VideoFrames(Frames):
    """What `frames` keeps of clips, of each video as it is, before it is split; its columns stand in `videos`."""

    version: ClassVar[int] = 1
    scope: ClassVar = "video"
