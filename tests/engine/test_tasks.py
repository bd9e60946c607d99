"""A long video is cut into passes where that costs little, and the passes change no result."""

import pytest
from footage import video
from made import Tone
from project import Project, ran

from vbuild.engine import tasks
from vbuild.executor.config import Local
from vbuild.stages.describe import Describe


@pytest.fixture
def passes(monkeypatch):
    """The spans of each pass, by their seconds, while works go by; they are done as ever."""
    seen: list[list[float]] = []

    def noted(*args):
        for task in made(*args):
            if task.jobs[0].stage.title().endswith("Tone"):
                seen.append([span.start for span in task.spans])
            yield task

    made = tasks.tasks
    monkeypatch.setattr(tasks, "tasks", noted)
    return seen


@pytest.mark.parametrize(
    ("name", "gop", "codec", "lengths"),
    [
        ("a.mp4", 20, "libx264", [60, 60, 10]),
        ("a.mp4", 150, "libx264", [87, 43]),
        ("a.mp4", 1300, "libx264", [130]),
        ("a.mpg", 12, "mpeg2video", [130]),
    ],
)
def test_a_long_video_is_cut_into_passes(tmp_path, passes, name, gop, codec, lengths):
    """Of a minute, of six keyframes' distances where these are far apart, and whole where it cannot be sought."""
    fps = 25 if codec == "mpeg2video" else 10
    project = Project(tmp_path, {"tone": Tone()})
    project.put(name, video(tmp_path / name, seconds=130, fps=fps, size=(32, 32), gop=gop, codec=codec))
    project.build()
    assert [len(spans) for spans in passes] == lengths
    assert sorted(s for spans in passes for s in spans) == [s for spans in passes for s in spans]


@pytest.mark.parametrize(
    ("videos", "workers", "gop", "lengths"),
    [(1, 1, 20, [30]), (1, 2, 20, [15, 15]), (1, 3, 20, [10, 10, 10]), (2, 2, 20, [30, 30]), (1, 2, 400, [30])],
)
def test_fewer_videos_than_workers_are_parted_among_them(tmp_path, passes, videos, workers, gop, lengths):
    """So that no core idles; not where that would decode from one keyframe twice."""
    project = Project(tmp_path, {"tone": Tone()})
    project.local = Local(workers=workers)
    for n in range(videos):
        project.put(f"{n}.mp4", video(tmp_path / f"{n}.mp4", seconds=30, fps=10, size=(32, 32), gop=gop, seed=n))
    project.build()
    assert [len(spans) for spans in passes] == lengths


def test_how_a_video_is_cut_changes_no_result(tmp_path, monkeypatch):
    """One pass and thirty leave equal rows."""
    path = video(tmp_path / "a.mp4", seconds=30, fps=10, size=(64, 48), gop=7)
    found = []
    for seconds in (60.0, 0.5):
        monkeypatch.setattr("vbuild.engine.tasks.SECONDS_A_PASS", seconds)
        monkeypatch.setattr("vbuild.engine.tasks.GOPS_A_PASS", 0)
        project = Project(tmp_path / str(seconds), {"tone": Tone()})
        project.put("a.mp4", path)
        project.build()
        found.append({row["start_s"]: row["tone_mean"] for row in project.rows().values()})
    assert len(found[0]) == 30
    assert found[0] == found[1]


def test_a_stage_that_nothing_is_wired_to_says_what_it_can(tmp_path):
    """It asks nothing of the footage and reads no column; its clips are done like any others."""
    project = Project(tmp_path, {"said": Describe()})
    for seed in range(2):
        project.put(f"{seed}.mp4", video(tmp_path / "one.mp4", seconds=3, seed=seed))
    assert ran(project.build())["said"] == 6
    assert {clip["said"] for clip in project.rows().values()} == {"A shot."}
