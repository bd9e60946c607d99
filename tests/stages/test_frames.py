"""Frames that are kept as files."""

import cv2
import pytest
from footage import number_of, video
from project import Project

from vbuild.errors import UsageError
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip
from vbuild.stages.frames import Frames


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return video(tmp_path_factory.mktemp("footage") / "a.mp4", seconds=3.0, fps=10, gop=12, numbered=True)


def kept(path, scratch, **params):
    """The row of a whole video, and the number that each kept frame bears."""
    stage, found = Frames(**params), probe(str(path))
    sink = stage.open(Clip(duration=found.duration, scratch=scratch), stage.load())
    cut = Cut(found.start_pts, found.end_pts, sinks={"": (stage.asks(), sink)})
    (row,) = [sink.close() for _ in footage(str(path), found.stream, [cut])]
    return row, [number_of(cv2.imread(str(blob.data))) for blob in row[""]]


def test_each_rate_gets_the_frames_nearest_to_its_moments(tmp_path, source):
    """1 and 2.5 a second share what they share; each file is kept once and says what for."""
    row, numbers = kept(source, tmp_path, rates=(1.0, 2.5))
    assert numbers == [0, 4, 8, 10, 12, 16, 20, 24, 28]
    assert row["time"] == pytest.approx([n / 10 for n in numbers])
    assert [role.split(", ") for role in row["role"]] == [
        ["1 fps", "2.5 fps"], ["2.5 fps"], ["2.5 fps"], ["1 fps"], ["2.5 fps"], ["2.5 fps"], ["1 fps", "2.5 fps"],
        ["2.5 fps"], ["2.5 fps"],
    ]  # fmt: skip


def test_the_middle_and_the_keyframes(tmp_path, source):
    """The middle of three seconds, and a keyframe each twelve frames."""
    row, numbers = kept(source, tmp_path, rates=(), middle=True, keyframes=True)
    assert numbers == [0, 12, 15, 24]
    assert row["role"] == ["keyframe", "keyframe", "middle", "keyframe"]


def test_uneven_frames_are_chosen_by_their_times(tmp_path):
    """Of frames at uneven distances the nearest is taken, whatever its number."""
    times = [0, 0.1, 0.2, 0.9, 1.05, 1.6, 1.7, 1.96, 2.3]
    path = video(tmp_path / "v.mkv", times=times, fps=10, numbered=True)
    _, numbers = kept(path, tmp_path, rates=(1.0,))
    assert numbers == [0, 4, 7]


@pytest.mark.parametrize(("kind", "suffix"), [("jpeg", ".jpg"), ("webp", ".webp"), ("png", ".png")])
def test_kinds_of_files_and_sizes(tmp_path, source, kind, suffix):
    """Each kind can be read again at the size that was asked; nothing is enlarged."""
    row, _ = kept(source, tmp_path, rates=(0.5,), format=kind, short_side=48)
    assert {blob.suffix for blob in row[""]} == {suffix}
    assert cv2.imread(str(row[""][0].data)).shape == (48, 64, 3)
    row, _ = kept(source, tmp_path, rates=(0.5,), format=kind, long_side=1000)
    assert cv2.imread(str(row[""][0].data)).shape == (96, 128, 3)


def test_quality_reaches_the_encoder(tmp_path, source):
    """Lower quality makes smaller files."""
    small, large = (kept(source, tmp_path, quality=q)[0][""][0].data.stat().st_size for q in (10, 95))
    assert small < 0.6 * large


def test_a_frame_that_is_gone_is_kept_again(tmp_path, source):
    """In a dataset the files stand as lists of paths; where one of them is gone, its clip runs again, and no other."""
    project = Project(tmp_path, {"frames": Frames(rates=(2.0,))}, split=FixedStride(length=1.5, min=0.5))
    project.put("a.mp4", source)
    project.build()
    rows = sorted(project.rows().values(), key=lambda row: row["start_s"])
    assert [len(row["frames_uri"]) for row in rows] == [3, 3]
    assert [number_of(cv2.imread(str(project.store / uri))) for row in rows for uri in row["frames_uri"]] == [
        0,
        5,
        10,
        15,
        20,
        25,
    ]
    assert all(len(one) == 32 for row in rows for one in row["frames_digest"])
    (project.store / rows[0]["frames_uri"][1]).unlink()
    report = project.again()
    assert {stage.name: stage.ran for stage in report.stages}["frames"] == 1
    assert cv2.imread(str(project.store / rows[0]["frames_uri"][1])) is not None


@pytest.mark.parametrize("params", [{"rates": (0.0,)}, {"rates": ()}, {"quality": 101}, {"long_side": 1}])
def test_frames_of_nothing_are_refused(params):
    """Rates of nothing, and what no image takes, are refused by name."""
    (name,) = params
    with pytest.raises(UsageError, match=rf"^{name}="):
        Frames(**params)
