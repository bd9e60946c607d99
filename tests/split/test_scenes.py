"""Clips of scenes that a file names."""

import json
from fractions import Fraction

import av
import pytest
from av.container import OutputContainer
from made import Tone
from project import Project, ran
from shots import FPS, bounds, cut_video

from vbuild.errors import StageError, UsageError
from vbuild.split.given import read_scenes
from vbuild.split.scenes import Scenes, spans
from vbuild.split.written import Bound, Code
from vbuild.stages.timeline import Timeline

MS = Fraction(1, 1000)


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def project_of(tmp_path, file, **params):
    split = Scenes(file=file and str(file), of={"timeline": "timeline"}, **params)
    return Project(tmp_path, {"timeline": Timeline(), "tone": Tone()}, split=split)


HEAD = (
    "Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame,End Timecode,End Time (seconds),"
    "Length (frames),Length (timecode),Length (seconds)"
)
DETECTED = f"""{HEAD}
1,1,00:00:00.000,0.000,30,00:00:01.250,1.250,30,00:00:01.250,1.250
2,31,00:00:01.250,1.250,72,00:00:03.000,3.000,42,00:00:01.750,1.750
3,73,00:00:03.000,3.000,120,00:00:05.000,5.000,48,00:00:02.000,2.000
"""
EDL = """TITLE: a
FCM: NON-DROP FRAME

001  AX V     C        00:00:00:00 00:00:01:06 01:00:00:00 01:00:01:06
* FROM CLIP NAME: a.mp4
002  AX V     C        00:00:01:06 00:00:03:00 01:00:01:06 01:00:03:00
002  AX AA    C        00:00:00:00 00:00:05:00 01:00:01:06 01:00:03:00
003  AX V     C        00:00:03:00 00:00:03:00 01:00:03:00 01:00:03:00
003  AX V     D    012 00:00:03:00 00:00:05:00 01:00:03:00 01:00:05:00
"""
FFMETA = [
    f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle=x\n"
    for start, end in ((0, 1250), (1250, 3000), (3000, 5000))
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", "video,time\na.mp4,1.25\na.mp4,3\n"),
        ("s.csv", "video,frame\na.mp4,30\na.mp4,72\n"),
        ("s.csv", "who,end,start,video\nme,1.25,0,a.mp4\nme,3,1.25,a.mp4\nme,5,3,a.mp4\n"),
        ("s.csv", "video,start_frame,end_frame\na.mp4,0,30\na.mp4,30,72\na.mp4,72,120\n"),
        ("s.json", {"a.mp4": [1.25, 3]}),
        ("s.json", {"videos/a.mp4": [[0, 1.25], [1.25, 3], [3, 5]]}),
        ("s.json", {"a.mp4": {"frames": [30, 72]}}),
        ("s.csv", "video,time\na.mp4,00:01.25\na.mp4,0:00:03.000\n"),
        ("s.json", {"a": [["00:00", "00:01.250"], ["00:01.250", "00:00:03"], ["00:00:03", 5]]}),
        ("a-Scenes.csv", f"Timecode List:,00:00:01.250,00:00:03.000\n{DETECTED}"),
        ("a-Scenes.csv", f"00:00:01.250,00:00:03.000\n{DETECTED}"),
        ("a-Scenes.csv", DETECTED),
        ("a.edl", EDL),
        ("a.ffmeta", ";FFMETADATA1\ntitle=x\n" + "".join(FFMETA)),
        ("a.txt", "CHAPTER01=00:00:00.000\nCHAPTER01NAME=x\nCHAPTER02=00:00:01.250\nCHAPTER03=00:00:03.000\n"),
    ],
)
def test_however_it_is_written_the_clips_are_the_same(tmp_path, name, content):
    """Times or frames, cuts or scenes, csv or json: three clips."""
    project = project_of(tmp_path, written(tmp_path / name, content))
    project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    project.build()
    assert bounds(project) == [(0, 30 / FPS), (30 / FPS, 3), (3, 5)]


