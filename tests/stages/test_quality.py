"""How a clip looks."""

import cv2
import numpy as np
import pytest
from skimage import data

from vbuild.errors import UsageError
from vbuild.stage import Clip, Sampled
from vbuild.stages.quality import Quality

PICTURE = np.ascontiguousarray(data.astronaut()[:256, :384])
BLACK = np.zeros_like(PICTURE)


def measure(*pairs, **params):
    pixels = np.asarray(pairs, np.uint8) if pairs else np.empty((0, 2, 256, 384, 3), np.uint8)
    (row,) = Quality(**params).run([Clip(duration=10.0, frames=Sampled(pixels, np.arange(len(pairs)) / 2))], None)
    return row


def still(picture):
    return [picture, picture]


def test_brightness_and_contrast_are_mean_and_deviation_of_luma():
    """Half white and half black reads one half for both."""
    half = BLACK.copy()
    half[:, 192:] = 255
    row = measure(still(half))
    assert (row["brightness"], row["contrast"]) == pytest.approx((0.5, 0.5))


def test_blur_lowers_sharpness():
    """A blurred picture is a fraction as sharp, and a flat one not at all."""
    sharp = measure(still(PICTURE))["sharpness"]
    assert measure(still(cv2.GaussianBlur(PICTURE, (0, 0), 2)))["sharpness"] < 0.2 * sharp
    assert measure(still(np.full_like(PICTURE, 90)))["sharpness"] == 0


def test_colorfulness_is_that_of_hasler_and_susstrunk():
    """Gray is 0; half red and half green is what the formula says by hand."""
    assert measure(still(np.full_like(PICTURE, 90)))["colorfulness"] == 0
    split = BLACK.copy()
    split[:, :192, 0] = split[:, 192:, 1] = 255
    # red-green is 1 and -1: deviation 1, mean 0; yellow-blue is 0.5 throughout: deviation 0, mean 0.5
    assert measure(still(split))["colorfulness"] == pytest.approx(1 + 0.3 * 0.5)


def test_black_is_the_share_of_black_frames():
    """One black frame of four is a quarter; a frame with a lit corner is not black."""
    lit = BLACK.copy()
    lit[:60, :60] = 200
    row = measure(still(BLACK), still(PICTURE), still(PICTURE), still(lit))
    assert row["black"] == pytest.approx(0.25)


def test_freeze_is_the_share_of_pairs_without_change():
    """Equal neighbours freeze, and so does the noise of a codec; a small thing that moves does not."""
    noisy = PICTURE.copy()
    noisy[::40] ^= 1
    moved = PICTURE.copy()
    moved[100:130, 100:130] = 255 - moved[100:130, 100:130]
    row = measure(still(PICTURE), [PICTURE, noisy], [PICTURE, moved], [PICTURE, moved])
    assert row["freeze"] == pytest.approx(0.5)


def test_bars_are_shares_of_height_and_width():
    """Bars of 32 lines above and below of 256 are a quarter, whatever black frames there are; without bars, nothing."""
    boxed = PICTURE.copy()
    boxed[:32] = boxed[-32:] = 3
    row = measure(still(boxed), still(BLACK))
    assert (row["letterbox"], row["pillarbox"]) == pytest.approx((0.25, 0))
    row = measure(still(np.ascontiguousarray(boxed.transpose(1, 0, 2))))
    assert (row["letterbox"], row["pillarbox"]) == pytest.approx((0, 0.25))


def test_a_bar_is_black_in_all_frames():
    """A dark sky that lights up later is no bar."""
    night = PICTURE.copy()
    night[:64] = 2
    assert measure(still(night))["letterbox"] == pytest.approx(0.25)
    assert measure(still(night), still(PICTURE))["letterbox"] == pytest.approx(0)


def test_an_all_black_clip_has_no_bars_to_measure():
    """Black footage is black, dark and frozen; its bars are null."""
    row = measure(still(BLACK))
    assert (row["black"], row["freeze"], row["brightness"]) == (1, 1, 0)
    assert row["letterbox"] is None
    assert row["pillarbox"] is None


def test_a_clip_without_pairs_has_no_measures():
    """Nothing to measure gives null for every column."""
    row = measure()
    assert set(row) == set(Quality.writes)
    assert set(row.values()) == {None}


def test_a_share_beyond_one_is_refused():
    """A threshold that is no share is refused by name."""
    with pytest.raises(UsageError, match=r"^black_share=98"):
        Quality(black_share=98)
