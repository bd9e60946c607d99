"""Where near its start a clip is sharpest."""

import cv2
import numpy as np
import pytest
from footage import video
from project import Project
from skimage import data

from vbuild.errors import UsageError
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip
from vbuild.stages.best_start import BestStart

PICTURE = np.ascontiguousarray(data.camera()[:240, :320])


def blurred(sigma):
    return cv2.GaussianBlur(PICTURE, (0, 0), sigma) if sigma else PICTURE


def found(*blurs, step=0.1, **params):
    """The row of pictures that are more or less blurred."""
    sink = BestStart(**params).open(Clip(duration=len(blurs) * step), None)
    for n, sigma in enumerate(blurs):
        sink.frame(blurred(sigma), n * step)
    return sink.close()


def test_the_sharpest_frame_near_the_start_is_named():
    """By its time; what comes later than it is looked for does not count, however sharp."""
    row = found(3, 2, 1, 2, 3, 0, within=0.45)
    assert row[""] == pytest.approx(0.2)
    assert row["gain"] > 2
    assert found(3, 2, 1, 2, 3, 0, within=0.55)[""] == pytest.approx(0.5)


def test_a_clip_that_begins_sharp_begins_at_its_start():
    """Of frames as sharp the earliest: 0, and nothing is gained."""
    assert found(0, 0, 0, 1) == {"": 0.0, "gain": 1.0}


def test_a_first_frame_counts_whenever_it_comes():
    """Also where it comes later than is looked for; without any there is none."""
    sink = BestStart().open(Clip(duration=9.0), None)
    sink.frame(PICTURE, 2.0)
    assert sink.close() == {"": 2.0, "gain": 1.0}
    assert found() == {"": None, "gain": None}


def test_a_flat_first_frame_has_no_gain():
    """Nothing is how many times as sharp as something."""
    sink = BestStart().open(Clip(duration=1.0), None)
    sink.frame(np.full((240, 320), 60, np.uint8), 0.0)
    sink.frame(PICTURE, 0.1)
    assert sink.close() == {"": 0.1, "gain": None}


@pytest.mark.parametrize("change", [{"within": 0}, {"fps": 0}, {"short_side": 0}])
def test_what_makes_no_sense_is_refused(change):
    """By its name."""
    with pytest.raises(UsageError, match=f"^{next(iter(change))}="):
        BestStart(**change)


def test_each_clip_of_a_film_has_its_own(tmp_path):
    """Two clips that come into focus after a quarter and after half a second say so."""

    def picture(time):
        focus = 0.25 if time < 2 else 2.5
        return np.repeat(blurred(min(abs(time - focus) * 8, 6))[..., None], 3, axis=2)

    made = Project(tmp_path, {"best": BestStart()}, split=FixedStride(length=2.0))
    made.put("a.mp4", video(tmp_path / "a.mp4", seconds=4, fps=24, size=(320, 240), picture=picture, crf=4))
    made.build()
    starts = sorted((row["start_s"], row["best"]) for row in made.rows().values())
    assert [best for _, best in starts] == pytest.approx([0.25, 0.5], abs=0.05)
