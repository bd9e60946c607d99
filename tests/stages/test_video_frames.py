"""Frames of whole videos."""

import cv2
from footage import number_of, video
from project import Project

from vbuild.split.fixed_stride import FixedStride
from vbuild.stages.video_frames import VideoFrames


def test_a_video_s_frames_stand_in_the_table_of_videos(tmp_path):
    """They are taken once a video, whatever the split, and stand with it; another split takes none."""
    source = video(tmp_path / "a.mp4", seconds=3.0, fps=10, numbered=True)
    project = Project(
        tmp_path, {"cover": VideoFrames(rates=(1.0,), middle=True)}, split=FixedStride(length=1.0, min=0.5)
    )
    project.put("a.mp4", source)
    project.build()
    (row,) = project.rows("videos").values()
    assert [number_of(cv2.imread(str(project.store / uri))) for uri in row["cover_uri"]] == [0, 10, 15, 20]
    assert row["cover_role"] == ["1 fps", "1 fps", "middle", "1 fps"]
    project.split = FixedStride(length=1.5, min=0.5)
    report = project.build()
    assert {stage.name: stage.ran for stage in report.stages}["cover"] == 0
