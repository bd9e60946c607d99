"""Chooses, while frames go by, those that a request wants of a clip."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import count, takewhile
from typing import TYPE_CHECKING

import numpy as np

from vbuild.stage import Sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vbuild.media.pixels import Picture
    from vbuild.stage import Frames


class Moments:
    """The moments of a clip at which a request wants a frame, served one after the other.

    They are fractions of a tick whose denominator is one for all, so that whether one lies nearer to this frame or to
    that is settled in whole numbers.
    """

    def __init__(self, request: Frames, duration: int, base: Fraction) -> None:
        """`duration` is the clip's, in ticks of `base` seconds."""
        numerators: Iterator[int]
        if request.count is not None and request.ends:
            self.denominator = request.count - 1
            numerators = (k * duration for k in range(request.count))
        elif request.count is not None:
            self.denominator = 2 * request.count
            numerators = ((2 * k + 1) * duration for k in range(request.count))
        else:
            assert request.fps is not None
            step = 1 / (Fraction(str(request.fps)) * base)
            self.denominator = step.denominator
            numerators = takewhile(lambda n: n < duration * step.denominator, count(0, step.numerator))
        self.numerators = numerators
        self.next = next(numerators, None)

    def served(self, before: int, behind: int | None) -> int:
        """How many moments, not served before, are nearest to a frame at `before`, the next one being at `behind`.

        Of two frames as near the earlier is taken; all that are left go to the last, behind which is None.
        """
        found = 0
        while self.next is not None and (behind is None or 2 * self.next <= (before + behind) * self.denominator):
            found += 1
            self.next = next(self.numerators, None)
        return found


class Sampler:
    """Gives on, for each moment that is wanted, the frame nearest to it; of two as near the earlier.

    A frame is given on when the one behind it is seen, which settles what is nearest and is its partner in a pair.
    """

    def __init__(
        self, request: Frames, duration: int, base: Fraction, give: Callable[[float, list[np.ndarray]], None]
    ) -> None:
        """`duration` is the clip's, in ticks of `base` seconds."""
        self.request, self.base, self.give = request, base, give
        self.moments = None if request.every else Moments(request, duration, base)
        self.before: tuple[int, Picture] | None = None
        self.last: tuple[int, Picture] | None = None

    def see(self, time: int, picture: Picture) -> None:
        """The next frame of the clip, at `time` ticks from its start."""
        if self.last is not None:
            for _ in range(self._wanted(self.last[0], time)):
                self._give(self.last, picture)
        self.before, self.last = self.last, (time, picture)

    def close(self) -> None:
        """The clip is over: what is left to give is its last frame, as the second of a pair with the one before."""
        if self.last is not None:
            left = self._wanted(self.last[0], None)
            if not self.request.pairs:
                for _ in range(left):
                    self._give(self.last, None)
            elif self.before is not None and not self.request.every:
                for _ in range(left):
                    self._give(self.before, self.last[1])
        self.before = self.last = None  # frames at full size, which would wait for the garbage collector

    def _wanted(self, before: int, behind: int | None) -> int:
        return 1 if self.moments is None else self.moments.served(before, behind)

    def _give(self, first: tuple[int, Picture], second: Picture | None) -> None:
        pictures = [first[1].array(self.request)]
        if self.request.pairs:
            assert second is not None
            pictures.append(second.array(self.request))
        self.give(first[0] * self.base.numerator / self.base.denominator, pictures)


class Collected:
    """Frames that are kept until the clip is over."""

    def __init__(self, request: Frames, duration: int, base: Fraction) -> None:
        self.pixels: list[np.ndarray] = []
        self.times: list[float] = []
        # lists, not self: a circle would keep all pixels until the garbage collector comes by
        self.sampler = Sampler(request, duration, base, partial(_collect, self.times, self.pixels))

    def close(self) -> Sampled:
        """All of them, in order of time."""
        self.sampler.close()
        pixels = np.stack(self.pixels) if self.pixels else np.empty((0,), np.uint8)
        return Sampled(pixels, np.array(self.times, np.float64))


def _collect(times: list[float], pixels: list[np.ndarray], time: float, pictures: list[np.ndarray]) -> None:
    times.append(time)
    pixels.append(np.stack(pictures) if len(pictures) > 1 else pictures[0])
