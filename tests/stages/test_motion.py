"""How much moves."""

import cv2
import numpy as np
import pytest
from footage import video
from project import Project
from skimage import data

from vbuild.engine import tasks
from vbuild.errors import UsageError
from vbuild.executor.config import Local
from vbuild.recipes import recipe
from vbuild.stage import Clip, Frames, Moved, Sampled, Vectors
from vbuild.stages.motion import Motion, fastest, least, least_point

NOISE = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (112, 400)), (0, 0), 5)
TEXTURE = cv2.normalize(NOISE, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
PICTURE = data.camera()[:400, :480]
NOTHING = dict.fromkeys(Motion.writes)


def measure(pairs, steps=None, **params):
    stage = Motion(**params)
    n = len(pairs)
    steps = np.full(n, 1 / 25) if steps is None else np.asarray(steps)
    clip = Clip(duration=10.0, frames=Sampled(np.asarray(pairs, np.uint8), np.arange(n) / 2, steps))
    (row,) = stage.run([clip], None)
    return row


def by_vectors(cells, size, *, frames=1, seen=2, codec="h264", **params):
    cells = None if cells is None else np.asarray(cells, np.float64)
    clip = Clip(duration=10.0, vectors=Moved(cells, *size, frames=frames, seen=seen, codec=codec))
    (row,) = Motion(by="vectors", **params).run([clip], None)
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
    row = measure([[window(20), window(20)]])
    assert row == {"mean": 0.0, "min_patch": 0.0, "top": 0.0, "speed": 0.0, "top_speed": 0.0, "reason": None}


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


def test_speed_is_of_pixels_a_second_at_one_size():
    """Four pixels of 256 in 1/25 s are 100 a second; so are two of 128, and eight in twice the time, of pairs apart."""
    assert measure([[window(20), window(24)]])["speed"] == pytest.approx(100, rel=0.1)
    half = [cv2.resize(window(left), (192, 128), interpolation=cv2.INTER_AREA) for left in (20, 24)]
    assert measure([half])["speed"] == pytest.approx(100, rel=0.1)
    assert measure([[window(20), window(24)], [window(20), window(28)]], [0.04, 0.08])["speed"] == pytest.approx(
        100, rel=0.1
    )


def test_a_small_thing_that_moves_is_in_the_top_and_hardly_in_the_mean():
    """A square of a fortieth of the picture that goes six pixels is 150 pixels a second of the fastest twentieth's."""
    before, after = window(20).copy(), window(20).copy()
    patch = np.random.default_rng(1).integers(0, 255, (50, 50)).astype(np.uint8)
    patch = cv2.normalize(cv2.GaussianBlur(patch, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    before[100:150, 100:150] = patch
    after[100:150, 106:156] = patch
    row = measure([[before, after]])
    assert row["speed"] < 0.05 * 150
    assert 0.3 * 150 < row["top_speed"] < 150
    assert row["top"] == pytest.approx(row["top_speed"] / 25 / (256 + 384))


def test_the_fastest_are_a_twentieth():
    """Of four hundred values the twenty greatest, whatever their places."""
    values = np.random.default_rng(0).permutation(np.arange(400.0)).reshape(20, 20)
    assert fastest(values) == np.arange(380, 400).mean()
    assert fastest(np.ones((1, 1))) == 1


def test_frames_that_stand_on_one_moment_do_not_move_without_end():
    """Of damaged times two frames may be a tick apart: the speed is of all pairs and all the time between them."""
    pairs = [[window(20), window(24)]] * 4
    assert measure(pairs, [0.04, 0.04, 0.04, 1e-5])["speed"] == pytest.approx(100 * 4 / 3, rel=0.1)


def test_a_clip_without_pairs_has_no_measure():
    """Without two adjacent frames all values are null, and it is said why."""
    why = {**NOTHING, "reason": "no two frames in a row"}
    assert measure(np.empty((0, 2, 256, 384))) == why
    assert by_vectors(None, (640, 360), frames=0, seen=1) == why


@pytest.mark.parametrize("shape", [(1, 1), (6, 10), (9, 200)])
def test_tiny_pictures_are_measured(shape):
    """Pictures too small for the flow's pyramid still get a finite value."""
    noise = np.random.default_rng(0).integers(0, 255, (1, 2, *shape))
    assert 0 <= measure(noise)["mean"] < 1


def test_what_ran_before_changes_nothing():
    """A clip reads the same alone and in a batch behind a tiny one."""
    clips = [
        Clip(duration=1.0, frames=Sampled(np.ascontiguousarray(pair, np.uint8)[None], np.zeros(1), np.full(1, 1 / 25)))
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


def test_vectors_are_a_share_of_height_and_width():
    """By hand: what reaches over the border counts for the part that is in the picture."""
    row = by_vectors([[3.0, 6.0]], (12, 8))
    assert row["mean"] == pytest.approx((3 * 8 + 6 * 4) / 12 / 20)
    assert row["min_patch"] == pytest.approx(row["mean"])
    assert row["top"] == pytest.approx(6 / 20)
    assert (row["speed"], row["top_speed"], row["reason"]) == (None, None, None)


@pytest.mark.parametrize(("middle", "around", "area", "point"), [(4, 0, 4 * 4 / 1024, 4), (0, 4, 4 * 1020 / 1024, 0)])
def test_parity_reads_points_where_a_mean_is_meant(middle, around, area, point):
    """One of four patches, of 1024 cells: NeMo Curator sees the four cells around its middle, and nothing else."""
    cells = np.full((64, 64), 5.0)
    cells[:32, :32] = around
    cells[15:17, 15:17] = middle
    plain, parity = (by_vectors(cells, (512, 512), parity=parity) for parity in (False, True))
    assert plain["min_patch"] == pytest.approx(area / 1024)
    assert parity["min_patch"] == pytest.approx(point / 1024)
    assert plain["mean"] == parity["mean"] == pytest.approx((3 * 5 + area) / 4 / 1024)


def test_points_stand_at_even_steps():
    """Also where the patches do not fill the picture: of 384 pixels the points are 127.5 and, at the border, 383."""
    values = np.tile(np.arange(384.0)[::-1], (256, 1))
    assert least_point(values, 256) == 0
    values[:, -1] = 7
    assert least_point(values, 256) == 7


def test_parity_leaves_small_pictures_out():
    """Under 256 pixels a side NeMo Curator gives no score; by default any size is measured."""
    cells = np.ones((31, 40))
    row = by_vectors(cells, (320, 248), parity=True)
    assert row == {**NOTHING, "reason": "a side of the picture is under 256 pixels"}
    assert by_vectors(cells, (320, 248))["mean"] == pytest.approx(1 / 568)


def test_the_codec_is_named_where_there_are_no_vectors():
    """So that a query may tell why."""
    assert by_vectors(None, (640, 360), frames=0, codec="vp9")["reason"] == "the codec gave no motion vectors (vp9)"
    told = by_vectors(None, (640, 360), frames=0, parity=True)["reason"]
    assert told == "no frame that it looks at has motion vectors (h264)"


def test_what_is_asked_follows_the_way():
    """Flow asks for pairs of frames, vectors for no pixels; the way is in the recipe unless it is the default."""
    assert isinstance(Motion().asks(), Frames)
    assert Motion(by="vectors", fps=3, parity=True).asks() == Vectors(fps=3, parity=True)
    assert recipe(Motion(by="flow")).params == {}
    assert recipe(Motion(by="vectors", parity=True)).params == {"by": "vectors", "parity": True}


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"parity": True}, r"^parity=true.*add by=vectors"),
        ({"by": "vectors", "patch": 32}, r"^patch=32.*leave it out"),
        ({"by": "vectors", "short_side": 128}, r"^short_side=128.*leave it out"),
    ],
)
def test_what_a_way_does_not_know_is_refused(params, told):
    """It would stand in keys and change nothing."""
    with pytest.raises(UsageError, match=told):
        Motion(**params)


