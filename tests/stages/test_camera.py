"""How the camera moves."""

import cv2
import numpy as np
import pytest
from footage import video
from project import Project

from vbuild.errors import UsageError
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip
from vbuild.stages.camera import Camera, Step, shake, step

SIZE = (320, 180)
NOISE = np.random.default_rng(3).normal(0, 1, (900, 1400)).astype(np.float32)
WORLD = sum(cv2.GaussianBlur(NOISE, (0, 0), sigma) * sigma for sigma in (2, 6, 18))
WORLD = cv2.normalize(WORLD, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
"""A plane with detail of all sizes."""


def view(x=0.0, y=0.0, zoom=1.0, roll=0.0):
    """What a camera sees that is turned: right and up in shares of the width, in, and clockwise in degrees."""
    width, height = SIZE
    world = cv2.getRotationMatrix2D((700, 450), 0, 1)
    turn, scale = np.deg2rad(roll), 1 / zoom
    # of a point of the picture the place in the world
    a, b = scale * np.cos(turn), scale * np.sin(turn)
    middle = np.array([700 + x * width, 450 - y * width])
    world[:, :2] = [[a, -b], [b, a]]
    world[:, 2] = middle - world[:, :2] @ np.array([(width - 1) / 2, (height - 1) / 2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(WORLD, world, SIZE, flags=flags)


def filmed(way, seconds=3.0, fps=8.0, over=None, **params):
    """The measures of a camera's way, seconds → what `view` takes; `over` is done to each picture."""
    following = Camera(**params).open(Clip(duration=seconds), None)
    for n in range(round(seconds * fps)):
        picture = view(**way(n / fps))
        following.frame(picture if over is None else over(picture, n / fps), n / fps)
    return following.close()


REST = {"pan": 0.0, "tilt": 0.0, "zoom": 0.0, "roll": 0.0}
LOOSE = {"pan": 0.003, "tilt": 0.003, "zoom": 0.003, "roll": 0.3}

WAYS = [
    ({"pan": 0.1}, lambda t: {"x": 0.1 * t}),
    ({"pan": -0.5}, lambda t: {"x": -0.5 * t}),
    ({"tilt": 0.08}, lambda t: {"y": 0.08 * t}),
    ({"zoom": 0.2}, lambda t: {"zoom": 1.2**t}),
    ({"zoom": -0.1}, lambda t: {"zoom": 0.9**t}),
    ({"roll": 12.0}, lambda t: {"roll": 12 * t}),
    ({"pan": 0.1, "tilt": -0.05}, lambda t: {"x": 0.1 * t, "y": -0.05 * t}),
    ({"zoom": 0.1, "roll": -8.0}, lambda t: {"zoom": 1.1**t, "roll": -8 * t}),
]


@pytest.mark.parametrize(("known", "way"), WAYS)
def test_a_known_way_is_told(known, way):
    """Each by its own column, in its unit and with its sign, within 3 %, or 0.003 shares and 0.3 degrees a second."""
    row = filmed(way)
    for name, value in {**REST, **known}.items():
        assert row[name] == pytest.approx(value, rel=0.03, abs=LOOSE[name]), name
    assert row["static"] == 0
    assert row["shake"] < 0.001
    assert row["agreement"] > 0.7


def test_a_camera_that_stands_is_static():
    """All of the time, without shake, also in noise; one that pans for half of the time for the other half."""
    random = np.random.default_rng(0)
    noisy = filmed(lambda _: {}, over=lambda p, _: (p + random.normal(0, 4, p.shape)).clip(0, 255).astype(np.uint8))
    assert noisy["static"] == 1
    assert noisy["shake"] < 0.0005
    half = filmed(lambda t: {"x": 0.1 * max(t - 2, 0)}, seconds=4.0)
    assert half["static"] == pytest.approx(0.5, abs=0.05)
    assert half["pan"] == pytest.approx(0.05, rel=0.06)


def test_there_and_back_is_no_way_and_not_static():
    """What a camera pans to the right and back is 0, though it never stands."""
    row = filmed(lambda t: {"x": 0.1 * min(t, 4 - t)}, seconds=4.0)
    assert row["pan"] == pytest.approx(0, abs=0.004)
    assert row["static"] == 0


@pytest.mark.parametrize("pan", [0.0, 0.1])
def test_a_trembling_hand_shakes(pan):
    """Of a jitter of 0.005 of the width about as much is told, whether the camera pans beside it or not."""
    random = np.random.default_rng(1)
    hand = [random.normal(0, 0.005 / np.sqrt(2), 2) for _ in range(32)]
    row = filmed(lambda t: {"x": pan * t + hand[round(t * 8)][0], "y": hand[round(t * 8)][1]}, seconds=4.0)
    assert row["shake"] == pytest.approx(0.005, rel=0.3)
    assert row["pan"] == pytest.approx(pan, abs=0.005)


def test_what_moves_by_itself_is_not_the_camera():
    """A block of a quarter of the picture that crosses it under a fixed camera leaves it static."""
    block = np.ascontiguousarray(WORLD[:90, :160])

    def crossed(picture, time):
        left = round(time * 40)
        made = picture.copy()
        made[45:135, left : left + 160] = block
        return made

    row = filmed(lambda _: {}, over=crossed)
    assert row["static"] == 1
    assert 0.4 < row["agreement"] < 0.9


def test_a_cut_is_no_way():
    """Over a cut nothing is said of the camera, and the rest counts."""
    row = filmed(lambda t: {"x": 0.1 * t}, seconds=4.0, over=lambda p, t: p if t < 2 else p[::-1, ::-1].copy())
    # behind the cut the picture is upside down, and the pan with it
    assert row["pan"] == pytest.approx(0, abs=0.005)
    assert row["zoom"] == pytest.approx(0, abs=0.003)
    assert step(view(), view(x=1.5), 0.1, 0.3).move is None


def test_the_dark_tells_nothing():
    """Without a point to follow all is null but the agreement, which is none; without two frames all of it."""
    none = dict.fromkeys(Camera.writes)
    assert filmed(lambda _: {}, over=lambda p, _: np.zeros_like(p)) == {**none, "agreement": 0.0}
    assert filmed(lambda _: {}, seconds=0.125) == none


def test_one_frame_for_two_moments_is_one():
    """Footage of fewer frames than are asked for gives frames twice, at one time."""
    following = Camera().open(Clip(duration=1.0), None)
    for time in (0.0, 0.0, 0.5, 0.5, 0.5):
        following.frame(view(x=0.1 * time), time)
    assert [step.seconds for step in following.steps] == [0.5]


@pytest.mark.parametrize("shape", [(1, 1), (4, 9), (17, 200)])
def test_tiny_pictures_are_not_told_of(shape):
    """Too few points are no camera."""
    noise = np.random.default_rng(0).integers(0, 255, (2, *shape)).astype(np.uint8)
    assert step(noise[0], noise[1], 0.1, 0.3).move is None


def test_shake_is_off_a_straight_line():
    """By hand: a zigzag of 0.01 around a steady pan is off by 0.01, less what a line takes; no step, none."""
    steps = [Step(0.1, 1.0, (0.05 + (-1) ** n * 0.02, 0.0, 0.0, 0.0)) for n in range(60)]
    assert shake(steps, 1.0) == pytest.approx(0.01, rel=0.12)
    smooth = [Step(0.1, 1.0, (0.05, 0.01, 0.0, 0.0)) for _ in range(30)]
    assert shake(smooth, 1.0) == pytest.approx(0, abs=1e-9)
    assert shake([], 1.0) is None
    assert shake([Step(0.1, 0.0, None)] * 9, 1.0) is None


@pytest.mark.parametrize("change", [{"fps": 0}, {"short_side": 0}, {"smooth": 0}, {"still": -1}, {"least": 30}])
def test_what_makes_no_sense_is_refused(change):
    """By its name."""
    with pytest.raises(UsageError, match=f"^{next(iter(change))}="):
        Camera(**change)


def test_built_footage_reads_the_same_in_every_process(tmp_path):
    """A pan to the right of a tenth of the width a second, encoded, is told so, bit for bit alike in two workers."""

    def picture(time):
        return np.repeat(view(x=0.1 * time)[..., None], 3, axis=2)

    made = Project(tmp_path, {"camera": Camera()}, split=FixedStride(length=2.0))
    made.put("a.mp4", video(tmp_path / "a.mp4", seconds=4.0, fps=24, size=SIZE, picture=picture))
    made.build()
    for row in made.rows().values():
        assert row["camera_pan"] == pytest.approx(0.1, rel=0.05)
        assert row["camera_static"] == 0
    other = Project(tmp_path, made.stages, split=made.split, store=tmp_path / "other", videos=made.videos)
    other.local = Local(workers=2)
    other.build()
    assert made.tables() == other.tables()
