"""Clips between the fades, hashes and histograms that PySceneDetect's other detectors tell apart."""

import numpy as np
import pytest
from footage import scene, video
from made import Tone
from project import Project, ran
from scenedetect import SceneManager, open_video
from scenedetect.detectors import HashDetector, HistogramDetector
from shots import CUTS, FPS, bounds, cut_video

from vbuild.errors import UsageError
from vbuild.split.detect import spaced
from vbuild.split.hash import Hash
from vbuild.split.histogram import Histogram
from vbuild.split.threshold import Threshold
from vbuild.stages.likeness import Likeness

LOOSE = {"crop": 0.0, "min": 0.0, "max": None}


def project_of(tmp_path, cls, **params):
    split = cls(of={"likeness": "likeness"}, **{**LOOSE, **params})
    return Project(tmp_path, {"likeness": Likeness(), "tone": Tone()}, split=split)


def faded(path, to=0.0, size=(384, 216), ends=False):
    """Three shots of 2 s, between which the picture fades for half a second and back; with `ends`, at the end too."""
    shots = [scene(seed, size) for seed in (1, 12, 23)]

    def picture(time):
        near = min(abs(time - border) for border in ((2, 4, 6) if ends else (2, 4)))
        share = min(near / 0.5, 1.0)
        return (shots[min(int(time / 2), 2)](time) * share + to * (1 - share)).clip(0, 255).astype(np.uint8)

    return video(path, seconds=6, fps=FPS, size=size, picture=picture)


def own_run(path, detector):
    """The scenes that PySceneDetect finds when it opens the file itself."""
    manager = SceneManager()
    manager.add_detector(detector)
    manager.detect_scenes(open_video(str(path), backend="pyav"))
    return [(start.frame_num, end.frame_num) for start, end in manager.get_scene_list(start_in_scene=True)]


def frames_of(project):
    return [(round(start * FPS), round(end * FPS)) for start, end in bounds(project)]


@pytest.mark.parametrize(
    ("to", "params", "count"),
    [
        (0.0, {}, 3),
        (0.0, {"fade_bias": -1.0}, 3),
        (0.0, {"fade_bias": 1.0, "threshold": 40}, 3),
        (0.0, {"add_final_scene": True}, 4),
        (0.0, {"min_out_length": 4, "threshold": 20}, 2),
        (0.0, {"min_out_length": 200}, 1),
        (255.0, {"method": "ceiling", "threshold": 240}, 3),
    ],
)
def test_fades_are_those_of_its_own_run(tmp_path, to, params, count):
    """To black or to white, wherever in the fade the cut shall lie."""
    project = project_of(tmp_path, Threshold, **params)
    path = project.put("a.mp4", faded(tmp_path / "a.mp4", to, ends="add_final_scene" in params))
    project.build()
    own = own_run(path, Threshold(**params).detector())
    assert frames_of(project) == own
    assert len(own) == count


@pytest.mark.parametrize(
    ("cls", "detector"),
    [(Hash, HashDetector), (Histogram, HistogramDetector)],
    ids=["hash", "histogram"],
)
@pytest.mark.parametrize("params", [{}, {"threshold": 0.05, "min_scene_len": 1}, {"min_scene_len": 40}])
def test_cuts_are_those_of_its_own_run(tmp_path, cls, detector, params):
    """By default they are those that were made; where much is a cut, and where few are let, as PySceneDetect says."""
    project = project_of(tmp_path, cls, **params)
    path = project.put("a.mp4", cut_video(tmp_path / "a.mp4", size=(384, 216)))
    project.build()
    own = own_run(path, detector(**params))
    assert frames_of(project) == own
    if not params:
        assert [start for start, _ in own] == [0, *CUTS]


def test_another_detector_decodes_nothing(tmp_path):
    """All three read one stage."""
    project = project_of(tmp_path, Hash)
    project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    assert ran(project.build())["likeness"] == 1
    for cls in (Histogram, Threshold):
        project.split = cls(of={"likeness": "likeness"}, **LOOSE)
        assert "likeness" not in ran(project.build())
    assert frames_of(project) == [(0, 120)]
    project.split = Threshold(of={"likeness": "likeness"}, whole=False, **LOOSE)
    project.build()
    assert bounds(project) == []


def test_cuts_are_spaced_from_the_first_frame_on():
    """A mark that is too near to the cut before, or to the start, is none."""
    assert spaced([3, 15, 20, 30, 31], 15) == [15, 30]
    assert spaced([], 15) == []


@pytest.mark.parametrize(
    ("cls", "params", "said"),
    [
        (Hash, {"threshold": 1.5}, r"threshold=1\.5"),
        (Histogram, {"threshold": -0.1}, r"threshold=-0\.1"),
        (Threshold, {"threshold": 300}, "threshold=300"),
        (Threshold, {"fade_bias": 2.0}, r"fade_bias=2\.0"),
        (Threshold, {"min_out_length": -1}, "min_out_length=-1"),
    ],
)
def test_what_no_picture_can_meet_is_refused(cls, params, said):
    """By name."""
    with pytest.raises(UsageError, match=said):
        cls(**params)
