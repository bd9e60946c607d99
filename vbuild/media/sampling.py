"""Chooses, while frames go by, those that a request wants of a clip."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vbuild.stage import Sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vbuild.media.pixels import Picture
    from vbuild.stage import Frames


def moments(request: Frames, duration: float) -> Iterator[float] | None:
    """The seconds from a clip's start at which a request wants a frame; None if it wants all."""
    if request.every:
        return None
    if request.count is not None:
        return ((k + 0.5) * duration / request.count for k in range(request.count))
    assert request.fps is not None
    return _grid(1.0 / request.fps, duration)


def _grid(step: float, duration: float) -> Iterator[float]:
    k = 0
    while k * step < duration:
        yield k * step
        k += 1


class Sampler:
    """Gives on, for each moment that is wanted, the frame nearest to it; of two as near the earlier.

    A frame is given on when the one behind it is seen, which settles what is nearest and is its partner in a pair.
    """

    def __init__(self, request: Frames, duration: float, give: Callable[[float, list[np.ndarray]], None]) -> None:
        self.request, self.give = request, give
        self.moments = moments(request, duration)
        self.next = None if self.moments is None else next(self.moments, None)
        self.before: tuple[float, Picture] | None = None
        self.last: tuple[float, Picture] | None = None

    def see(self, time: float, picture: Picture) -> None:
        """The next frame of the clip, at `time` seconds from its start."""
        if self.last is not None:
            for _ in range(self._wanted((self.last[0] + time) / 2)):
                self._give(self.last, picture)
        self.before, self.last = self.last, (time, picture)

    def close(self) -> None:
        """The clip is over: what is left to give is its last frame, as the second of a pair with the one before."""
        if self.last is not None:
            left = self._wanted(float("inf"))
            if not self.request.pairs:
                for _ in range(left):
                    self._give(self.last, None)
            elif self.before is not None and not self.request.every:
                for _ in range(left):
                    self._give(self.before, self.last[1])
        self.before = self.last = None  # frames at full size, which would wait for the garbage collector

    def _wanted(self, until: float) -> int:
        """How many moments up to `until` seconds are not served yet."""
        if self.moments is None:
            return 1
        count = 0
        while self.next is not None and self.next <= until:
            count += 1
            self.next = next(self.moments, None)
        return count

    def _give(self, first: tuple[float, Picture], second: Picture | None) -> None:
        pictures = [first[1].array(self.request)]
        if self.request.pairs:
            assert second is not None
            pictures.append(second.array(self.request))
        self.give(first[0], pictures)


class Collected:
    """Frames that are kept until the clip is over."""

    def __init__(self, request: Frames, duration: float) -> None:
        self.pixels: list[np.ndarray] = []
        self.times: list[float] = []
        # lists, not self: a circle would keep all pixels until the garbage collector comes by
        self.sampler = Sampler(request, duration, partial(_collect, self.times, self.pixels))

    def close(self) -> Sampled:
        """All of them, in order of time."""
        self.sampler.close()
        pixels = np.stack(self.pixels) if self.pixels else np.empty((0,), np.uint8)
        return Sampled(pixels, np.array(self.times, np.float64))


def _collect(times: list[float], pixels: list[np.ndarray], time: float, pictures: list[np.ndarray]) -> None:
    times.append(time)
    pixels.append(np.stack(pictures) if len(pictures) > 1 else pictures[0])
