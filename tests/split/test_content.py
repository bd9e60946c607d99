"""Clips between the cuts that PySceneDetect's content detector finds."""

from footage import video
from made import Tone
from project import Project, ran
from scenedetect import SceneManager, open_video
from shots import CUTS, FPS, FRAMES, bounds, cut_video, pictures

from vbuild.split.content import Content
from vbuild.stages.changes import Changes

LOOSE = {"crop": 0.0, "min": 0.0, "max": None}


def project_of(tmp_path, **params):
    return Project(
        tmp_path,
        {"changes": Changes(), "tone": Tone()},
        split=Content(of={"changes": "changes"}, **{**LOOSE, **params}),
    )


def test_cuts_are_those_of_its_own_run(tmp_path):
    """Clips begin at the cuts that were made, which are those that PySceneDetect finds when it opens the file."""
    project = project_of(tmp_path)
    path = project.put("a.mp4", cut_video(tmp_path / "a.mp4", size=(384, 216)))
    project.build()
    manager = SceneManager()
    manager.add_detector(Content().detector())
    manager.detect_scenes(open_video(str(path), backend="pyav"))
    own = [(start.frame_num, end.frame_num) for start, end in manager.get_scene_list()]
    assert [(round(start * FPS), round(end * FPS)) for start, end in bounds(project)] == own
    assert [start for start, _ in own] == [0, *CUTS]
    assert own[-1][1] == FRAMES


def test_another_threshold_decodes_nothing(tmp_path):
    """A threshold that no picture meets makes one clip of the video, and compares no frame anew."""
    project = project_of(tmp_path)
    project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    assert ran(project.build())["changes"] == 1
    project.split = Content(of={"changes": "changes"}, threshold=250.0, **LOOSE)
    assert "changes" not in ran(project.build())
    assert len(bounds(project)) == 1
    project.split = Content(of={"changes": "changes"}, threshold=250.0, whole=False, **LOOSE)
    project.build()
    assert bounds(project) == []


def test_frames_at_uneven_distances_keep_their_times(tmp_path):
    """Of a video whose frames stand wider apart from half on, clips begin at the times of their first frames."""
    times = [n / FPS if n < 60 else 60 / FPS + (n - 60) / 10 for n in range(FRAMES)]
    by_number = dict(zip((round(t * 90_000) for t in times), range(FRAMES), strict=True))
    paint = pictures()
    project = project_of(tmp_path)
    made = video(
        tmp_path / "a.mp4", size=(96, 64), times=times, picture=lambda t: paint(by_number[round(t * 90_000)] / FPS)
    )
    project.put("a.mp4", made)
    project.build()
    assert [start for start, _ in bounds(project)] == [round(times[n], 4) for n in (0, *CUTS)]
