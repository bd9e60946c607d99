"""The table `videos` tells what each file is, where its footage stands in it, and why what is missing is missing."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import av
import numpy as np
import pytest
from footage import interlaced, video
from made import Tone
from project import Project

from vbuild.split.content import Content
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Phase, Stage
from vbuild.stages.changes import Changes

GREY = np.full((96, 128, 3), 90, np.uint8)


@dataclass(frozen=True, kw_only=True)
class Halves(Stage):
    """The first half of videos of two seconds and more: what a user may write as a splitter."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar = "video"
    reads: ClassVar = {"probe": ("start_pts", "end_pts", "duration")}
    writes: ClassVar = {"start_pts": "list[int64]", "end_pts": "list[int64]"}

    def run(self, clips, model):
        """Half of each."""
        for clip in clips:
            probe = clip.columns["probe"]
            start, end = probe["start_pts"], (probe["start_pts"] + probe["end_pts"]) // 2
            yield (
                {"start_pts": [start], "end_pts": [end]} if probe["duration"] >= 2 else {"start_pts": [], "end_pts": []}
            )


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


def notes_of(tmp_path, split, *seconds):
    """What a build says of videos of so many seconds, and why each has no clip."""
    project = Project(tmp_path, {"tone": Tone()}, split=split)
    for n, length in enumerate(seconds):
        project.put(f"{n}.mp4", video(tmp_path / f"{n}.mp4", seconds=length, fps=10, bframes=0, seed=n))
    notes = project.build().notes
    return notes, [project.rows("videos")[uri]["error"] for uri in sorted(project.rows("videos"))]


def test_footage_that_became_no_clip_is_told_with_the_rule(tmp_path):
    """Whole videos, and the ends of others; each row names the key."""
    notes, errors = notes_of(tmp_path, FixedStride(length=2.0, min=2.0), 1.0, 1.5, 3.0)
    assert notes == [
        "2 videos, 2.5 s became no clip: shorter than split.min=2",
        "1.0 s of videos that have clips are in none: shorter than split.min=2 (1.0 s)",
    ]
    assert errors == [
        "split found no clip in 1.00 s: shorter than split.min=2",
        "split found no clip in 1.50 s: shorter than split.min=2",
        None,
    ]


def test_where_all_footage_is_in_clips_nothing_is_said(tmp_path):
    """No note for nothing."""
    assert notes_of(tmp_path, FixedStride(length=2.0, min=0.0), 1.0, 3.0) == ([], [None, None])


def test_rules_that_work_together_are_each_told(tmp_path):
    """What is cropped, what is then too short, and what is behind the limit."""
    split = Content(of={"changes": "changes"}, crop=0.5, min=2.0, max=4.0, limit=1)
    project = Project(tmp_path, {"tone": Tone(), "changes": Changes()}, split=split)
    for n, length in enumerate((2.5, 8.0)):
        still = video(tmp_path / f"{n}.mp4", seconds=length, fps=10, bframes=0, picture=lambda _: GREY)
        project.put(f"{n}.mp4", still)
    whole, parts = project.build().notes
    assert whole == "1 video, 2.5 s became no clip: shorter than split.min=2"
    assert parts == (
        "5.0 s of videos that have clips are in none: "
        "taken off the ends by split.crop=0.5 (2.0 s), behind split.limit=1 (3.0 s)"
    )
    (short,) = (row["error"] for row in project.rows("videos").values() if row["status"] == "empty")
    assert short == (
        "split found no clip in 2.50 s: "
        "shorter than split.min=2 (1.50 s), taken off the ends by split.crop=0.5 (1.00 s)"
    )


def test_a_splitter_of_a_users_own_need_not_tell_what_it_lost(tmp_path):
    """Bounds alone will do."""
    assert notes_of(tmp_path, Halves(), 1.0, 3.0) == ([], ["split found no clip in 1.00 s", None])
