"""Chooses frames of a clip while they go by, and makes small pictures of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from vbuild.media.colours import to_array
from vbuild.media.graphs import Filters
from vbuild.media.options import SizeLimits
from vbuild.media.sampling import Moments
from vbuild.stage import Frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from av.video.frame import VideoFrame


@dataclass(frozen=True)
class Still:
    """A frame that was chosen."""

    frame: VideoFrame
    time: float
    """Seconds from the clip's start."""
    number: int
    """Its place in the clip."""
    roles: tuple[str, ...]
    """What it was chosen for."""


@dataclass
class Chooser:
    """Chooses, for each moment of each rate, the frame nearest to it; a frame that serves several is chosen once."""

    duration: float
    """Seconds."""
    rates: Sequence[float] = ()
    """Frames a second."""
    middle: bool = False
    """The frame in the middle of the clip."""
    keyframes: bool = False
    count: int = 0
    """Frames seen."""
    wishes: list[tuple[str, Moments]] = field(default_factory=list)
    base: Fraction = Fraction(0)
    last: tuple[VideoFrame, float] | None = None

    def _begin(self, base: Fraction) -> None:
        """The first frame came, whose ticks are `base` seconds."""
        self.base = base
        asked = [(f"{rate:g} fps", Frames(fps=rate)) for rate in self.rates]
        asked += [("middle", Frames(count=1))] if self.middle else []
        self.wishes = [(role, Moments(request, self._ticks(self.duration), base)) for role, request in asked]

    def _ticks(self, seconds: float) -> int:
        return round(seconds / self.base)

    def see(self, frame: VideoFrame, time: float) -> Still | None:
        """The next frame; the one before it, if it was chosen."""
        if self.last is None:
            assert frame.time_base is not None
            self._begin(frame.time_base)
        chosen = self._settle(self._ticks(time))
        self.last = (frame, time)
        self.count += 1
        return chosen

    def close(self) -> Still | None:
        """The last frame, if it was chosen."""
        return self._settle(None)

    def _settle(self, behind: int | None) -> Still | None:
        if self.last is None:
            return None
        frame, time = self.last
        roles = [role for role, moments in self.wishes if moments.served(self._ticks(time), behind)]
        roles += ["keyframe"] if self.keyframes and frame.key_frame else []
        return Still(frame, time, self.count - 1, tuple(roles)) if roles else None


class Shrinker:
    """Makes arrays of frames, shrunk and never enlarged: uint8 (h, w, 3)."""

    def __init__(self, *, format: str = "rgb24", height: int | None = None, limits: SizeLimits | None = None) -> None:  # noqa: A002
        self.format, self.height, self.limits = format, height, limits or SizeLimits()
        self.filters = Filters()

    def array(self, frame: VideoFrame) -> np.ndarray:
        """The picture of a frame."""
        width, height = frame.width, frame.height
        if self.height is not None and self.height < height:
            width, height = max(2, round(width * self.height / height / 2) * 2), self.height
        elif self.limits.bind(width, height):
            width, height = self.limits.size(width, height)
        return self.filters.pass_through(frame, to_array(frame, (width, height), self.format)).to_ndarray()