def test_what_the_file_says_is_part_of_the_key_and_its_path_is_not(tmp_path):
    """A moved file runs nothing; a changed one cuts anew and keeps the clips that it still names."""
    first = written(tmp_path / "one.csv", "video,time\na.mp4,1.25\na.mp4,3\n")
    project = project_of(tmp_path, first)
    project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    assert ran(project.build())["tone"] == 3
    project.split = Scenes(file=str(first.rename(tmp_path / "two.csv")), of={"timeline": "timeline"})
    assert ran(project.build()) == {}
    written(tmp_path / "two.csv", "video,time\na.mp4,1.25\na.mp4,4\n")
    assert ran(project.build()) == {"split": 1, "tone": 2}
    assert bounds(project) == [(0, 1.25), (1.25, 4), (4, 5)]


def test_a_video_that_moved_is_cut_anew_and_the_reason_is_told(tmp_path):
    """Where it lies is a part of the key, and of that nothing former is known."""
    project = project_of(tmp_path, written(tmp_path / "s.json", {"a.mp4": [1], "b.mp4": [2]}))
    path = project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    project.build()
    path.rename(project.videos / "b.mp4")
    report = project.build()
    (split,) = [stage for stage in report.stages if stage.name == "split"]
    assert split.reasons == {"new input": 1}
    assert bounds(project) == [(0, 2), (2, 5)]


def test_two_videos_of_one_shape_have_each_their_own_scenes(tmp_path):
    """Videos that differ in nothing but their pictures and names are not cut alike."""
    project = project_of(tmp_path, written(tmp_path / "s.json", {"a.mp4": [1], "b.mp4": [2]}))
    project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    project.put("b.mp4", cut_video(tmp_path / "b.mp4", crf=30))
    project.build()
    assert bounds(project) == [(0, 1), (0, 2), (1, 5), (2, 5)]


def test_a_video_that_is_not_named_fails_alone(tmp_path):
    """It is told in its row; the other is built."""
    project = project_of(tmp_path, written(tmp_path / "s.json", {"a.mp4": []}))
    project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    project.put("b.mp4", cut_video(tmp_path / "b.mp4", crf=30))
    project.build()
    status = {uri.rpartition("/")[2]: (row["status"], row["error"]) for uri, row in project.rows("videos").items()}
    assert status["a.mp4"][0] == "empty"
    assert status["b.mp4"][0] == "failed"
    assert "names no scene of it" in status["b.mp4"][1]


def test_the_length_rules_hold_where_they_are_given(tmp_path):
    """By default scenes stay as they are named; a least length drops the short one."""
    assert Scenes(file=str(written(tmp_path / "s.csv", "video,time\n"))).max is None
    project = project_of(tmp_path, tmp_path / "s.csv", min=1.0)
    written(tmp_path / "s.csv", "video,start,end\na.mp4,0,0.5\na.mp4,1,2\n")
    project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    project.build()
    assert bounds(project) == [(1, 2)]


def test_the_longest_name_counts(tmp_path):
    """Of two names that a path ends with, the one that says more."""
    given = read_scenes(written(tmp_path / "s.json", {"a.mp4": [1], "x/a.mp4": [2]}))
    assert given.of("/v/x/a.mp4") == (Bound(2.0, None, "seconds"),)
    assert given.of("/v/y/a.mp4") == (Bound(1.0, None, "seconds"),)
    assert given.of("/v/aa.mp4") is None


def test_scenes_end_with_the_video():
    """A time behind the end is the end; a frame that is not there is an error."""
    pts = list(range(100, 1100, 100))
    assert spans([Bound(0.5, 9.0, "seconds")], pts, 1100, MS) == [(600, 1100)]
    with pytest.raises(StageError, match="frame 11; the video has 10"):
        spans([Bound(11, None, "frames")], pts, 1100, MS)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("s.csv", "video,cut\na,1\n", "it has video, cut"),
        ("s.csv", "video,start\na,1\n", "start,end"),
        ("s.csv", "video,time\na,soon\n", "line 2: 'soon' is no time"),
        ("s.csv", "video,frame\na,1.5\n", "line 2: '1.5' is no index"),
        ("s.csv", "video,start,end\na,2,1\n", "line 2: a scene from 2 to 1"),
        ("s.json", "{", "no JSON"),
        ("s.json", "[]", "an object is expected"),
        ("s.json", '{"a": 3}', "a list is expected"),
        ("s.json", '{"a": [[1, 2, 3]]}', "no pair"),
        ("s.json", '{"a": [-1]}', "-1 is no time"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, name, content, said):
    """What is wrong is told with its place."""
    with pytest.raises(UsageError, match=said):
        Scenes(file=str(written(tmp_path / name, content)))


