"""The table `videos` tells what each file is, where its footage stands in it, and why what is missing is missing."""

from fractions import Fraction

import av
import pytest
from footage import interlaced, video
from made import Tone
from project import Project

from vbuild.split.fixed_stride import FixedStride


def test_clips_and_videos_tell_their_times_in_ticks(tmp_path):
    """A clip's bounds by the time base of its video are its seconds, and the stream is named."""
    project = Project(tmp_path, {"tone": Tone()})
    project.put("a.ts", video(tmp_path / "a.ts", seconds=2, start=7.0))
    project.build()
    (row,) = project.rows("videos").values()
    base = Fraction(row["time_base_num"], row["time_base_den"])
    with av.open(str(tmp_path / "a.ts")) as container:
        stream = container.streams.video[0]
        assert (row["stream"], base, row["start_pts"]) == (stream.index, stream.time_base, stream.start_time)
        size = sum(packet.size for packet in container.demux(stream))
    assert float((row["end_pts"] - row["start_pts"]) * base) == pytest.approx(row["duration"])
    assert row["bitrate"] == pytest.approx(size * 8 / row["duration"], abs=1)
    clips = list(project.rows().values())
    assert len(clips) == 2
    for clip in clips:
        assert (clip["start_s"], clip["end_s"]) == pytest.approx(
            (float(clip["start_pts"] * base), float(clip["end_pts"] * base))
        )
    assert {row["start_pts"], row["end_pts"]} <= {pts for clip in clips for pts in (clip["start_pts"], clip["end_pts"])}


def test_predicates_may_read_ticks(tmp_path):
    """They are columns of every clip."""
    project = Project(tmp_path, {"tone": Tone()}, where={"first": "start_pts = 0"})
    project.put("a.mp4", video(tmp_path / "a.mp4", seconds=2, bframes=0))
    project.build()
    assert [row["start_s"] for row in project.rows().values() if row["kept"]] == [0.0]


def test_fields_are_told(tmp_path):
    """Interlaced footage is told from progressive."""
    project = Project(tmp_path, {"tone": Tone()})
    project.put("fields.mkv", interlaced(tmp_path / "fields.mkv", seconds=1))
    project.put("frames.mp4", video(tmp_path / "frames.mp4", seconds=1))
    project.build()
    told = {uri.rpartition("/")[2]: row["interlaced"] for uri, row in project.rows("videos").items()}
    assert told == {"fields.mkv": True, "frames.mp4": False}


def test_a_remark_is_no_error(tmp_path):
    """What does not add up in a file that can be used stands apart from why there is nothing."""
    project = Project(tmp_path, {"tone": Tone()}, split=FixedStride(min=0.0))
    path = video(tmp_path / "a.mp4", seconds=1, fps=25, gop=5)
    with av.open(str(path)) as source, av.open(str(tmp_path / "raw.ts"), "w", format="h264") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    project.put("raw.ts", tmp_path / "raw.ts")
    project.build()
    (row,) = project.rows("videos").values()
    assert (row["status"], row["error"]) == ("warning", None)
    assert "presentation time" in row["remark"]
