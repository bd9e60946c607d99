"""Picks, while frames go by, those of an even rate, and says when each is shown."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from vbuild.media.sampling import Moments
from vbuild.stage import Frames

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

FINE = 10_000
"""Ticks a second, at least, of a clock on which an even rate falls: what mp4 counts in."""

Shown = tuple["VideoFrame", int]
"""A frame, and when it is shown, in ticks from the clip's start."""


class Pace:
    """Gives of each 1/fps seconds the frame nearest to its beginning, and none twice; one frame is held.

    Footage that has more frames is shown at an even rate, each frame at the moment nearest to its own time. What has
    fewer keeps its own times, or, with `repeat`, shows each frame again until the next comes.
    """

    def __init__(self, fps: float, source: float, duration: float, base: Fraction, *, repeat: bool) -> None:
        """`source`: the footage's frames a second; `base`: seconds of a tick of its clock."""
        self.rate, self.base, self.repeat = Fraction(str(fps)).limit_denominator(1001), base, repeat
        self.moments = Moments(Frames(fps=float(self.rate)), max(round(duration / base), 1), base)
        self.even = repeat or source > self.rate
        fine = -(-FINE // self.rate.numerator)
        self.clock = Fraction(1, self.rate.numerator * fine) if self.even else base
        """Seconds of a tick in which times are told."""
        self.step = self.rate.denominator * fine
        self.number = 0
        """Of the next moment."""
        self.last: Shown | None = None
        self.shown: Shown | None = None
        """The frame that is shown again, and the number of its moment."""

    def see(self, frame: VideoFrame, ticks: int) -> list[Shown]:
        """The frames that can be had when the next came, at `ticks` of the footage's clock from the clip's start."""
        made = self._given(ticks)
        self.last = frame, ticks
        return made

    def close(self) -> list[Shown]:
        """The rest, when no more comes."""
        made = self._given(None) + self._again(self.number)
        self.last = self.shown = None
        return made

    def _given(self, behind: int | None) -> list[Shown]:
        if self.last is None:
            return []
        frame, ticks = self.last
        first, count = self.number, self.moments.served(ticks, behind)
        self.number += count
        if not count or not self.even:
            return [(frame, ticks)] if count else []
        nearest = round(ticks * self.base * self.rate)
        number = min(max(nearest, first), first + count - 1) if first else 0
        made = self._again(number)
        if self.repeat:
            self.shown = frame, number
        return [*made, (frame, number * self.step)]

    def _again(self, until: int) -> list[Shown]:
        """The frame that is shown again, at all moments before one."""
        if self.shown is None:
            return []
        frame, number = self.shown
        return [(frame, n * self.step) for n in range(number + 1, until)]
