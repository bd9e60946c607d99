"""Clips are put into buckets by how large, how wide and how long they are."""

import pytest
from footage import video
from project import Project, hits, ran

from vbuild.errors import UsageError
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip
from vbuild.stages.bucket import Bucket
from vbuild.stages.transcode import Transcode


def bucket(width, height, seconds, file=None, **changes):
    """The buckets of one clip."""
    columns = {"probe": {"width": width, "height": height}, "span": {"duration": seconds}}
    columns |= {} if file is None else {"file": file}
    (row,) = Bucket(**changes).run([Clip(duration=0.0, columns=columns)], None)
    return tuple(row.values())


@pytest.mark.parametrize(
    ("side", "name"), [(479, "<480p"), (480, "480p"), (719, "480p"), (720, "720p"), (1080, "1080p"), (4320, "2160p")]
)
def test_resolution_is_the_highest_bound_that_the_shorter_side_reaches(side, name):
    """Whichever side that is."""
    assert bucket(side * 2, side, 1.0)[0] == bucket(side, side * 2, 1.0)[0] == name


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((1080, 1920), "9:16"),
        ((649, 1000), "9:16"),
        ((650, 1000), "3:4"),
        ((1000, 1000), "1:1"),
        ((866, 1000), "3:4"),
        ((867, 1000), "1:1"),
        ((640, 480), "4:3"),
        ((1539, 1000), "4:3"),
        ((1540, 1000), "16:9"),
        ((1920, 800), "16:9"),
    ],
)
def test_aspect_is_the_nearest_shape(shape, name):
    """Two meet at the root of their product, which is where Cosmos Curator has its bounds, to two decimals."""
    assert bucket(*shape, 1.0)[1] == name


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(4.99, "<5s"), (5.0, "5-10s"), (9.99, "5-10s"), (10.0, "10-30s"), (30.0, "30s+"), (99.0, "30s+")],
)
def test_a_bound_belongs_to_the_bucket_above_it(seconds, name):
    """In seconds."""
    assert bucket(1, 1, seconds)[2] == name


def test_bounds_may_be_others():
    """Fractions of seconds too, and shapes by numbers with a point; shapes in any order."""
    found = bucket(2390, 1000, 3.0, resolutions=(1000,), aspects=("2.39:1", "16:9"), durations=(2.5, 4))
    assert found == ("1000p", "2.39:1", "2.5-4s")


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolutions": ()}, {"resolutions": (720, 480)}, {"durations": (0.0, 5.0)}, {"aspects": ()},
        {"aspects": ("wide",)}, {"aspects": ("16:0",)}, {"aspects": ("16",)},
    ],
)  # fmt: skip
def test_bounds_that_are_none_are_refused(wrong):
    """By name."""
    with pytest.raises(UsageError, match=rf"^{next(iter(wrong))}="):
        Bucket(**wrong)


def test_a_file_that_was_made_counts_where_it_is_named():
    """And one that could not be made has no shape."""
    assert bucket(1920, 1080, 6.0, {"w": 480, "h": 480}) == ("480p", "1:1", "5-10s")
    assert bucket(1920, 1080, 6.0, {"w": None, "h": None}) == (None, None, "5-10s")


@pytest.fixture
def project(tmp_path):
    """Two videos of one shape and length, and one of another; clips of 2 s and what is left."""
    project = Project(
        tmp_path, {"bucket": Bucket(resolutions=(48, 96), durations=(1.5,))}, split=FixedStride(length=2.0, min=1.0)
    )
    for n, (size, seconds) in enumerate([((128, 72), 3.0), ((128, 72), 3.0), ((96, 128), 2.0)]):
        project.put(f"{n}.mp4", video(tmp_path / "made.mp4", seconds=seconds, fps=8, size=size, seed=n))
    return project


def columns(project):
    names = ("bucket_resolution", "bucket_aspect", "bucket_duration")
    return sorted(tuple(row[name] for name in names) for row in project.rows().values())


def test_a_build_decodes_nothing_for_it_and_clips_of_one_shape_and_length_share_an_action(project):
    """Five clips, of three kinds."""
    report = project.build()
    assert ran(report)["bucket"] == 3
    assert columns(project) == [
        ("48p", "16:9", "1.5s+"), ("48p", "16:9", "1.5s+"), ("48p", "16:9", "<1.5s"), ("48p", "16:9", "<1.5s"),
        ("96p", "3:4", "1.5s+"),
    ]  # fmt: skip


def test_other_bounds_run_it_alone_and_a_reason_is_given(project):
    """A longer clip is a new input."""
    project.build()
    project.stages["bucket"] = Bucket(resolutions=(64,), durations=(1.5,))
    report = project.build()
    assert ran(report) == {"bucket": 3}
    (count,) = [stage for stage in report.stages if stage.name == "bucket"]
    assert list(count.reasons) == ["resolutions [48, 96] → [64]"]
    project.split = FixedStride(length=2.5, min=0.5)
    report = project.build()
    (count,) = [stage for stage in report.stages if stage.name == "bucket"]
    assert count.reasons == {"new input": count.ran}
    assert hits(report)["bucket"] > 0


def test_it_reads_the_size_of_a_transcode(project):
    """By `of`, and stands behind it."""
    project.stages = {
        "bucket": Bucket(of="small", resolutions=(48, 96), durations=(1.5,)),
        "small": Transcode(short_side=48, codec="libx264"),
    }
    project.build()
    assert {row[0] for row in columns(project)} == {"48p"}
    assert [row["small_h"] for row in project.rows().values()].count(48) == 4
