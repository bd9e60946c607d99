"""Which clips go together by resolution, shape and length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.stage import Clip, Phase, Row, Stage, knob


@dataclass(frozen=True, kw_only=True)
class Bucket(Stage):
    """Buckets of resolution, aspect and duration, such as `720p`, `16:9` and `5-10s`, to batch, balance or shard by.

    Of the source's picture as it is shown, turned and with square pixels; with `of: transcode` of the file that was
    made. The defaults are the bins in which NeMo's Cosmos Curator writes its shards, with one more resolution below and
    one above; it drops clips under 5 s there, which are `<5s` here.

    - `resolution`: by the shorter side, the highest bound that it reaches; `<480p` below all of them.
    - `aspect`: the shape that is nearest, by the ratio of the two.
    - `duration`: by the clip's seconds, a bound belonging to the bucket above it: `<5s`, `5-10s`, `10-30s`, `30s+`.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {
        "probe": ("width", "height"),
        "span": ("duration",),
        "file?": ("w", "h"),
    }
    writes: ClassVar[Mapping[str, Kind]] = dict.fromkeys(("resolution", "aspect", "duration"), Scalar("string"))

    resolutions: tuple[int, ...] = (480, 720, 1080, 2160)
    """Bounds of the shorter side, in pixels, rising."""
    aspects: tuple[str, ...] = ("9:16", "3:4", "1:1", "4:3", "16:9")
    """Shapes, width:height; of two that are as near the narrower."""
    durations: tuple[float, ...] = (5.0, 10.0, 30.0)
    """Bounds in seconds, rising."""
    batch: int = knob(4096)

    def __post_init__(self) -> None:
        """Refuses bounds that are in no order, and shapes that are none."""
        for name in ("resolutions", "durations"):
            bounds = getattr(self, name)
            if not bounds or bounds[0] <= 0 or any(a >= b for a, b in pairwise(bounds)):
                raise UsageError(f"{name}={list(bounds)}: bounds above 0 are needed, each above the one before")
        if not self.aspects or None in map(_ratio, self.aspects):
            raise UsageError(f"aspects={list(self.aspects)}: shapes are needed, such as 16:9 or 2.35:1, in quotes")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The buckets of each clip; of a file that was not made no resolution and no aspect."""
        for clip in clips:
            file = clip.columns.get("file")
            probe = clip.columns["probe"]
            width, height = (probe["width"], probe["height"]) if file is None else (file["w"], file["h"])
            known = width is not None and height is not None
            yield {
                "resolution": self._resolution(min(width, height)) if known else None,
                "aspect": self._aspect(width, height) if known else None,
                "duration": self._duration(clip.columns["span"]["duration"]),
            }

    def _resolution(self, side: int) -> str:
        reached = [bound for bound in self.resolutions if side >= bound]
        return f"{reached[-1]}p" if reached else f"<{self.resolutions[0]}p"

    def _aspect(self, width: int, height: int) -> str:
        """The nearest shape: where two meet, the square of the ratio is their product."""
        shapes = sorted((ratio, name) for name in self.aspects if (ratio := _ratio(name)) is not None)
        shape = Fraction(width, height)
        for (low, name), (high, _) in pairwise(shapes):
            if shape * shape <= low * high:
                return name
        return shapes[-1][1]

    def _duration(self, seconds: float) -> str:
        below = [bound for bound in self.durations if seconds >= bound]
        above = self.durations[len(below) :]
        if not below:
            return f"<{above[0]:g}s"
        return f"{below[-1]:g}-{above[0]:g}s" if above else f"{below[-1]:g}s+"


def _ratio(shape: str) -> Fraction | None:
    """Width over height; None for what is no shape."""
    width, colon, height = shape.partition(":")
    try:
        sides = Fraction(width), Fraction(height)
    except (ValueError, ZeroDivisionError):
        return None
    return sides[0] / sides[1] if colon and min(sides) > 0 else None
