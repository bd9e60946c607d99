"""How sharp a clip is by published scales."""

import cv2
import numpy as np
import pytest
from footage import video
from project import Project
from skimage import data

from vbuild.errors import UsageError
from vbuild.stage import Clip
from vbuild.stages.quality import Quality
from vbuild.stages.sharpness import Sharpness

PICTURE = np.ascontiguousarray(data.camera()[:400, :480])


def measure(*pictures):
    """The measures of gray pictures."""
    sink = Sharpness().open(Clip(duration=10.0), None)
    for n, picture in enumerate(pictures):
        sink.frame(picture, float(n))
    return sink.close()


def test_it_is_the_variance_of_the_laplacian():
    """As papers compute it, in floats, and the mean square of Sobel's gradient; means over frames, and the least."""
    soft = cv2.GaussianBlur(PICTURE, (0, 0), 2)
    sharp, blurred = (cv2.Laplacian(p, cv2.CV_64F).var() for p in (PICTURE, soft))
    squares = [sum((cv2.Sobel(p, cv2.CV_64F, *o) ** 2).mean() for o in ((1, 0), (0, 1))) for p in (PICTURE, soft)]
    row = measure(PICTURE, soft)
    assert row["laplacian"] == pytest.approx((sharp + blurred) / 2)
    assert row["laplacian_min"] == pytest.approx(blurred)
    assert row["tenengrad"] == pytest.approx(sum(squares) / 2)
    assert blurred < 0.1 * sharp


def test_a_checkerboard_by_hand():
    """Of black and white pixels side by side the Laplacian is 4 x 255 up and down; a flat picture has none."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert measure(board)["laplacian"] == pytest.approx((4 * 255) ** 2)
    assert set(measure(np.full((64, 64), 90, np.uint8)).values()) == {0}


def test_without_a_frame_there_is_none():
    """All null."""
    assert measure() == dict.fromkeys(Sharpness.writes)


def test_it_is_of_the_source_s_own_size(tmp_path):
    """Of a large video it is what its frames say at full size, and not what `quality` says of it shrunk."""
    picture = np.repeat(cv2.resize(PICTURE, (960, 800), interpolation=cv2.INTER_CUBIC)[..., None], 3, axis=2)
    made = Project(tmp_path, {"sharpness": Sharpness(), "quality": Quality()})
    made.put("a.mp4", video(tmp_path / "a.mp4", seconds=1, fps=8, size=(960, 800), picture=lambda _: picture, crf=4))
    made.build()
    (row,) = made.rows().values()
    whole = cv2.Laplacian(picture[..., 0], cv2.CV_64F).var()
    assert row["sharpness_laplacian"] == pytest.approx(whole, rel=0.15)
    assert row["quality_sharpness"] > 2 * whole


def test_a_rate_of_nothing_is_refused():
    """By its name."""
    with pytest.raises(UsageError, match=r"^fps=0"):
        Sharpness(fps=0)
