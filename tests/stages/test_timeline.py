"""When each frame of a video is shown."""

import pytest
from footage import frames, video

from vbuild.stage import Clip
from vbuild.stages.timeline import Timeline


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_times_are_those_of_the_decoded_frames(tmp_path, name):
    """Whatever their distances, and in the order in which they are shown though not in that of the file."""
    path = video(tmp_path / name, times=[0, 0.1, 0.15, 0.4, 0.5, 0.52, 0.9, 1.0], start=2.0)
    decoded = [time for time, _ in frames(path)]
    (row,) = Timeline().run([Clip(duration=1.0, uri=str(path))], None)
    assert row["times"] == pytest.approx([time - decoded[0] for time in decoded], abs=1e-9)
