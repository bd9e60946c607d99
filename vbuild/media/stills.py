"""Chooses frames of a clip while they go by, and makes small pictures of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from av.video.reformatter import Interpolation, VideoReformatter

from vbuild.media.options import Limits
from vbuild.media.sampling import moments
from vbuild.stage import Frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
class _Wish:
    role: str
    moments: Iterator[float]
    next: float | None = None

    def __post_init__(self) -> None:
        self.next = next(self.moments, None)

    def due(self, until: float) -> bool:
        """Whether a moment up to `until` seconds was not served yet; it is now."""
        found = False
        while self.next is not None and self.next <= until:
            found, self.next = True, next(self.moments, None)
        return found


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
    wishes: list[_Wish] = field(default_factory=list)
    last: tuple[VideoFrame, float] | None = None

    def __post_init__(self) -> None:
        asked = [(f"{rate:g} fps", Frames(fps=rate)) for rate in self.rates]
        asked += [("middle", Frames(count=1))] if self.middle else []
        for role, request in asked:
            wanted = moments(request, self.duration)
            assert wanted is not None
            self.wishes.append(_Wish(role, wanted))

    def see(self, frame: VideoFrame, time: float) -> Still | None:
        """The next frame; the one before it, if it was chosen."""
        chosen = None if self.last is None else self._settle((self.last[1] + time) / 2)
        self.last = (frame, time)
        self.count += 1
        return chosen

    def close(self) -> Still | None:
        """The last frame, if it was chosen."""
        return None if self.last is None else self._settle(float("inf"))

    def _settle(self, until: float) -> Still | None:
        assert self.last is not None
        frame, time = self.last
        roles = [wish.role for wish in self.wishes if wish.due(until)]
        roles += ["keyframe"] if self.keyframes and frame.key_frame else []
        return Still(frame, time, self.count - 1, tuple(roles)) if roles else None


class Shrinker:
    """Makes arrays of frames, shrunk and never enlarged: uint8 (h, w, 3)."""

    def __init__(self, *, format: str = "rgb24", height: int | None = None, limits: Limits | None = None) -> None:  # noqa: A002
        self.format, self.height, self.limits = format, height, limits or Limits()
        self.converter = VideoReformatter()

    def array(self, frame: VideoFrame) -> np.ndarray:
        """The picture of a frame."""
        width, height = frame.width, frame.height
        if self.height is not None and self.height < height:
            width, height = max(2, round(width * self.height / height / 2) * 2), self.height
        elif self.limits.bind(width, height):
            width, height = self.limits.size(width, height)
        made = self.converter.reformat(frame, width, height, self.format, interpolation=Interpolation.AREA)
        return made.to_ndarray()
