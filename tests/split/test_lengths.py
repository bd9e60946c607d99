"""The length rules."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbuild.errors import UsageError
from vbuild.split.lengths import Lengths, pts_of_times, scenes_between

MS = Fraction(1, 1000)


def clips(scenes, pts=(), base=MS, **rules):
    row = Lengths(**rules).bounds(scenes, pts, scenes[-1][1], base)
    return list(zip(row["start_pts"], row["end_pts"], strict=True))


def test_a_long_scene_is_cut_by_stride():
    """25 s by 10 s are three pieces; the last is dropped where it is shorter than the least length."""
    assert clips([(0, 25_000)], crop=0.0, min=2.0) == [(0, 10_000), (10_000, 20_000), (20_000, 25_000)]
    assert clips([(0, 21_500)], crop=0.0, min=2.0) == [(0, 10_000), (10_000, 20_000)]


def test_a_long_scene_is_truncated():
    """Of 25 s the first 10 s are left."""
    assert clips([(500, 25_500)], max_mode="truncate", crop=0.0) == [(500, 10_500)]


def test_pieces_are_cut_before_they_are_cropped_and_cropped_before_they_are_dropped():
    """Of 12.5 s, a last piece of 2.5 s is long enough as a piece, and not once half a second is off both its ends."""
    assert clips([(0, 12_500)], crop=0.5, min=2.0) == [(500, 9500)]
    assert clips([(0, 13_000)], crop=0.5, min=2.0) == [(500, 9500), (10_500, 12_500)]


def test_a_scene_that_is_cropped_away_is_dropped():
    """Nothing is left of a scene as short as what is cropped, whatever the least length."""
    assert clips([(0, 1000), (1000, 2001)], crop=0.5, min=0.0) == [(1500, 1501)]


def test_clips_of_few_frames_are_dropped():
    """Of scenes of 4 and 5 frames the second has enough; frames are counted by their times."""
    pts = [0, 10, 500, 900, 1000, 1001, 1002, 1003, 1999]
    assert clips([(0, 1000), (1000, 2000)], pts, crop=0.0, min=0.0, min_frames=5) == [(1000, 2000)]


def test_the_limit_counts_clips_that_are_left():
    """The first two clips that no rule dropped."""
    scenes = [(0, 100), (100, 5100), (5100, 9000), (9000, 20_000)]
    assert clips(scenes, crop=0.0, limit=2) == [(100, 5100), (5100, 9000)]


def test_a_length_without_end_leaves_scenes_whole():
    """Without a greatest length an hour is one clip."""
    assert clips([(0, 3_600_000)], max=None, crop=0.0) == [(0, 3_600_000)]


def test_a_piece_as_long_as_the_least_stays_whatever_the_time_base():
    """Pieces of 10 s pass a least length of 10 s although whole ticks make some of them a tick shorter."""
    base = Fraction(1001, 30_000)
    found = clips([(0, 3000)], base=base, max=10.0, min=10.0, crop=0.0)
    assert len(found) == 10
    assert len({end - start for start, end in found}) == 2
    assert all(before[1] == after[0] for before, after in pairwise(found))


@settings(deadline=None)
@given(
    bounds=st.lists(st.integers(0, 20_000), min_size=2, max_size=8, unique=True),
    length=st.decimals("1", "20", places=2).map(float),
    crop=st.decimals("0", "0.4", places=2).map(float),
    mode=st.sampled_from(["stride", "truncate"]),
    base=st.sampled_from([MS, Fraction(1001, 24_000), Fraction(1, 90_000)]),
)
def test_clips_lie_in_their_scenes_in_order_and_are_no_longer_than_asked(bounds, length, crop, mode, base):
    """Whatever the rules, clips are sorted, do not overlap, and keep off the ends of their scenes."""
    bounds.sort()
    scenes = list(pairwise(bounds))
    found = clips(scenes, base=base, max=length, crop=crop, min=0.0, max_mode=mode)
    off = Fraction(str(crop)) / base
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    for start, end in found:
        assert any(s + off <= start < end < e - off + 1 for s, e in scenes)
        assert (end - start - 1) * base <= length


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        ({"max": 0.0}, "max"), ({"crop": -1.0}, "crop"), ({"min": -1.0}, "min"), ({"min_frames": -1}, "min_frames"),
        ({"max": 3.0, "crop": 0.6, "min": 2.0}, "min"), ({"limit": 0}, "limit"),
    ],
)  # fmt: skip
def test_rules_that_leave_nothing_are_refused(rules, name):
    """A rule that no clip can pass is refused by name."""
    with pytest.raises(UsageError, match=rf"^{name}="):
        Lengths(**rules)


def test_seconds_are_turned_back_into_the_very_ticks():
    """Times of ten hours in seconds give the pts that they were made of."""
    base = Fraction(1, 90_000)
    pts = [1_234_567 + 3003 * n for n in range(0, 1_080_000, 999)]
    probe = {"time_base_num": 1, "time_base_den": 90_000, "start_pts": pts[0], "end_pts": pts[-1] + 3003}
    found, end, unit = pts_of_times(probe, [float((p - pts[0]) * base) for p in pts])
    assert (found, end, unit) == (pts, pts[-1] + 3003, base)


def test_scenes_stand_between_cuts():
    """Cuts at frames 2 and 3 of five part a video of uneven frames by their times."""
    pts = [7, 10, 20, 21, 50]
    assert scenes_between([3, 2], pts, 60, whole=True) == [(7, 20), (20, 21), (21, 60)]
    assert scenes_between([], pts, 60, whole=True) == [(7, 60)]
    assert scenes_between([], pts, 60, whole=False) == []
    assert scenes_between([], [], 60, whole=True) == []


@given(
    st.lists(st.integers(1, 20_000), min_size=1, max_size=5),
    st.sampled_from([{}, {"max": None}, {"max_mode": "truncate"}, {"limit": 1}, {"crop": 0.0, "min": 0.0}]),
)
def test_what_is_in_no_clip_is_lost_by_a_rule(lengths, rules):
    """Clips and what the rules took are the whole video, to the tick."""
    bounds = [0]
    for length in lengths:
        bounds.append(bounds[-1] + length)
    pts = list(range(0, bounds[-1], 40))
    scenes = list(pairwise(bounds))[1:]
    row = Lengths(**rules).bounds(scenes, pts, bounds[-1], MS)
    kept = sum(end - start for start, end in zip(row["start_pts"], row["end_pts"], strict=True))
    assert kept + round(sum(row["lost"]) * 1000) == bounds[-1]
    assert all(seconds > 0 for seconds in row["lost"])
    assert ("" in row["lost_by"]) == (lengths[0] > 0)
