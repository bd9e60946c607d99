"""A list says what it says: no column is lost, text stays text, and what cannot be is one line with its row."""

import json
import os
from dataclasses import replace

import made
import pytest
from footage import video
from project import Project, ran

from vbuild.config import Source
from vbuild.decisions.dedup import Dedup
from vbuild.engine import build, plan
from vbuild.errors import SourceError, UsageError
from vbuild.source import list_videos


def columns(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    table = list_videos(Source(path=(str(path),))).columns()
    return {} if table is None else table.to_pydict()


def test_columns_of_later_rows_are_kept(tmp_path):
    """Of objects, every name that one of them has; a separator of lines that is none of JSON's stays in its text."""
    rows = [{"path": "a.mp4"}, {"path": "b.mp4", "caption": "hel\u2028lo"}, {"path": "c.mp4", "take": 2}]
    wanted = {"caption": [None, "hel\u2028lo", None], "take": [None, None, 2]}
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert columns(tmp_path / "l.jsonl", lines) == wanted
    assert columns(tmp_path / "l.json", json.dumps(rows)) == wanted
    mixed = '{"path": "a.mp4", "x": 1}\n{"path": "b.mp4", "x": "one"}'
    assert columns(tmp_path / "m.jsonl", mixed) == {"x": ["1", "one"]}


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["007", "8"], ["007", "8"]),
        (["1e5", "2e7"], ["1e5", "2e7"]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        (["1.9", "1.10.2"], ["1.9", "1.10.2"]),
        (["2024-13-45", "x"], ["2024-13-45", "x"]),
        (["NA", "DE"], ["NA", "DE"]),
        (['""', "x"], ["", "x"]),
        (["", "x"], [None, "x"]),
        (["7", "-80"], [7, -80]),
        (["7", ""], [7, None]),
        (["0.50", "1e-05"], [0.5, 1e-05]),
        (["0.5", "NA"], [0.5, None]),
        (["true", "false"], [True, False]),
    ],
)
def test_text_stays_text_and_numbers_are_numbers(tmp_path, cells, kept):
    """A column is of another type only where no spelling is lost."""
    text = "video,x\n" + "".join(f"{n}.mp4,{cell}\n" for n, cell in enumerate(cells))
    assert columns(tmp_path / "l.csv", text) == {"x": kept}


def test_marks_and_quoted_lines_are_read(tmp_path):
    """What spreadsheets write before a text, and a cell of two lines."""
    assert columns(tmp_path / "l.csv", '\ufeffvideo,x\na.mp4,"one\ntwo"\n') == {"x": ["one\ntwo"]}
    (tmp_path / "l.txt").write_bytes(b"\xef\xbb\xbfa.mp4\n")
    assert list_videos(Source(path=(str(tmp_path / "l.txt"),))).uris == [str(tmp_path / "a.mp4")]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("l.csv", "video,x,x\na.mp4,1,2\n", "2 of its columns are called x"),
        ("l.csv", "video,a b,a_b\na.mp4,1,2\n", "2 of its columns are called a b"),
        ("l.jsonl", '{"path": "a.mp4"}\n{"path": "b.mp4", "x": 1, "x": 2}', "line 2: it says x twice"),
        ("l.csv", "video,x\na.mp4,1\na.mp4,2\nb.mp4,3\n./a.mp4,4\n", r"rows 1 and 2 .*a\.mp4 \(2 such rows\)"),
        ("l.csv", "video,x\na.mp4,ä\n".encode("latin-1"), "line 2 is no UTF-8, by the byte 0xe4"),
        ("l.csv", "video,x\na.mp4,1\n".encode("utf-16"), "it is UTF-16; save it as UTF-8"),
        ("l.csv", "video,x\na.mp4,\0\n", "line 2 holds a NUL"),
        ("l.txt", "a.mp4\nb\0.mp4\n", "path 2 holds a NUL"),
        ("l.json", '["a\\u0000.mp4"]', "path 1 holds a NUL"),
        ("l.jsonl", '{"path": "a.mp4"}\n\n{"path": \n', "line 3: "),
        ("l.csv", "video,x\na.mp4,1,2\n", "Expected 2 columns, got 3"),
    ],
)
def test_what_a_list_cannot_say_is_one_line(tmp_path, name, data, said):
    """With the row, or the column, and what to do."""
    with pytest.raises(SourceError, match=f"l\\.[a-z]*: the list cannot be read \\(.*{said}"):
        columns(tmp_path / name, data)


def test_two_lists_have_to_agree(tmp_path):
    """The same said twice is once, of one list or of two; a column that is a number here and a text there is text."""
    (tmp_path / "a.csv").write_text("video,x\n1.mp4,1\n2.mp4,2\n2.mp4,2\n")
    (tmp_path / "b.csv").write_text("video,x\n2.mp4,2\n3.mp4,y\n")
    (tmp_path / "c.csv").write_text("video,x\n2.mp4,5\n")
    found = list_videos(Source(path=(str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))))
    assert found.columns().to_pydict() == {"x": ["1", "2", "y"]}
    with pytest.raises(SourceError, match=r"two lists do not agree, rows 2 and 4 say different things of .*2\.mp4"):
        list_videos(Source(path=(str(tmp_path / "a.csv"), str(tmp_path / "c.csv"))))


@pytest.fixture
def project(tmp_path):
    """Three videos, and a list of them with columns."""
    project = Project(tmp_path, {"tone": made.Tone()})
    for n in range(3):
        made_ = video(tmp_path / "made.mp4", seconds=1.0 + n, fps=8, size=(64, 48), seed=n)
        project.put(f"{n}.mp4", made_)
    path = tmp_path / "l.csv"
    path.write_text("path,who,take,size\nvideos/0.mp4,ann,1,s\nvideos/1.mp4,bob,2,m\nvideos/2.mp4,bob,10,l\n")
    os.utime(path, (1, 1))
    return project


def go(project, **where):
    config = replace(project.config(), source=Source(path=(str(project.videos.parent / "l.csv"),)), where=where)
    return build(config)


def kept(project):
    return sorted({row["uri"].rpartition("/")[2] for row in project.rows().values() if row["kept"]})


def test_conditions_read_what_a_list_and_the_probe_say(project):
    """Before any stage runs, with the types that the columns have; of a name that clips have, theirs."""
    report = go(project, who="who = 'bob' and list_size <> 'm'", long="duration > 1.5 and codec = 'h264' and w = 64")
    assert (kept(project), ran(report)["tone"]) == (["2.mp4"], 3)
    assert report.kept == 3
    go(project, take="take < 10", short="duration_s <= 1 and start_pts >= 0")
    assert kept(project) == ["0.mp4", "1.mp4"]
    with pytest.raises(UsageError, match=r"no stage writes the column 'whom'; did you mean 'who'"):
        go(project, who="whom = 'bob'")


def test_an_order_of_keeping_reads_them_too(project):
    """So that of two clips that are alike the one of the better source stays."""
    project.stages |= {"point": made.Point(), "dedup": Dedup(of="point", eps=0.9, keep="take desc")}
    go(project)
    assert kept(project) == ["2.mp4"]
    project.stages["dedup"] = Dedup(of="point", eps=0.9, keep="take")
    go(project)
    assert kept(project) == ["0.mp4"]


def test_a_plan_knows_them(project):
    """What a list drops is dropped in a plan as well."""
    go(project)
    config = replace(project.config(), source=Source(path=(str(project.videos.parent / "l.csv"),)))
    assert plan(replace(config, where={"who": "who = 'ann'"})).kept == 1
