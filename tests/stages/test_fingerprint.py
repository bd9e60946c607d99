"""Hashes of frames: near for the same footage, far for other, and none for what shows nothing."""

from itertools import combinations

import cv2
import numpy as np
import pytest
from footage import frames, scene, video
from project import Project, dropped
from skimage import data

from vbuild.decisions.dedup import Dedup
from vbuild.errors import UsageError
from vbuild.near.frames import MOST, NOISE, distances
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip
from vbuild.stages.fingerprint import SIDE, Fingerprint, bars_of, hashed
from vbuild.stages.perceptual import Perceptual

SIZE = (320, 180)
CAMERA = cv2.cvtColor(data.camera(), cv2.COLOR_GRAY2RGB)
PICTURES = [data.camera(), data.coins(), data.moon(), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)]


def shrunk(picture):
    return cv2.resize(np.ascontiguousarray(picture), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def apart(one, other):
    """In how many bits the hashes of two pictures differ."""
    pictures = shrunk(one), shrunk(other)
    return int(distances(*(hashed(picture, bars_of([picture])) for picture in pictures)))


def test_the_same_picture_is_near():
    """Smaller, coarser, brighter, of more contrast, in another shape, or noisy."""
    random = np.random.default_rng(0)
    for picture in PICTURES:
        _, coarse = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])
        again = {
            "small": cv2.resize(picture, (200, 112), interpolation=cv2.INTER_AREA),
            "coarse": cv2.imdecode(coarse, cv2.IMREAD_GRAYSCALE),
            "bright": (picture * 0.8 + 30).astype(np.uint8),
            "noisy": (picture + random.normal(0, 8, picture.shape)).clip(0, 255).astype(np.uint8),
        }
        for name, other in again.items():
            assert apart(picture, other) <= NOISE, name


def test_other_pictures_are_far():
    """About half of the bits differ."""
    for one, other in combinations(PICTURES, 2):
        assert 80 < apart(one, other) < 176


