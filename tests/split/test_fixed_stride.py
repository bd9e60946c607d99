"""Clips of one length at even steps."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbuild.errors import UsageError
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip

BASES = [Fraction(1, 25), Fraction(1001, 24000), Fraction(1, 90000), Fraction(1, 1000), Fraction(1, 12800)]


def row_of(stage, start, end, base, frames=100):
    probe = {
        "start_pts": start,
        "end_pts": end,
        "time_base_num": base.numerator,
        "time_base_den": base.denominator,
        "frames": frames,
    }
    (row,) = stage.run([Clip(duration=float((end - start) * base), columns={"probe": probe})], None)
    return row


def spans(stage, start, end, base, frames=100):
    row = row_of(stage, start, end, base, frames)
    return list(zip(row["start_pts"], row["end_pts"], strict=True))


def test_a_short_piece_at_the_end_is_dropped():
    """Of 21.5 s, two clips of 10 s are left; of 22 s, three, the last of which ends with the video."""
    ms = Fraction(1, 1000)
    assert spans(FixedStride(length=10.0, min=2.0), 500, 22_000, ms) == [(500, 10_500), (10_500, 20_500)]
    assert spans(FixedStride(length=10.0, min=2.0), 500, 22_500, ms)[2:] == [(20_500, 22_500)]


def test_a_stride_shorter_than_the_length_overlaps_and_a_longer_one_leaves_gaps():
    """Starts follow the stride, ends the length."""
    ms = Fraction(1, 1000)
    assert spans(FixedStride(length=4.0, stride=2.0), 0, 8000, ms) == [
        (0, 4000), (2000, 6000), (4000, 8000), (6000, 8000),
    ]  # fmt: skip
    assert spans(FixedStride(length=2.0, stride=5.0), 0, 8000, ms) == [(0, 2000), (5000, 7000)]


def test_the_limit_holds_for_a_fresh_video():
    """No more clips than the limit are cut."""
    assert len(spans(FixedStride(length=2.0, limit=3), 0, 100_000, Fraction(1, 1000))) == 3


def test_a_video_without_frames_has_no_clips():
    """What holds no picture is not cut, whatever its times say."""
    assert spans(FixedStride(), 0, 100_000, Fraction(1, 1000), frames=0) == []


def test_a_decimal_length_does_not_drift():
    """A tenth of a second a hundred times over is ten seconds to the tick, not a tick more."""
    cut = spans(FixedStride(length=0.1, min=0.1), 0, 10_000, Fraction(1, 1000))
    assert cut == [(100 * k, 100 * k + 100) for k in range(100)]


@given(
    start=st.integers(-10_000, 10_000),
    ticks=st.integers(1, 2_000_000),
    base=st.sampled_from(BASES),
    length=st.decimals("0.5", "60", places=2).map(float),
)
def test_a_frame_belongs_to_exactly_one_clip(start, ticks, base, length):
    """With no minimum, clips at the default stride cover the video without overlap, each as long as was asked."""
    end = min(start + ticks, start + int(400 * length / base))
    cut = spans(FixedStride(length=length, min=0.0), start, end, base)
    assert cut[0][0] == start
    assert cut[-1][1] == end
    assert all(before[1] == after[0] for before, after in pairwise(cut))
    wanted = Fraction(str(length))
    assert all(abs((e - s) * base - wanted) < base for s, e in cut[:-1])
    assert all(s < e for s, e in cut)


@pytest.mark.parametrize(
    ("params", "name"),
    [({"length": 0.0}, "length"), ({"stride": -1.0}, "stride"), ({"min": 11.0}, "min"), ({"limit": 0}, "limit")],
)
def test_what_cuts_nothing_is_refused(params, name):
    """A length, stride, minimum or limit that leaves no clip is refused by name."""
    with pytest.raises(UsageError, match=rf"^{name}="):
        FixedStride(**params)


@pytest.mark.parametrize(
    ("params", "lost"),
    [
        ({"length": 4.0, "min": 2.0}, {"min": 1.5}),
        ({"length": 4.0, "min": 0.0}, {}),
        ({"length": 4.0, "limit": 1}, {"limit": 5.5}),
        ({"length": 2.0, "stride": 4.0}, {"stride": 4.0, "min": 1.5}),
        ({"length": 4.0, "stride": 2.0}, {}),
        ({"length": 20.0, "min": 10.0}, {"min": 9.5}),
    ],
)
def test_seconds_in_no_clip_are_told_by_rule(params, lost):
    """Of 9.5 s: an end that is too short, gaps, and what is behind the limit."""
    row = row_of(FixedStride(**params), 500, 10_000, Fraction(1, 1000))
    assert dict(zip(row["lost_by"], row["lost"], strict=True)) == lost
