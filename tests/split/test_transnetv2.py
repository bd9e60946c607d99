"""Clips of the shots that TransNetV2 finds."""

import subprocess
import sys

import pytest
from made import Tone
from project import Project, ran
from shots import CUTS, FPS, FRAMES, bounds, cut_video

from vbuild.errors import UsageError
from vbuild.split.transnetv2 import TransNetV2
from vbuild.stage import Clip
from vbuild.stages.shots import Shots

LOOSE = {"crop": 0.0, "min": 0.0, "max": None}


def split(probability, **params):
    n = len(probability)
    probe = {"start_pts": 100, "end_pts": 100 + 40 * n, "time_base_num": 1, "time_base_den": 1000}
    shots = {"times": [0.04 * k for k in range(n)], "probability": probability}
    stage = TransNetV2(**{**LOOSE, **params})
    (row,) = stage.run([Clip(duration=0.04 * n, columns={"probe": probe, "shots": shots})], None)
    return [((s - 100) // 40, (e - 100) // 40) for s, e in zip(row["start_pts"], row["end_pts"], strict=True)]


def test_frames_above_the_threshold_belong_to_no_scene():
    """A cut and a dissolve part three scenes; the last one keeps its last frame."""
    assert split([0, 0, 0, 0.9, 0, 0, 0.5, 0.7, 0.6, 0.1, 0.2]) == [(0, 3), (4, 6), (9, 11)]


def test_a_threshold_is_not_met_by_itself():
    """A probability as high as the threshold is no transition."""
    assert split([0, 0.4, 0], threshold=0.4) == [(0, 3)]
    assert split([0, 0.41, 0], threshold=0.4) == [(0, 1), (2, 3)]


def test_transitions_at_the_ends_are_cut_off():
    """A video that fades in and out is one scene between."""
    assert split([0.9, 0.9, 0, 0, 0, 0.8]) == [(2, 5)]


def test_a_video_without_a_transition_is_whole_or_nothing():
    """One scene by default; none where only shots between transitions are wanted."""
    assert split([0.0] * 5) == [(0, 5)]
    assert split([0.0] * 5, whole=False) == []
    assert split([0.9] * 5) == [(0, 5)]
    assert split([0.9] * 5, whole=False) == []
    assert split([]) == []


def test_a_threshold_that_is_no_probability_is_refused():
    """It is named."""
    with pytest.raises(UsageError, match=r"^threshold=40"):
        TransNetV2(threshold=40)


def test_the_network_runs_once_whatever_is_asked_of_it(tmp_path):
    """The real network finds the cuts; another threshold, or another length, cuts anew and runs no network."""
    project = Project(
        tmp_path,
        {"shots": Shots(), "tone": Tone()},
        split=TransNetV2(of={"shots": "shots"}, **LOOSE),
    )
    project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    assert ran(project.build())["shots"] == 1
    ends = [round(end * FPS) for _, end in bounds(project)]
    starts = [round(start * FPS) for start, _ in bounds(project)]
    assert starts == [0, *CUTS]
    assert ends[-1] == FRAMES
    project.split = TransNetV2(of={"shots": "shots"}, threshold=0.3, crop=0.25, min=0.0, max=0.8)
    again = ran(project.build())
    assert "shots" not in again
    assert again["split"] == 1
    assert max(end - start for start, end in bounds(project)) <= 0.8


PLANNED = """
import sys
from vbuild.engine import plan, build
from vbuild.compose import load
config = load(["+dataset=folder", f"source.path={sys.argv[1]}", f"store={sys.argv[2]}", "split=transnetv2",
    "split.threshold=0.3", "executor.workers=0", "stages.caption=null", "stages.transcode=null"])
assert config.split.threshold == 0.3
plan(config)
assert "torch" not in sys.modules
from vbuild.split.fixed_stride import FixedStride
import dataclasses
stages = {name: stage for name, stage in config.stages.items() if name != "shots"}
print(build(dataclasses.replace(config, split=FixedStride(min=1.0), stages=stages)).clips)
assert "torch" not in sys.modules
"""


def test_torch_is_imported_by_who_runs_the_network_alone(tmp_path):
    """Neither a plan with the network, nor a build without, imports torch."""
    cut_video(tmp_path / "videos.mp4")
    done = subprocess.run(
        [sys.executable, "-c", PLANNED, str(tmp_path / "videos.mp4"), str(tmp_path / "store")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"
