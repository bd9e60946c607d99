"""Chooses, while frames go by, those that a request wants of a clip."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from functools import partial
from itertools import count, takewhile
from typing import TYPE_CHECKING

import numpy as np

from vbuild.stage import Sampled
from vbuild.windows import Stretch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vbuild.media.pixels import Picture
    from vbuild.stage import Frames
    from vbuild.windows import Windows

TICK = 1e-6
"""Share of a window by which a frame may come too early: times are rounded."""


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
        number = 0
        while self.next is not None and (behind is None or 2 * self.next <= (before + behind) * self.denominator):
            number += 1
            self.next = next(self.numerators, None)
        return number


class Sampler:
    """Gives on, for each moment that is wanted, the frame nearest to it; of two as near the earlier.

    A frame is given on when the one behind it is seen, which settles what is nearest and is its partner in a pair.
    """

    def __init__(
        self,
        request: Frames,
        duration: int,
        base: Fraction,
        give: Callable[[float, list[np.ndarray], float | None], None],
    ) -> None:
        """`duration` is the clip's, in ticks of `base` seconds; `give` takes a frame's time, it with its partner, and
        how far apart the two are, in seconds."""
        self.request, self.base, self.give = request, base, give
        self.moments = None if request.every else Moments(request, duration, base)
        self.before: tuple[int, Picture] | None = None
        self.last: tuple[int, Picture] | None = None

    def see(self, time: int, picture: Picture) -> None:
        """The next frame of the clip, at `time` ticks from its start."""
        if self.last is not None:
            for _ in range(self._wanted(self.last[0], time)):
                self._give(self.last, (time, picture))
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
                    self._give(self.before, self.last)
        self.before = self.last = None  # frames at full size, which would wait for the garbage collector

    def _wanted(self, before: int, behind: int | None) -> int:
        return 1 if self.moments is None else self.moments.served(before, behind)

    def _give(self, first: tuple[int, Picture], second: tuple[int, Picture] | None) -> None:
        pictures, step = [first[1].array(self.request)], None
        if self.request.pairs:
            assert second is not None
            pictures.append(second[1].array(self.request))
            step = self._seconds(second[0] - first[0])
        self.give(self._seconds(first[0]), pictures, step)

    def _seconds(self, ticks: int) -> float:
        return ticks * self.base.numerator / self.base.denominator


class Collected:
    """Frames that are kept until the clip is over."""

    def __init__(self, request: Frames, duration: int, base: Fraction) -> None:
        self.pairs = request.pairs
        self.pixels: list[np.ndarray] = []
        self.times: list[float] = []
        self.steps: list[float | None] = []
        # lists, not self: a circle would keep all pixels until the garbage collector comes by
        self.sampler = Sampler(request, duration, base, partial(_collect, self.times, self.pixels, self.steps))

    def close(self) -> Sampled:
        """All of them, in order of time."""
        self.sampler.close()
        pixels = np.stack(self.pixels) if self.pixels else np.empty((0,), np.uint8)
        steps = np.array(self.steps, np.float64) if self.pairs else None
        return Sampled(pixels, np.array(self.times, np.float64), steps)


class Cutting:
    """Cuts windows while a clip's frames go by.

    Whether the frames behind the last full window are one of their own is known only when enough of them have come, or
    at the end.
    """

    def __init__(self, windows: Windows, duration: float) -> None:
        """`duration`: the clip's, in seconds."""
        self.windows, self.duration = windows, duration
        self.count = 0
        """Frames that came."""
        self.starts: list[float] = []
        """Seconds at which windows begin that are sure."""
        self.ahead: float | None = None
        """Where one may begin behind them."""

    def see(self, time: float) -> bool:
        """One frame, at `time` seconds; whether a window begins with it, or may."""
        number, windows = self.count, self.windows
        self.count += 1
        if windows.seconds is not None:
            begins = number == 0 or self._whole(time) > self._whole(self.starts[-1])
            least = 1
        else:
            place = number % windows.frames if windows.frames else number
            begins = place == 0
            least = 1 if number == 0 else min(windows.remainder, windows.frames or 1) - place
        if begins:
            self.ahead = time
        if self.ahead is not None and least <= 1:
            self.starts.append(self.ahead)
            self.ahead = None
        return begins

    def _whole(self, time: float) -> int:
        """In which window of so many seconds a time lies."""
        assert self.windows.seconds is not None
        many = self.duration / self.windows.seconds
        most = int(many + 0.5 + TICK)
        return min(int(time / self.windows.seconds + TICK), max(most, 1) - 1)

    def stretches(self, *, over: bool = False) -> list[Stretch]:
        """The windows whose ends are sure; all, when the clip is over."""
        if self.count < self.windows.min:
            return []
        ends = [*self.starts[1:], self.duration] if over else self.starts[1:]
        return [Stretch(n, start, end) for n, (start, end) in enumerate(zip(self.starts, ends, strict=False))]


class Windowed:
    """Gives on each window of a clip as soon as its end is sure; no more is held than a window and what is left."""

    def __init__(
        self, request: Frames, duration: int, base: Fraction, give: Callable[[Stretch, Sampled], None]
    ) -> None:
        """`duration` is the clip's, in ticks of `base` seconds."""
        assert request.windows is not None
        self.request, self.base, self.give = request, base, give
        self.cutting = Cutting(request.windows, float(duration * base))
        self.times: list[float] = []
        self.pixels: list[np.ndarray] = []
        self.sampler = Sampler(request, duration, base, self._keep)
        self.first: dict[float, Picture] = {}
        """When a window began, or may have → its first frame."""
        self.given = 0

    def see(self, time: int, picture: Picture) -> None:
        """The next frame of the clip, at `time` ticks from its start."""
        self.sampler.see(time, picture)
        seconds = time * self.base.numerator / self.base.denominator
        if self.cutting.see(seconds):
            self.first[seconds] = picture
        if len(self.cutting.starts) > self.given + 1:
            self._give(self.cutting.stretches())

    def close(self) -> None:
        """The clip is over."""
        self.sampler.close()
        self._give(self.cutting.stretches(over=True))
        self.first.clear()
        del self.sampler  # a circle, which would keep all until the garbage collector comes by

    def _keep(self, time: float, pictures: list[np.ndarray], step: float | None) -> None:  # noqa: ARG002  no pairs
        self.times.append(time)
        self.pixels.append(pictures[0])

    def _give(self, windows: Sequence[Stretch]) -> None:
        """Gives on what is new of the windows that are over."""
        for window in windows[self.given :]:
            many = len(self.times) if window.end == self.cutting.duration else bisect_left(self.times, window.end)
            first = self.first.pop(window.start)
            times, pixels = self.times[:many], self.pixels[:many]
            del self.times[:many], self.pixels[:many]
            if not many:
                times, pixels = [window.start], [first.array(self.request)]
            self.given += 1
            self.give(window, Sampled(np.stack(pixels), np.array(times, np.float64)))


def _collect(
    times: list[float],
    pixels: list[np.ndarray],
    steps: list[float | None],
    time: float,
    pictures: list[np.ndarray],
    step: float | None,
) -> None:
    times.append(time)
    steps.append(step)
    pixels.append(np.stack(pictures) if len(pictures) > 1 else pictures[0])
