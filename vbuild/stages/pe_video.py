"""An embedding of what happens in a clip, by the video tower of a Perception Encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.embedding import VideoEncoder
from vbuild.stage import weights


@dataclass(frozen=True, kw_only=True)
class PEVideo(VideoEncoder):
    """A unit vector of what happens in a clip, by the video tower of a Perception Encoder.

    Words have vectors beside those of clips.

    Bolya et al., Perception Encoder: the best visual embeddings are not at the output of the network, 2025.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("pe_video",)

    model: str = weights("facebook/pe-av-base-16-frame")
