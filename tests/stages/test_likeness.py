"""How like each frame is to the one before."""

import numpy as np
import pytest

from vbuild.errors import UsageError
from vbuild.stage import Clip
from vbuild.stages.likeness import Likeness


def compare(*frames, **params):
    sink = Likeness(**params).open(Clip(duration=1.0), None)
    for n, frame in enumerate(frames):
        sink.frame(np.ascontiguousarray(frame, np.uint8), n / 10)
    return sink.close()


NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
OTHER = np.random.default_rng(1).integers(0, 120, (60, 80, 3), np.uint8)


def test_a_frame_that_stays_is_like_itself():
    """No bit of the hash differs, and histograms agree."""
    row = compare(NOISE, NOISE)
    assert row["times"] == [0.0, 0.1]
    assert (row["hash"], row["histogram"]) == ([0.0, 0.0], pytest.approx([1.0, 1.0]))
    assert row["level"] == [NOISE.mean()] * 2


def test_another_picture_is_not_like_it():
    """About half of the bits of two noises differ; the histogram of a dark one is another."""
    row = compare(NOISE, OTHER, size=16)
    assert 0.3 < row["hash"][1] < 0.7
    assert row["histogram"][1] < 0.5
    assert row["level"][1] == OTHER.mean()


def test_a_mirrored_picture_has_the_same_histogram():
    """The hash tells where, the histogram how much."""
    row = compare(NOISE, NOISE[:, ::-1])
    assert row["hash"][1] > 0.2
    assert row["histogram"][1] == pytest.approx(1.0)


def test_colours_are_red_green_and_blue_in_this_order():
    """Luma of red is not that of blue."""
    red, blue = np.zeros((30, 40, 3), np.uint8), np.zeros((30, 40, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    grey = np.full((30, 40, 3), 76, np.uint8)
    row = compare(red, grey, blue)
    assert row["histogram"][1] == pytest.approx(1.0)
    assert row["histogram"][2] < 0.5


def test_no_frame_no_likeness():
    """Nothing seen is nothing written."""
    assert compare() == {"times": [], "level": [], "hash": [], "histogram": []}


@pytest.mark.parametrize(
    "params", [{"long_side": 0}, {"size": 1}, {"lowpass": 0}, {"bins": 1}, {"size": 5, "lowpass": 3}]
)
def test_measures_of_nothing_are_refused(params):
    """By name."""
    with pytest.raises(UsageError, match=r"likeness\."):
        Likeness(**params)
