"""A small moving picture of each clip, to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from vbuild.errors import UsageError
from vbuild.media.versions import PASSES, PREVIEW
from vbuild.stage import Blob, Clip, Frames, Phase, Row, Stage

if TYPE_CHECKING:
    import av
    import numpy as np

    from vbuild.media.preview import Animation


@dataclass(frozen=True, kw_only=True)
class Preview(Stage):
    """An animated webp of each clip, which browsers and notebooks show."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "produce"
    dear: ClassVar[bool] = True
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {"": "blob"}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "preview": PREVIEW}

    fps: float = 1.0
    """Pictures a second."""
    height: int = 240
    """Pixels; smaller footage is not enlarged."""
    quality: int = 50
    """Of the pictures, 0 to 100."""
    level: int = 5
    """Effort of compression, 0 to 6; 6 takes ten times as long as 5 and saves 4 % of the bytes."""

    def __post_init__(self) -> None:
        """Refuses what the encoder would refuse of every clip."""
        for name in ("fps", "height"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than 0")
        for name, most in (("quality", 100), ("level", 6)):
            if not 0 <= getattr(self, name) <= most:
                raise UsageError(f"{name}={getattr(self, name)}: must be from 0 to {most}")

    def asks(self) -> Frames:
        """Small pictures at the animation's rate."""
        return Frames(fps=self.fps, height=self.height)

    def open(self, clip: Clip, model: None) -> Moving:  # noqa: ARG002
        """An animation for one clip."""
        from vbuild.media.preview import Animation

        return Moving(Animation(fps=self.fps, quality=self.quality, level=self.level))


@dataclass(frozen=True)
class Moving:
    """A preview while it is made."""

    animation: Animation

    def frame(self, frame: av.VideoFrame | np.ndarray, time: float) -> None:  # noqa: ARG002
        """One picture, uint8 (h, w, 3)."""
        self.animation.add(cast("np.ndarray", frame))

    def packet(self, packet: av.Packet[av.AudioStream]) -> None:
        """Sound is not asked for, and never comes."""

    def close(self) -> Row:
        """The animation."""
        return {"": Blob(self.animation.close(), ".webp")}
