"""What a file holds."""

import pytest
from footage import video

from vbuild.errors import MediaError
from vbuild.stage import Clip
from vbuild.stages.probe import Probe


def row_of(path):
    (row,) = Probe().run([Clip(duration=0.0, uri=str(path))], None)
    return row


def test_it_tells_the_times_and_the_size_of_a_file(tmp_path):
    """A made video is told as it was made, and the row has the declared fields, no more and no fewer."""
    row = row_of(video(tmp_path / "a.mp4", seconds=2.0, fps=12, size=(128, 96), sound="aac", start=1.5))
    assert set(row) == set(Probe.writes)
    assert (row["width"], row["height"], row["frames"]) == (128, 96, 24)
    assert row["fps"] == pytest.approx(12)
    assert row["audio"] == "aac"
    tick = row["time_base_num"] / row["time_base_den"]
    assert (row["end_pts"] - row["start_pts"]) * tick == pytest.approx(2.0)
    assert row["remark"] is None


def test_a_file_that_is_no_video_is_an_error(tmp_path):
    """Text under the name of a video raises MediaError."""
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(MediaError):
        row_of(tmp_path / "a.mp4")
