"""The embedding that needs no weights."""

from itertools import combinations

import cv2
import numpy as np
import pytest
from footage import frames, video

from vbuild.decisions.dedup import Dedup
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Clip, Sampled
from vbuild.stages.perceptual import SIZE, Perceptual

SECONDS = 4.0


def vector_of(pixels):
    clip = Clip(duration=SECONDS, frames=Sampled(pixels, np.arange(len(pixels), dtype=float)))
    (row,) = Perceptual().run([clip], None)
    return row[""]


def embed(path):
    found = probe(str(path))
    cut = Cut(found.start_pts, found.end_pts, {"": Perceptual().asks()})
    (taken,) = footage(str(path), found.stream, [cut])
    return vector_of(taken.samples[""].pixels)


def likeness(one, other):
    return float(np.dot(one.astype(np.float64), other))


def again(path, source, size, **how):
    """The same footage, encoded anew from its decoded frames."""
    known = frames(source)
    times = np.array([time for time, _ in known])

    def picture(time):
        return cv2.resize(known[np.abs(times - time).argmin()][1], size, interpolation=cv2.INTER_AREA)

    return video(path, seconds=SECONDS, size=size, picture=picture, **how)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return video(tmp_path_factory.mktemp("footage") / "original.mp4", seconds=SECONDS, size=(320, 180), seed=3)


@pytest.mark.parametrize(
    ("name", "size", "how"),
    [
        ("low.mp4", (320, 180), {"crf": 38}),
        ("small.mp4", (160, 90), {}),
        ("wide.mp4", (640, 360), {"crf": 30}),
        ("slow.mp4", (320, 180), {"fps": 12}),
        ("other.mkv", (200, 112), {"codec": "mpeg4", "fps": 25}),
    ],
)
def test_the_same_footage_encoded_anew_is_near(tmp_path, original, name, size, how):
    """Another quality, size, rate of frames, codec or container stays at 0.99, within what dedup takes for a twin."""
    twin = embed(again(tmp_path / name, original, size, **how))
    assert likeness(embed(original), twin) >= 0.99
    assert 1 - likeness(embed(original), twin) < Dedup().eps


def test_other_footage_is_far(tmp_path, original):
    """Different scenes that move alike are nowhere near each other."""
    others = [video(tmp_path / f"{seed}.mp4", seconds=SECONDS, size=(320, 180), seed=seed) for seed in (4, 5, 6)]
    vectors = [embed(path) for path in (original, *others)]
    assert max(likeness(a, b) for a, b in combinations(vectors, 2)) < 0.6


def test_time_has_a_direction(original):
    """A clip played backwards is another clip."""
    pixels = np.stack([cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA) for _, frame in frames(original)])
    assert likeness(vector_of(pixels), vector_of(pixels[::-1])) < 0.96


def test_brightness_alone_changes_little():
    """The same structure a little brighter stays near: structure decides."""
    pixels = np.random.default_rng(0).integers(40, 180, (1, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    assert likeness(vector_of(pixels), vector_of(pixels + 20)) > 0.99


def test_black_clips_are_near_each_other_and_near_nothing_else(original):
    """Black has a vector: near other black, with noise or without; far from gray, white and pictures."""
    random = np.random.default_rng(0)
    black = np.zeros((24, 32, 32, 3), np.uint8)
    vector = vector_of(black)
    assert likeness(vector, vector_of(black + random.integers(0, 3, black.shape, np.uint8))) > 0.99
    assert likeness(vector, vector_of(black + 3)) > 0.99
    for other in (vector_of(black + 128), vector_of(black + 255), embed(original)):
        assert likeness(vector, other) < 0.8


@pytest.mark.parametrize("count", [1, 2, 5, 24])
def test_a_clip_of_few_frames_has_a_vector_like_a_still(count):
    """However few frames there are, the vector is of unit length, and that of a still picture is always the same."""
    picture = np.random.default_rng(1).integers(0, 255, (1, 32, 32, 3), np.uint8)
    vector = vector_of(np.repeat(picture, count, 0))
    assert vector.shape == (SIZE,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert likeness(vector, vector_of(picture)) == pytest.approx(1, abs=1e-6)


def test_no_frame_no_vector():
    """A clip without a frame has a null, not a vector of nothing."""
    assert vector_of(np.empty((0,), np.uint8)) is None
