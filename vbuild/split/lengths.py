"""The length rules: how scenes become clips."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Literal

from vbuild.errors import UsageError
from vbuild.split.bounds import row, ticks
from vbuild.stage import Row

Interval = tuple[Fraction, Fraction]
"""Start and end in ticks of a time base; whole ticks where it is done."""

Lost = defaultdict[str, Fraction]
"""Rule → ticks that became no clip by it."""


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
        if self.max is None and self.max_mode != Lengths.max_mode:
            raise UsageError(f"max_mode={self.max_mode}: max=null cuts no scene; give max, or leave max_mode out")
        for name in ("crop", "min", "min_frames"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be 0 or more")
        if self.max is not None and self.max - 2 * self.crop < self.min:
            most = self.max - 2 * self.crop
            raise UsageError(f"min={self.min}: must be at most max - 2 * crop = {most:g}, or no clip is left")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit={self.limit}: must be 1 or more clips, or null for all")

    def bounds(self, scenes: Iterable[tuple[int, int]], pts: Sequence[int], end: int, base: Fraction) -> Row:
        """The clips of a video in the order of its scenes, and what of it became none: see `bounds.WRITES`.

        `scenes`, `pts` (the sorted times of all its frames) and `end` are in ticks of `base` seconds.
        """
        lost: Lost = defaultdict(Fraction)
        spans: list[tuple[int, int]] = []
        inside = Fraction(0)
        for first, last in scenes:
            inside += last - first
            for piece in self._pieces((Fraction(first), Fraction(last)), base, lost):
                start, behind = map(ceil, piece)
                if start >= behind or bisect_left(pts, behind) - bisect_left(pts, start) < self.min_frames:
                    lost["min_frames"] += piece[1] - piece[0]
                elif len(spans) == self.limit:
                    lost["limit"] += piece[1] - piece[0]
                else:
                    spans.append((start, behind))
        if pts:
            lost[""] = end - pts[0] - inside
        return row(spans, lost, base)

    def _pieces(self, scene: Interval, base: Fraction, lost: Lost) -> Iterator[Interval]:
        """What is left of one scene by `max`, `crop` and `min`, exact; what is not is counted in `lost`."""
        crop, least = ticks(self.crop, base), ticks(self.min, base)
        for start, end in self._cut(scene, base, lost):
            lost["crop"] += min(2 * crop, end - start)
            if (left := end - start - 2 * crop) <= 0:
                continue
            if left < least:
                lost["min"] += left
            else:
                yield start + crop, end - crop

    def _cut(self, scene: Interval, base: Fraction, lost: Lost) -> Iterator[Interval]:
        start, end = scene
        longest = end - start if self.max is None else ticks(self.max, base)
        yield start, min(start + longest, end)
        while (start := start + longest) < end:
            last = min(start + longest, end)
            if self.max_mode == "truncate":
                lost["max"] += last - start
            elif last - start < ticks(self.min, base):
                lost["min"] += last - start
            else:
                yield start, last


def pts_of_times(probe: Row, times: Sequence[float]) -> tuple[list[int], int, Fraction]:
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
