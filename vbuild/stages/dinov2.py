"""An embedding of how a clip looks, by DINOv2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.embedding import FrameEncoder
from vbuild.stage import weights


@dataclass(frozen=True, kw_only=True)
class DINOv2(FrameEncoder):
    """A unit vector of how a clip looks, by DINOv2, which knows no words: the middle of its frames' vectors.

    Oquab et al., DINOv2: learning robust visual features without supervision, 2023.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("dinov2",)

    model: str = weights("facebook/dinov2-base")
