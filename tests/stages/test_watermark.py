"""Marks that stand still over a scene that moves."""

import cv2
import numpy as np
import pytest
from footage import video
from project import Project

from vbuild.errors import UsageError
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip, Sampled
from vbuild.stages.watermark import Watermark, turns

SIZE = (480, 270)
NOISE = np.random.default_rng(5).normal(0, 1, (600, 1200)).astype(np.float32)
WORLD = sum(cv2.GaussianBlur(NOISE, (0, 0), sigma) * sigma for sigma in (1.5, 5, 15))
WORLD = cv2.normalize(WORLD, None, 30, 200, cv2.NORM_MINMAX).astype(np.uint8)
AT = {"corner": (400, 30), "middle": (190, 150)}


def view(time, speed=(60, 25)):
    """A part of the world that moves by pixels a second to the right and down."""
    left, top = round(time * speed[0]), round(time * speed[1])
    return WORLD[top : top + SIZE[1], left : left + SIZE[0]].copy()


def marked(picture, at, weight=1.0):
    """The picture with a logo: a ring and a word."""
    logo = picture.copy()
    x, y = at
    cv2.circle(logo, (x, y), 14, 255, 3, cv2.LINE_AA)
    cv2.putText(logo, "TV", (x + 18, y + 8), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA)
    return cv2.addWeighted(logo, weight, picture, 1 - weight, 0)


def measure(paint, count=12, **params):
    """The measures of pictures, seconds → uint8 (h, w), two a second."""
    pictures = np.stack([paint(n / 2) for n in range(count)]) if count else np.empty((0,), np.uint8)
    clip = Clip(duration=count / 2, frames=Sampled(pictures, np.arange(count) / 2))
    (row,) = Watermark(**params).run([clip], None)
    return row


def test_a_scene_that_moves_has_no_mark():
    """All is 0, and nearly all of the detail moves."""
    row = measure(view)
    assert (row["area"], row["share"], row["corner"]) == (0, 0, 0)
    assert row["moving"] > 0.95


@pytest.mark.parametrize(("place", "corner"), [("corner", 1), ("middle", 0)])
@pytest.mark.parametrize("weight", [1.0, 0.7])
def test_a_logo_is_found_by_where_it_is(place, corner, weight):
    """Whole, or a little transparent, in a corner or not; its area is that of its box."""
    row = measure(lambda t: marked(view(t), AT[place], weight))
    assert (row["share"], row["corner"]) == (1, corner)
    assert row["area"] == pytest.approx(75 * 32 / (SIZE[0] * SIZE[1]), rel=0.4)


def test_two_logos_are_both_found():
    """Of two as large, one in a corner, half is in a corner."""
    row = measure(lambda t: marked(marked(view(t), AT["corner"]), AT["middle"]))
    assert row["corner"] == pytest.approx(0.5, abs=0.1)
    assert row["area"] == pytest.approx(2 * measure(lambda t: marked(view(t), AT["middle"]))["area"], rel=0.1)


def test_under_a_fixed_camera_nothing_is_told():
    """Where the scene stands as the logo does all but the share that moves is null."""
    row = measure(lambda _: marked(view(0), AT["corner"]))
    assert (row["area"], row["share"], row["corner"]) == (None, None, None)
    assert row["moving"] == 0


def test_the_share_is_of_the_frames_in_which_a_mark_is_seen():
    """A logo that comes a frame late is seen in all frames but the first."""
    row = measure(lambda t: marked(view(t), AT["corner"]) if t > 0 else view(t), count=16)
    assert row["share"] == pytest.approx(15 / 16)


def test_a_logo_of_half_the_clip_is_not_found():
    """It comes within the clip, as the stage says of itself."""
    assert measure(lambda t: marked(view(t), AT["corner"]) if t > 3 else view(t))["area"] == 0


def test_bars_are_no_marks():
    """The edges of letterbox bars stand still, and are no logo; one beside them is found."""

    def boxed(time):
        picture = view(time)
        picture[:36] = picture[-36:] = 16
        return picture

    assert measure(boxed)["area"] == 0
    assert measure(lambda t: marked(boxed(t), AT["middle"]))["share"] == 1


def test_an_edge_that_moves_along_itself_is_no_mark():
    """A short horizon in a pan seems to stand; edges of one direction do not count."""

    def pan(time):
        picture = view(time, (60, 0))
        picture[130:134, 150:300] = 255
        return picture

    assert measure(pan)["area"] == 0


@pytest.mark.parametrize("count", [0, 1, 4])
def test_of_few_frames_nothing_is_told(count):
    """By chance a great deal stands still in four frames."""
    assert measure(lambda t: marked(view(t), AT["corner"]), count=count) == dict.fromkeys(Watermark.writes)


def test_without_detail_nothing_is_told():
    """A black clip has none."""
    assert measure(lambda _: np.zeros((270, 480), np.uint8)) == dict.fromkeys(Watermark.writes)


def test_directions_by_hand():
    """Vectors of one direction have nothing across it, those of two at right angles half."""
    assert turns(np.array([[1.0, -2, 3], [1, -2, 3]])) == pytest.approx(0, abs=1e-9)
    assert turns(np.array([[1.0, 0, -1, 0], [0, 1, 0, -1]])) == pytest.approx(0.5)


@pytest.mark.parametrize("change", [{"fps": 0}, {"short_side": 0}, {"contrast": 0}, {"steady": 2}, {"zone": -0.1}])
def test_what_makes_no_sense_is_refused(change):
    """By its name."""
    with pytest.raises(UsageError, match=f"^{next(iter(change))}="):
        Watermark(**change)


def test_built_footage_reads_the_same_in_every_process(tmp_path):
    """A logo over encoded footage is found, none where none is, bit for bit alike in two workers."""
    paints = {"plain": view, "logo": lambda t: marked(view(t), AT["corner"])}
    made = Project(tmp_path, {"mark": Watermark()}, split=FixedStride(length=4.0))
    for name, paint in paints.items():
        colour = lambda t, paint=paint: np.repeat(paint(t)[..., None], 3, axis=2)  # noqa: E731
        made.put(f"{name}.mp4", video(tmp_path / f"{name}.mp4", seconds=4, fps=12, size=SIZE, picture=colour))
    made.build()
    areas = {row["uri"].rpartition("/")[2]: row["mark_area"] for row in made.rows().values()}
    assert areas["plain.mp4"] == 0
    assert areas["logo.mp4"] > 0.01
    other = Project(tmp_path, made.stages, split=made.split, store=tmp_path / "other", videos=made.videos)
    other.local = Local(workers=2)
    other.build()
    assert made.tables() == other.tables()
