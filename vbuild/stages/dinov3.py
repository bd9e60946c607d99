"""An embedding of how a clip looks, by DINOv3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.embedding import FrameEncoder
from vbuild.stage import weights


@dataclass(frozen=True, kw_only=True)
class DINOv3(FrameEncoder):
    """A unit vector of how a clip looks, by DINOv3, which knows no words: the middle of its frames' vectors.

    Simeoni et al., DINOv3, 2025.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("dinov3_vit", "dinov3_convnext")

    model: str = weights("facebook/dinov3-vitb16-pretrain-lvd1689m")