def pan(time):
    """A soft texture that moves by four pixels a frame, at 10 frames a second."""
    left = round(time * 40)
    return np.repeat(np.ascontiguousarray(TEXTURE[:, left : left + 160])[..., None], 3, axis=2)


@pytest.fixture
def project(tmp_path):
    """A video with vectors and one without, and both ways of measuring them."""
    made = Project(tmp_path, {"motion": Motion(), "moved": Motion(by="vectors")})
    made.where = {"still": "moved_mean is null or moved_mean >= 0.001"}
    for name, codec in (("a.mp4", "libx264"), ("b.webm", "libvpx-vp9")):
        source = video(tmp_path / name, seconds=3, fps=10, size=(160, 112), gop=10, codec=codec, bframes=0, picture=pan)
        made.put(name, source)
    return made


def test_both_ways_in_one_decode(project, monkeypatch):
    """Each video is decoded once for both; what has no vectors is null with a reason, kept, and no failure."""
    jobs = []

    def noted(*args):
        for task in made(*args):
            jobs.append([job.stage.by for job in task.jobs if isinstance(job.stage, Motion)])
            yield task

    made = tasks.tasks
    monkeypatch.setattr(tasks, "tasks", noted)
    report = project.build()
    assert [by for by in jobs if by] == [["flow", "vectors"]] * 2
    assert not sum(stage.failed for stage in report.stages)
    rows = project.rows().values()
    assert len(rows) == 6
    for row in rows:
        assert row["kept"]
        assert row["motion_mean"] == pytest.approx(4 / 272, rel=0.35)
        assert row["motion_reason"] is None
        assert row["motion_speed"] == pytest.approx(row["motion_mean"] * 272 * 256 / 112 * 10, rel=1e-4)
        assert row["motion_top_speed"] >= row["motion_speed"]
        if row["uri"].endswith("mp4"):
            assert row["moved_mean"] == pytest.approx(4 / 272, rel=0.1)
            assert row["moved_reason"] is None
        else:
            assert (row["moved_mean"], row["moved_min_patch"]) == (None, None)
            assert row["moved_reason"] == "the codec gave no motion vectors (vp9)"


def test_workers_change_nothing(project, tmp_path):
    """Bit-equal rows in this process and in two others."""
    project.build()
    other = Project(tmp_path, project.stages, where=project.where, store=tmp_path / "other", videos=project.videos)
    other.local = Local(workers=2)
    other.build()
    assert project.tables() == other.tables()