def test_bars_and_a_logo_change_little():
    """Bars above and below, or at the sides; a bright sign in a corner, in the picture or on a bar."""
    for picture in PICTURES:
        high, wide = picture.shape
        for bars in ((high // 8, high // 8, 0, 0), (0, 0, wide // 6, wide // 6)):
            boxed = cv2.copyMakeBorder(picture, *bars, cv2.BORDER_CONSTANT, value=3)
            assert apart(picture, boxed) <= MOST // 2
        boxed[high // 20 : high // 8, -wide // 7 : -wide // 30] = 230
        assert apart(picture, boxed) <= MOST // 2
        if picture.std() > 40:
            marked = picture.copy()
            marked[high // 20 : high // 9, wide * 5 // 6 : wide * 19 // 20] = 230
            assert apart(picture, marked) <= MOST // 2


@pytest.mark.parametrize("level", [0, 3, 128, 255])
def test_what_shows_nothing_has_no_hash(level):
    """Nor has it with the noise of a codec; a clip of such frames has none at all."""
    random = np.random.default_rng(0)
    flat = (np.full((SIDE, SIDE), level) + random.integers(-2, 3, (SIDE, SIDE))).clip(0, 255).astype(np.uint8)
    assert hashed(flat) is None
    sink = Fingerprint().open(Clip(duration=1.0), None)
    sink.frame(flat, 0.0)
    assert sink.close() == {"": None, "times": None}
    sink = Fingerprint().open(Clip(duration=1.0), None)
    sink.frame(flat, 0.0)
    sink.frame(shrunk(PICTURES[0]), 0.5)
    row = sink.close()
    assert (len(row[""]), row["times"]) == (4, [0.5])


def test_a_rate_of_nothing_is_refused():
    """By its name."""
    with pytest.raises(UsageError, match=r"^fps=0"):
        Fingerprint(fps=0)


def slide(seed):
    """A slide of a template that all of them share: a bar, a heading, lines of words of their own."""
    random = np.random.default_rng(seed)
    words = [
        "alpha",
        "south",
        "index",
        "cost",
        "risk",
        "model",
        "budget",
        "team",
        "north",
        "river",
        "quarter",
        "profit",
    ]
    picture = np.full((360, 640, 3), 250, np.uint8)
    picture[:40] = (20, 60, 140)
    for line in range(9):
        text = " ".join(random.choice(words, 7))
        place = (40, 80 + 30 * line)
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (20, 20, 20), 1, cv2.LINE_AA)
    return picture


def test_slides_of_one_template_stay_apart(tmp_path):
    """Their words tell them, which `perceptual` takes for one and the same; the same slide again does not stay."""
    stages = {"embed": Perceptual(), "print": Fingerprint()}
    project = Project(tmp_path, {**stages, "dedup": Dedup(of="embed")}, split=FixedStride(length=10))
    for seed in range(6):
        picture = slide(seed)
        path = video(tmp_path / f"{seed}.mp4", seconds=4, fps=10, size=(640, 360), picture=lambda _, p=picture: p)
        project.put(f"{seed}.mp4", path)
    small = cv2.resize(slide(0), (320, 180), interpolation=cv2.INTER_AREA)
    again = video(tmp_path / "again.mp4", seconds=3, fps=12, size=(320, 180), crf=30, picture=lambda _: small)
    project.put("again.mp4", again)
    project.build()
    assert dropped(project)["dedup"] > 1
    project.stages = {**stages, "dedup": Dedup(of="print", keep="source_w desc")}
    project.build()
    assert {row["uri"].rpartition("/")[2] for row in project.rows().values() if not row["kept"]} == {"again.mp4"}


def copied(path, source, start, speed=1.0, **how):
    """The footage of a film from a moment on, at another speed, size and rate of bits."""
    known = frames(source)
    times = np.array([time for time, _ in known])
    size = how.setdefault("size", (256, 144))

    def picture(time):
        found = known[np.abs(times - (start + time * speed)).argmin()][1]
        return cv2.resize(found, size, interpolation=cv2.INTER_AREA)

    return video(path, picture=picture, **{"crf": 32, "fps": 25} | how)


def panned(photo):
    """A camera that pans over a photograph."""
    high, wide = photo.shape[:2]
    scale = wide * 0.7 / SIZE[0]

    def picture(time):
        left, top = wide * (0.15 + 0.14 * np.sin(0.6 * time)), high * 0.1 * (1 + np.cos(0.6 * time))
        return cv2.warpAffine(photo, np.array([[scale, 0, left], [0, scale, top]]), SIZE, flags=cv2.WARP_INVERSE_MAP)

    return picture


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Twelve seconds, four scenes."""
    scenes = [panned(photo) for photo in (data.astronaut(), data.coffee(), data.chelsea(), CAMERA)]
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return video(path, seconds=12, fps=24, size=SIZE, picture=lambda time: scenes[int(time / 3)](time))


@pytest.mark.parametrize("speed", [1.0, 0.96, 1.04])
def test_a_copy_that_is_cut_otherwise_goes(tmp_path, film, speed):
    """Every clip of it, whatever lies on the other side of a cut; by the vector of a whole clip hardly any does."""
    stages = {"embed": Perceptual(), "print": Fingerprint()}
    split = FixedStride(length=3.0, min=1.0)
    project = Project(tmp_path, {**stages, "dedup": Dedup(of="print", keep="source_w desc")}, split=split)
    project.put("film.mp4", film)
    project.put("copy.mp4", copied(tmp_path / "copy.mp4", film, 0.7, speed, seconds=10))
    others = panned(data.immunohistochemistry()), scene(9, SIZE)
    for n, picture in enumerate(others):
        project.put(f"other{n}.mp4", video(tmp_path / f"{n}.mp4", seconds=3, size=SIZE, picture=picture))
    project.build()
    gone = [row for row in project.rows().values() if not row["kept"]]
    assert {row["uri"].rpartition("/")[2] for row in gone} == {"copy.mp4"}
    assert len(gone) >= 3
    for pair in project.rows("duplicates").values():
        assert 0.5 <= pair["similarity"] <= 1
    project.stages["dedup"] = Dedup(of="embed", keep="source_w desc")
    project.build()
    assert dropped(project).get("dedup", 0) <= 1
