"""An embedding of what happens in a clip, by X-CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.embedding import VideoEncoder
from vbuild.stage import weights


@dataclass(frozen=True, kw_only=True)
class XCLIP(VideoEncoder):
    """A unit vector of what happens in a clip, by X-CLIP, whose frames hear of one another.

    Words have vectors beside those of clips.

    Ni et al., Expanding language-image pretrained models for general video recognition, 2022.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("xclip",)

    model: str = weights("microsoft/xclip-base-patch32")