def test_a_file_that_is_not_there_is_named(tmp_path):
    """It is told before anything runs."""
    with pytest.raises(UsageError, match=r"split\.file=.*none\.csv: it cannot be read"):
        Scenes(file=str(tmp_path / "none.csv"))


def test_a_folder_of_lists_names_each_video_by_its_own(tmp_path):
    """As PySceneDetect leaves them, one a video; what of them changes is part of the key."""
    (tmp_path / "lists").mkdir()
    written(tmp_path / "lists" / "a-Scenes.csv", DETECTED)
    written(tmp_path / "lists" / "b.edl", EDL)
    project = project_of(tmp_path, tmp_path / "lists")
    project.put("a.mp4", cut_video(tmp_path / "a.mp4"))
    project.put("b.mp4", cut_video(tmp_path / "b.mp4", crf=30))
    project.build()
    assert bounds(project) == [(0, 1.25), (0, 1.25), (1.25, 3), (1.25, 3), (3, 5), (3, 5)]
    written(tmp_path / "lists" / "b.edl", EDL.replace("00:00:03:00 00:00:05:00", "00:00:04:00 00:00:05:00"))
    project.build()
    assert bounds(project)[-2:] == [(3, 5), (4, 5)]
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="holds no file of scenes"):
        Scenes(file=str(tmp_path / "none"))


@pytest.mark.skipif(not hasattr(OutputContainer, "set_chapters"), reason="this av writes no chapters")
def test_chapters_in_the_videos_themselves(tmp_path):
    """Without a file; a video without chapters fails alone."""
    project = project_of(tmp_path, None)
    path = cut_video(tmp_path / "a.mp4", bframes=0)
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        spans_ = ((0, 1250), (1250, 3000), (3000, 5000))
        marks = [{"id": n, "start": s, "end": e, "time_base": MS, "metadata": {}} for n, (s, e) in enumerate(spans_)]
        target.set_chapters(marks)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    project.put("b.mkv", tmp_path / "b.mkv")
    project.put("a.mp4", path)
    project.build()
    found = [time for span in bounds(project) for time in span]
    assert found == pytest.approx([0, 1.25, 1.25, 3, 3, 5], abs=0.0011)
    (failed,) = (row["error"] for row in project.rows("videos").values() if row["status"] == "failed")
    assert "holds no chapters" in failed


def test_timecodes_that_drop_numbers_keep_with_the_clock():
    """Two numbers a minute are left out but for each tenth, at 29.97; four at 59.94."""
    assert Code(60, 2, drop=True).index(30_000 / 1001) == 1800
    assert Code(600, 0, drop=True).index(30_000 / 1001) == 17_982
    assert Code(60, 4, drop=True).index(60_000 / 1001) == 3600
    assert Code(60, 2, drop=False).index(25) == 1502


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a-Scenes.csv", DETECTED.replace("2,31,", "2,x,"), "line 3: Start Frame"),
        ("a.edl", EDL.replace("00:00:01:06 00:00:03:00 01", "00:00:01.06 00:00:03:00 01"), "line 6: .* no timecodes"),
        ("a.txt", "CHAPTER01=00:00:00.000\nCHAPTER02=soon\n", "line 2: 'soon' is no time"),
        ("a.ffmeta", ";FFMETADATA1\n[CHAPTER]\nSTART=0\n", "START and END"),
    ],
)
def test_what_others_wrote_wrongly_is_one_line(tmp_path, name, content, said):
    """With the file and the line."""
    with pytest.raises(UsageError, match=said):
        Scenes(file=str(written(tmp_path / name, content)))
