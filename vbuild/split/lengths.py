"""The length rules: how scenes become clips."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Literal

from vbuild.errors import UsageError
from vbuild.stage import Row

Span = tuple[Fraction, Fraction]
"""Start and end in ticks of a time base; whole ticks where it is done."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """The length rules, applied in this order: `max`, `crop`, `min`, `min_frames`, `limit`.

    Lengths are seconds by presentation times. What comes out is whole ticks of the video's time base, the first at or
    after the moment that is meant, and half-open: a frame is in a clip if start <= pts < end.
    """

    max: float | None = 10.0
    """Seconds beyond which a scene is cut; None: as long as it is."""
    max_mode: Literal["stride", "truncate"] = "stride"
    """`stride` cuts a long scene into pieces of `max`, of which a last one shorter than `min` is dropped; `truncate`
    keeps its first piece alone."""
    crop: float = 0.5
    """Seconds taken off both ends of each clip, where a transition may still show."""
    min: float = 2.0
    """Seconds below which a clip is dropped."""
    min_frames: int = 0
    """Frames below which a clip is dropped."""
    limit: int | None = None
    """Clips a video, the first ones; None: all."""

    def __post_init__(self) -> None:
        """Refuses lengths that leave nothing."""
        if self.max is not None and not self.max > 0:
            raise UsageError(f"max={self.max}: must be more than 0 seconds, or null for no limit")
        for name in ("crop", "min", "min_frames"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be 0 or more")
        if self.max is not None and self.max - 2 * self.crop < self.min:
            most = self.max - 2 * self.crop
            raise UsageError(f"min={self.min}: must be at most max - 2 * crop = {most:g}, or no clip is left")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit={self.limit}: must be 1 or more clips, or null for all")

    def bounds(self, scenes: Iterable[tuple[int, int]], pts: Sequence[int], base: Fraction) -> Row:
        """The clips of a video: `start_pts` and `end_pts`, in the order of its scenes.

        `scenes` and `pts`, the sorted times of all its frames, are in ticks of `base` seconds.
        """
        found = (
            (ceil(start), ceil(end))
            for scene in scenes
            for start, end in self._pieces((Fraction(scene[0]), Fraction(scene[1])), base)
        )
        kept = [(s, e) for s, e in found if s < e and bisect_left(pts, e) - bisect_left(pts, s) >= self.min_frames]
        kept = kept[: self.limit]
        return {"start_pts": [s for s, _ in kept], "end_pts": [e for _, e in kept]}

    def _pieces(self, scene: Span, base: Fraction) -> Iterator[Span]:
        """What is left of one scene by `max`, `crop` and `min`, exact."""
        crop, least = ticks(self.crop, base), ticks(self.min, base)
        for start, end in self._cut(scene, base):
            if end - crop > start + crop and end - start - 2 * crop >= least:
                yield start + crop, end - crop

    def _cut(self, scene: Span, base: Fraction) -> Iterator[Span]:
        start, end = scene
        longest = end - start if self.max is None else ticks(self.max, base)
        yield start, min(start + longest, end)
        while self.max_mode == "stride" and (start := start + longest) < end:
            if (last := min(start + longest, end)) - start >= ticks(self.min, base):
                yield start, last


def ticks(seconds: float, base: Fraction) -> Fraction:
    """Seconds, as they are written in decimals, in ticks of `base` seconds."""
    return Fraction(str(seconds)) / base


def timed(probe: Row, times: Sequence[float]) -> tuple[list[int], int, Fraction]:
    """The pts of frames at `times` seconds from a video's first, the pts at which the video ends, and its time base.

    `probe` is what the probe says of the video. Seconds in float64 tell ticks apart, so that the pts are exact.
    """
    base = Fraction(probe["time_base_num"], probe["time_base_den"])
    tick, start = float(base), probe["start_pts"]
    return [start + round(time / tick) for time in times], probe["end_pts"], base


def scenes_between(cuts: Iterable[int], pts: Sequence[int], end: int, *, whole: bool) -> list[tuple[int, int]]:
    """The scenes that begin at the frames `cuts` (indices), and the one before the first, in ticks.

    Without a cut the video is one scene if `whole`, else none.
    """
    firsts = sorted({0, *cuts})
    if not pts or (len(firsts) == 1 and not whole):
        return []
    starts: list[Any] = [pts[first] for first in firsts]
    return list(zip(starts, [*starts[1:], end], strict=True))
