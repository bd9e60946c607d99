"""How much each frame of a video differs from the one before."""

import numpy as np
import pytest

from vbuild.errors import UsageError
from vbuild.stage import Clip
from vbuild.stages.changes import Changes


def compare(*frames, **params):
    sink = Changes(**params).open(Clip(duration=1.0), None)
    for n, frame in enumerate(frames):
        sink.frame(np.asarray(frame, np.uint8), n / 10)
    return sink.close()


def flat(red, green, blue, size=(40, 30)):
    return np.broadcast_to(np.array([red, green, blue], np.uint8), (*size, 3)).copy()


def test_changes_are_means_over_hsv():
    """Black to white is all of luma; white to red all of saturation; red to green a third of the circle of hue."""
    row = compare(flat(0, 0, 0), flat(255, 255, 255), flat(255, 0, 0), flat(0, 255, 0))
    assert row["times"] == [0.0, 0.1, 0.2, 0.3]
    assert row["luma"] == [0, 255, 0, 0]
    assert row["saturation"] == [0, 0, 255, 0]
    assert row["hue"] == [0, 0, 0, 60]


def test_a_change_of_half_the_picture_is_half_a_change():
    """The mean is over all pixels."""
    half = flat(0, 0, 0)
    half[:20] = 255
    assert compare(flat(0, 0, 0), half)["luma"] == [0, 127.5]


def test_large_pictures_are_shrunk():
    """A single pixel of a large picture is not seen among its neighbours as it is in a small one."""
    dot = flat(0, 0, 0, (600, 600))
    dot[300, 301] = 255
    assert compare(flat(0, 0, 0, (600, 600)), dot, long_side=600)["luma"][1] == pytest.approx(255 / 600**2)
    assert compare(flat(0, 0, 0, (600, 600)), dot, long_side=6)["luma"][1] != pytest.approx(255 / 600**2)


def test_a_frame_of_another_size_has_no_change():
    """Where the picture changes its size nothing is compared."""
    assert compare(flat(0, 0, 0), flat(255, 255, 255, (20, 30)))["luma"] == [0, 0]


def test_no_frame_no_change():
    """Nothing seen is nothing written."""
    assert compare() == {"times": [], "hue": [], "saturation": [], "luma": []}


def test_a_picture_of_nothing_is_refused():
    """A side of no pixel is refused by name."""
    with pytest.raises(UsageError, match=r"changes\.long_side=0"):
        Changes(long_side=0)
