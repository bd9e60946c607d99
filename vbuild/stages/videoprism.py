"""An embedding of what happens in a clip, by VideoPrism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.embedding import VideoEncoder
from vbuild.stage import weights


@dataclass(frozen=True, kw_only=True)
class VideoPrism(VideoEncoder):
    """A unit vector of what happens in a clip, by VideoPrism.

    Words have vectors beside those of clips.

    Zhao et al., VideoPrism: a foundational visual encoder for video understanding, 2024.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("videoprism",)

    model: str = weights("google/videoprism-lvt-base-f16r288")
