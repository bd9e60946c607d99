"""Contact sheets."""

import cv2
import numpy as np
import pytest
from footage import number, number_of

from vbuild.errors import UsageError
from vbuild.stage import Clip, Sampled
from vbuild.stages.sheet import GAP, Sheet


def sheet(count, **params):
    """The image of a clip of numbered pictures."""
    pixels = np.stack([number(np.full((48, 64, 3), 120, np.uint8), n) for n in range(count)])
    (row,) = Sheet(**params).run([Clip(duration=3.0, frames=Sampled(pixels, np.arange(count) / 2))], None)
    return cv2.imdecode(np.frombuffer(row[""].data, np.uint8), cv2.IMREAD_COLOR)


def test_pictures_stand_in_order_of_reading():
    """Two rows of three hold six pictures, each in its place, none enlarged."""
    image = sheet(6, columns=3, rows=2, format="png", times=False)
    assert image.shape == (2 * (48 + GAP) + GAP, 3 * (64 + GAP) + GAP, 3)
    for n in range(6):
        top, left = GAP + n // 3 * (48 + GAP), GAP + n % 3 * (64 + GAP)
        assert number_of(image[top : top + 48, left : left + 64]) == n


def test_times_are_written_on_pictures():
    """With times the lower left corner of a picture is written on, and the rest of it is not."""
    plain, timed = (sheet(4, columns=2, rows=2, format="png", times=times).astype(int) for times in (False, True))
    changed = np.abs(plain - timed).sum(axis=2) > 0
    cell = changed[GAP : GAP + 48, GAP : GAP + 64]
    assert cell[24:, :32].any()
    assert not cell[:24].any()
    assert not cell[:, 48:].any()


def test_a_clip_without_frames_has_no_sheet():
    """Nothing to show is null."""
    (row,) = Sheet().run([Clip(duration=1.0, frames=Sampled(np.empty((0,), np.uint8), np.empty(0)))], None)
    assert row == {"": None}


@pytest.mark.parametrize("params", [{"columns": 0}, {"rows": 0}, {"height": 1}, {"quality": 101}])
def test_sheets_of_nothing_are_refused(params):
    """Sizes of nothing are refused by name."""
    (name,) = params
    with pytest.raises(UsageError, match=rf"^{name}="):
        Sheet(**params)
