"""What fails stops what needs it, is said where people look, and all else goes on."""

import os

import made
import pytest
from footage import video
from project import Project, hits, ran

from vbuild.decisions.dedup import Dedup
from vbuild.stages.transcode import Transcode

STAGES = {
    "tone": made.Tone(),
    "word": made.Word(of="tone", fails=0),
    "length": made.Length(of="word"),
    "pack": made.Pack(),
}


@pytest.fixture
def project(tmp_path, pool):
    """Four videos of nine clips, of which the words of some fail."""
    project = Project(tmp_path, STAGES)
    for n in (2, 3, 4, 5):
        project.put(f"{n}.mp4", pool[n])
    return project


def failing(row) -> bool:
    return row["tone_step"] % 3 == 0


def test_a_stage_that_fails_on_a_clip_stops_what_reads_it(project):
    """Words fail, lengths of words are not had, and the pack of the same clip is."""
    report = project.build()
    rows = project.rows().values()
    assert 0 < sum(map(failing, rows)) < len(rows)
    for row in rows:
        assert (row["word"] is None) == failing(row)
        assert (row["length"] is None) == failing(row)
        assert row["pack_uri"] is not None
        assert row["kept"]
        assert row["error"] == (f"word: ValueError: no word for {row['tone_step']}" if failing(row) else None)
    assert report.failures == sum(map(failing, rows))


def test_what_a_pass_cannot_collect_for_one_stage_is_no_matter_of_the_others(project):
    """The stages that asked for it fail, each by its own error, and those beside them in the pass are done."""
    project.stages = {"odd": made.Odd(), "tone": made.Tone(), "sink": made.OddSink(), "doze": made.DozeSink()}
    report = project.build()
    counts = {stage.name: (stage.ran, stage.failed) for stage in report.stages}
    clips = report.clips
    assert clips > 0
    assert counts | {"probe": (4, 0), "split": (4, 0)} == {
        "probe": (4, 0), "split": (4, 0),
        "odd": (0, clips), "tone": (clips, 0), "sink": (0, clips), "doze": (clips, 0),
    }  # fmt: skip
    for row in project.rows().values():
        assert "odd: " in row["error"]
        assert "sink: " in row["error"]


def test_a_failure_is_not_tried_again_unless_it_is_told(project):
    """Again nothing runs; under another recipe it does; and with retry=always the failed ones do."""
    project.build()
    before = project.rows()
    made.CALLS.clear()
    report = project.again()
    assert report.up_to_date
    assert not made.CALLS
    project.stages["word"] = made.Word(of="tone", fails=1)
    project.build()
    assert project.rows() != before
    made.CALLS.clear()
    project.stages["word"] = made.Word(of="tone", fails=0)
    assert project.rows() != before
    project.build(failures=type(project.config().failures)(retry="always"))
    assert project.rows() == before
    assert set(made.CALLS) == {"Word"}


def test_a_decision_that_reads_what_failed_cannot_say(project):
    """A predicate drops as for any null; a dedup does not judge a clip without a vector."""
    project.where = {"wordy": "word_length > 0"}
    project.stages["point"] = made.Point(fails=100)
    project.stages["dedup"] = Dedup(of="point", eps=0.001)
    project.build()
    for row in project.rows().values():
        if row["point"] is None:
            assert row["dropped_by"] != "dedup"
        if failing(row) and row["dropped_by"] != "dedup":
            assert row["dropped_by"] == "wordy: null"


