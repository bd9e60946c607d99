"""One stage tried alone: its rows are a build's, its faults are told in a line, and nothing is left."""

import json
import tempfile
from pathlib import Path

import pytest
from footage import video
from made import Tone
from project import Project

from vbuild.cli.main import exit_code, run
from vbuild.split.fixed_stride import FixedStride


@pytest.fixture
def film(tmp_path, monkeypatch):
    """A video of 5 s in an empty folder to work in; what is temporary is made beside it."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VBUILD_STORE", str(tmp_path / "store"))
    return video(tmp_path / "film.mp4", seconds=5, fps=8, size=(64, 48))


def tried(capsys, *arguments, code=0):
    """What `try` says as JSON."""
    assert run(["try", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_rows_are_those_of_a_build(film, tmp_path, capsys):
    """The same spans and the same values, of a stage of one's own by its path."""
    told_ = tried(capsys, "made.Tone", str(film), "gain=2", "--length", "2")
    project = Project(tmp_path / "p", {"tone": Tone(gain=2.0)}, split=FixedStride(length=2.0, min=0))
    project.put("film.mp4", film)
    project.build()
    wanted = sorted((row["start_s"], row["tone_mean"]) for row in project.rows().values())
    assert [(row["start_s"], row["tone_mean"]) for row in told_["rows"]] == wanted
    assert told_["seconds"] > 0
    assert told_["value_bytes"] > 0


def test_a_shipped_stage_is_tried_by_its_name(film, capsys, tmp_path):
    """On the whole video as one clip; --files keeps what it made, and says where."""
    told_ = tried(capsys, "transcode", str(film), "preset=ultrafast", "--whole", "--files", "out")
    (row,) = told_["rows"]
    assert row["end_s"] == pytest.approx(5)
    assert Path(row["transcode_uri"]).stat().st_size == told_["file_bytes"] == row["transcode_bytes"]
    assert {path.name for path in tmp_path.iterdir()} == {"film.mp4", "temporary", "out"}
    assert [*(tmp_path / "temporary").iterdir()] == []


def test_a_stage_of_videos_gives_one_row(film, capsys):
    """What it wrote, as it stands in the store."""
    (row,) = tried(capsys, "timeline", str(film))["rows"]
    assert len(row["times"]) == 40


def test_other_stages_may_stand_beside_it(film, capsys):
    """A stage that reads columns reads those of stages that are added by keys."""
    told_ = tried(capsys, "describe", str(film), "stage@stages.quality=quality", "--limit", "1")
    (row,) = told_["rows"]
    assert row["describe"]


def test_what_fails_is_a_line_and_on_demand_a_traceback(film, capsys):
    """Exit code 1; the stage's own code is in the traceback."""
    words = ["try", "made.Point", str(film), "fails=255"]
    assert run(words) == 1
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "failed: point: " in out
    assert run([*words, "--trace"]) == 1
    out = capsys.readouterr().out
    assert out.count("Traceback") == 1
    assert "made.py" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["moton", "film.mp4"], "did you mean 'motion'?"),
        (["made.Tne", "film.mp4"], "did you mean 'Tone'?"),
        (["nowhere.Stage", "film.mp4"], "there is no module 'nowhere'"),
        (["dedup", "film.mp4"], "it is a decision"),
        (["content", "film.mp4"], "it is a splitter"),
        (["motion", "flim.mp4"], "there is no such video"),
        (["motion", "film.mp4", "fsp=3"], "did you mean 'fps'?"),
        (["motion", "film.mp4", "x"], "given as key=value"),
        (["motion"], "the following arguments are required: VIDEO"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_what_cannot_be_tried_is_one_line(film, capsys, words, said):
    """With exit code 2 and nothing on stdout."""
    assert exit_code(lambda: run(["try", *words])) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_stage_that_cannot_be_imported_shows_where_on_demand(film, capsys, tmp_path, monkeypatch):
    """One line, and with --trace the traceback before it."""
    (tmp_path / "broken_stage.py").write_text("import vbuild\nvalue = 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert exit_code(lambda: run(["try", "broken_stage.Stage", "film.mp4"])) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert exit_code(lambda: run(["try", "broken_stage.Stage", "film.mp4", "--trace"])) == 2
    assert "value = 1 / 0" in capsys.readouterr().err
