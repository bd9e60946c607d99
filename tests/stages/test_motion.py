"""How much moves."""

import numpy as np
import pytest
from skimage import data

from vbuild.errors import UsageError
from vbuild.stage import Clip, Sampled
from vbuild.stages.motion import Motion, least

PICTURE = data.camera()[:400, :480]


def measure(pairs, **params):
    stage = Motion(**params)
    clip = Clip(duration=10.0, frames=Sampled(np.asarray(pairs, np.uint8), np.arange(len(pairs)) / 2))
    (row,) = stage.run([clip], None)
    return row


def window(left, top=60, height=256, width=384):
    return PICTURE[top : top + height, left : left + width]


def test_a_pan_moves_by_its_own_speed():
    """A pan by four pixels reads four pixels over height + width, for the mean and for the least patch."""
    row = measure([[window(20), window(24)], [window(24), window(28)]])
    assert row["mean"] == pytest.approx(4 / (256 + 384), rel=0.1)
    assert row["min_patch"] == pytest.approx(4 / (256 + 384), rel=0.1)


def test_equal_frames_do_not_move():
    """Between equal frames nothing moves."""
    assert measure([[window(20), window(20)]]) == {"mean": 0.0, "min_patch": 0.0}


def test_a_fixed_camera_has_a_patch_that_stands_still():
    """Where half of the picture moves, the mean says so and the least patch stays near nothing."""
    before, after = window(20).copy(), window(20).copy()
    after[:, :192] = window(28)[:, :192]
    row = measure([[before, after]])
    assert row["mean"] > 0.3 * 8 / 640
    assert row["min_patch"] < 0.02 * row["mean"]


def test_pairs_are_averaged():
    """One pair that moves and one that does not read half of the one that moves."""
    moving, still = [window(20), window(28)], [window(20), window(20)]
    assert measure([moving, still])["mean"] == pytest.approx(measure([moving])["mean"] / 2)


def test_a_clip_without_pairs_has_no_measure():
    """Without two adjacent frames both values are null."""
    assert measure(np.empty((0, 2, 256, 384))) == {"mean": None, "min_patch": None}


@pytest.mark.parametrize("shape", [(1, 1), (6, 10), (9, 200)])
def test_tiny_pictures_are_measured(shape):
    """Pictures too small for the flow's pyramid still get a finite value."""
    noise = np.random.default_rng(0).integers(0, 255, (1, 2, *shape))
    assert 0 <= measure(noise)["mean"] < 1


def test_what_ran_before_changes_nothing():
    """A clip reads the same alone and in a batch behind a tiny one."""
    clips = [
        Clip(duration=1.0, frames=Sampled(np.ascontiguousarray(pair, np.uint8)[None], np.zeros(1)))
        for pair in ([PICTURE[:12, :12], PICTURE[2:14, :12]], [window(20), window(24)])
    ]
    _, behind = Motion().run(clips, None)
    assert behind == measure([[window(20), window(24)]])


def test_the_least_patch_is_a_true_mean_of_its_area():
    """A patch of zeros with one bright pixel off its middle is not read as still."""
    values = np.ones((128, 128))
    values[:64, :64] = 0
    values[3, 5] = 64 * 64 * 0.5
    assert least(values, 64) == pytest.approx(0.5)


def test_a_patch_needs_area():
    """A patch of no pixels is refused by name."""
    with pytest.raises(UsageError, match=r"^patch=0"):
        Motion(patch=0)