def test_bad_videos_are_rows_with_a_reason(project, tmp_path):
    """Text, nothing, a cut file, sound alone, a file that may not be read: each a row, and the others go on."""
    (project.videos / "text.mp4").write_text("this is no video")
    (project.videos / "empty.mp4").write_bytes(b"")
    whole = video(tmp_path / "whole.mp4", seconds=1.0, fps=8, size=(64, 48))
    (project.videos / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (project.videos / "gone.mp4").symlink_to(project.videos / "2.mp4")
    for path in project.videos.iterdir():
        os.utime(path, (10**9, 10**9))
    report = project.build()
    videos = {path.rpartition("/")[2]: row for path, row in project.rows("videos").items()}
    for name in ("text.mp4", "empty.mp4", "cut.mp4"):
        assert videos[name]["status"] == "failed", name
        assert videos[name]["error"], name
        assert videos[name]["clips"] == 0
    assert videos["2.mp4"]["status"] == videos["gone.mp4"]["status"] == "ok"
    assert report.videos_failed == 3
    assert len(project.rows()) == sum(row["clips"] for row in videos.values()) - videos["gone.mp4"]["clips"]
    made.CALLS.clear()
    assert project.again().up_to_date
    assert not made.CALLS


def test_a_stage_of_whole_videos_that_fails_leaves_the_clips(project):
    """Where the split does not read it, the video has its clips and a warning; what reads it has no value."""
    project.stages |= {"weight": made.Weight(of="probe", least=5), "share": made.Share(of="weight")}
    project.build()
    videos = project.rows("videos").values()
    light = {row["video_id"] for row in videos if row["frames"] < 5}
    assert 0 < len(light) < len(videos)
    for row in videos:
        assert row["clips"] > 0
        assert (row["status"], row["error"]) == (
            ("warning", "weight: ValueError: too light") if row["video_id"] in light else ("ok", None)
        )
    for row in project.rows().values():
        assert row["share"] == (None if row["video_id"] in light else 0.64)
        assert row["pack_uri"] is not None
    assert project.again().up_to_date


def test_a_list_may_name_a_file_that_is_not_there(project, tmp_path):
    """It is a row that says so."""
    names = tmp_path / "list.txt"
    names.write_text("videos/2.mp4\nvideos/nowhere.mp4\n")
    project.videos = names
    project.build()
    videos = {path.rpartition("/")[2]: row for path, row in project.rows("videos").items()}
    assert videos["2.mp4"]["status"] == "ok"
    assert videos["nowhere.mp4"]["status"] == "failed"
    assert "No such file" in videos["nowhere.mp4"]["error"]


def test_a_build_of_bad_videos_alone_leaves_a_dataset(tmp_path):
    """No clip at all is a dataset too, and the next build of it runs nothing."""
    project = Project(
        tmp_path, {**STAGES, "point": made.Point(), "dedup": Dedup(of="point")}, where={"w": "tone_mean > 0"}
    )
    (project.videos / "text.mp4").write_text("this is no video")
    report = project.build()
    assert (report.videos, report.videos_failed, report.clips) == (1, 1, 0)
    assert project.rows() == {}
    assert project.again().up_to_date


def test_names_that_are_no_utf8_are_said_and_do_not_end_the_build(project, pool):
    """Such a file is a row, under the name as it can be shown."""
    (project.videos / os.fsdecode(b"\xff\xfe.mp4")).write_bytes(pool[0].read_bytes())
    project.build()
    (row,) = (row for row in project.rows("videos").values() if row["status"] == "failed")
    assert row["uri"].endswith("\\xff\\xfe.mp4")
    assert "rename" in row["error"]
    assert len({row["uri"] for row in project.rows().values()}) == 4


def test_a_blob_that_is_gone_runs_one_action(tmp_path, shots):
    """Of several encoded clips the one whose file was deleted is encoded again, to the same bytes."""
    project = Project(tmp_path, {"transcode": Transcode(preset="ultrafast")})
    for n in range(2):
        project.put(f"{n}.mp4", shots[n])
    project.build()
    before, tables = project.blobs(), project.tables()
    victim = project.store / "blobs" / sorted(before)[1]
    victim.unlink()
    assert ran(project.plan()) == {"transcode": 1}
    assert victim.exists() is False
    report = project.again()
    assert ran(report) == {"transcode": 1}
    assert hits(report)["transcode"] == len(before) - 1
    assert project.blobs() == before
    assert project.tables() == tables
