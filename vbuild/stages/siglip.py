"""An embedding of what a clip shows, by SigLIP or SigLIP 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.embedding import FrameEncoder
from vbuild.stage import weights


@dataclass(frozen=True, kw_only=True)
class SigLIP(FrameEncoder):
    """A unit vector of what a clip shows, by SigLIP or SigLIP 2: the middle of its frames' vectors.

    Words have vectors beside those of frames: the larger the cosine, the better a text fits. Checkpoints of one size of
    picture; those of SigLIP 2 are of the type siglip too, but for NaFlex.

    Zhai et al., Sigmoid loss for language image pre-training, 2023; Tschannen et al., SigLIP 2, 2025.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("siglip",)

    model: str = weights("google/siglip2-base-patch16-224")
