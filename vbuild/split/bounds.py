"""What splitters write: the bounds of a video's clips, and how much of it became no clip by which rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from vbuild.fields import Kind, List, Scalar
from vbuild.stage import Row

WRITES: Mapping[str, Kind] = {
    "start_pts": List(Scalar("int64")),
    "end_pts": List(Scalar("int64")),
    "lost_by": List(Scalar("string")),
    "lost": List(Scalar("float64")),
}
"""`start_pts` and `end_pts`: half-open, in ticks of the video's time base. `lost`: seconds of the video that became no
clip by each rule of `lost_by`, which is the name of a parameter, or "" for what is in no scene."""


def row(clips: Sequence[tuple[int, int]], lost: Mapping[str, Fraction], base: Fraction) -> Row:
    """The row of a video; `lost` is in ticks of `base` seconds."""
    some = {rule: ticks for rule, ticks in lost.items() if ticks > 0}
    return {
        "start_pts": [start for start, _ in clips],
        "end_pts": [end for _, end in clips],
        "lost_by": list(some),
        "lost": [float(ticks * base) for ticks in some.values()],
    }


def ticks(seconds: float, base: Fraction) -> Fraction:
    """Seconds, as they are written in decimals, in ticks of `base` seconds."""
    return Fraction(str(seconds)) / base
