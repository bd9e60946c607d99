"""An embedding of how a clip looks and moves, by V-JEPA 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.embedding import VideoEncoder
from vbuild.stage import weights


@dataclass(frozen=True, kw_only=True)
class VJEPA2(VideoEncoder):
    """A unit vector of how a clip looks and moves, by V-JEPA 2, which knows no words: its tokens' middle.

    Assran et al., V-JEPA 2: self-supervised video models enable understanding, prediction and planning, 2025.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("vjepa2",)

    model: str = weights("facebook/vjepa2-vitl-fpc64-256")
