"""Clips of one length at even steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind
from vbuild.split.bounds import WRITES, row, ticks
from vbuild.stage import Clip, Phase, Row, Stage, knob


@dataclass(frozen=True, kw_only=True)
class FixedStride(Stage):
    """Cuts a video into clips of `length` seconds that start every `stride` seconds from its first frame.

    Bounds are whole ticks of the video's time base, the first at or after the moment that is meant, and half-open: at
    equal length and stride a frame belongs to exactly one clip. The last clip ends with the video.
    """

    version: ClassVar[int] = 2
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar = "video"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {
        "probe": ("start_pts", "end_pts", "time_base_num", "time_base_den", "frames")
    }
    writes: ClassVar[Mapping[str, Kind]] = WRITES

    length: float = 10.0
    """Seconds a clip."""
    stride: float | None = None
    """Seconds from start to start; None: the length, so that clips neither overlap nor leave gaps."""
    min: float = 2.0
    """Seconds below which the last clips of a video are dropped."""
    limit: int | None = None
    """Clips a video, the first ones."""
    batch: int = knob(512)

    def __post_init__(self) -> None:
        """Refuses lengths that cut nothing."""
        if not self.length > 0:
            raise UsageError(f"length={self.length}: a clip must be longer than 0 seconds")
        if self.stride is not None and not self.stride > 0:
            raise UsageError(f"stride={self.stride}: must be more than 0 seconds, or null for the length")
        if not 0 <= self.min <= self.length:
            raise UsageError(f"min={self.min}: must be from 0 to length={self.length}, or no clip is left")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit={self.limit}: must be 1 or more clips, or null for all")

    def effective(self) -> FixedStride:
        """The splitter without a stride that is the length."""
        return replace(self, stride=None) if self.stride == self.length else self

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The bounds of each video's clips, in order of time."""
        for clip in clips:
            probe = clip.columns["probe"]
            start, end = (probe["start_pts"], probe["end_pts"]) if probe["frames"] else (0, 0)
            base = Fraction(probe["time_base_num"], probe["time_base_den"])
            spans = list(self._spans(start, end, base))
            yield row(spans, self._lost(spans, start, end, base), base)

    def _spans(self, start: int, end: int, base: Fraction) -> Iterable[tuple[int, int]]:
        """Bounds in ticks of `base` seconds of the clips of a video from `start` up to `end`."""
        length, stride, least = ticks(self.length, base), self._step(base), ticks(self.min, base)
        count, begin = 0, Fraction(start)
        while end - begin >= least and begin < end and count != self.limit:
            first, last = ceil(begin), min(ceil(begin + length), end)
            if first < last:
                yield first, last
                count += 1
            begin += stride

    def _step(self, base: Fraction) -> Fraction:
        return ticks(self.length if self.stride is None else self.stride, base)

    def _lost(self, spans: Sequence[tuple[int, int]], start: int, end: int, base: Fraction) -> Mapping[str, Fraction]:
        """Ticks in no clip: between clips, behind the limit, or at an end that is shorter than the least length."""
        seen, between = start, 0
        for first, last in spans:
            between += max(first - seen, 0)
            seen = max(seen, last)
        if len(spans) == self.limit:
            return {"stride": Fraction(between), "limit": Fraction(end - seen)}
        begin = min(max(spans[-1][0] + self._step(base), Fraction(seen)), Fraction(end)) if spans else Fraction(start)
        return {"stride": between + begin - seen, "min": end - begin}
