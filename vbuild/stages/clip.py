"""An embedding of what a clip shows, by CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.embedding import FrameEncoder
from vbuild.stage import weights


@dataclass(frozen=True, kw_only=True)
class CLIP(FrameEncoder):
    """A unit vector of what a clip shows, by CLIP: the middle of its frames' vectors.

    Words have vectors beside those of frames: the larger the cosine, the better a text fits.

    Radford et al., Learning transferable visual models from natural language supervision, 2021.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("clip",)

    model: str = weights("openai/clip-vit-base-patch32")
