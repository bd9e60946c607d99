"""What `show` and `rm` do with a dataset that was built."""

import json
from datetime import timedelta

import pytest
from footage import video
from made import Point, Tone
from project import Project, hits

from vbuild.cli.main import run
from vbuild.errors import UsageError
from vbuild.maintenance.gc import gc
from vbuild.stages.transcode import Transcode


@pytest.fixture
def project(tmp_path):
    """A dataset `d` of one video of three clips, of which one is too dark for a stage."""
    import numpy as np

    made = Project(tmp_path, {"tone": Tone(blind=60.0), "spot": Point(), "transcode": Transcode(preset="ultrafast")})
    film = video(
        tmp_path / "one.mp4", seconds=3, fps=8, size=(64, 48),
        picture=lambda at: np.full((48, 64, 3), 20 if at < 1 else 200, np.uint8),
    )  # fmt: skip
    made.put("one.mp4", film)
    made.where = {"lit": "tone_mean > 100"}
    made.build()
    return made


def shown(capsys, project, *arguments):
    """What `show` says as JSON."""
    assert run(["show", "d", "--json", "--store", str(project.store), *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_columns_have_types_units_nulls_and_sources(project, capsys):
    """As the tables hold them."""
    told = shown(capsys, project)
    (clips,) = (table for table in told["tables"] if table["name"] == "clips")
    assert clips["rows"] == 3
    found = {c["name"]: (c["type"], c["unit"], c["nulls"], c["source"]) for c in clips["columns"]}
    rows = [*project.rows().values()]
    assert found.keys() == rows[0].keys()
    for name, (_, _, nulls, _) in found.items():
        assert nulls == sum(row[name] is None for row in rows), name
    assert found["tone_mean"] == ("float32", "", 1, "tone: made.Tone 1")
    assert found["spot"][0] == "vector<float32>[4]"
    assert found["start_s"] == ("float64", "s", 0, "split")
    assert found["transcode_bytes"][:3] == ("int64", "bytes", 1)
    assert found["dropped_by"][3] == "decisions"


def test_a_table_is_chosen(project, capsys):
    """clips by default; another by its name, all of them by `all`."""
    store = ["--store", str(project.store)]
    assert run(["show", "d", *store]) == 0
    said = capsys.readouterr().out
    assert "clips: 3 rows" in said
    assert "videos: " not in said
    assert run(["show", "d", "--table", "all", *store]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in ("clips", "videos", "captions", "duplicates", "failures"))
    with pytest.raises(UsageError, match="did you mean 'videos'"):
        run(["show", "d", "--table", "video", *store])


def test_rm_takes_the_tables_and_leaves_the_results(project, capsys):
    """The dataset is gone from ls, a build finds all results, and a gc frees them once no dataset needs them."""
    store = ["--store", str(project.store)]
    before = project.blobs()
    assert run(["rm", "d", "--yes", *store]) == 0
    assert "removed d: 3 clips" in capsys.readouterr().out
    assert run(["ls", "--json", *store]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert [*(project.store / "roots").glob("*.json")] == []
    assert [path.name for path in (project.store / "datasets").iterdir()] == [".d.lock"]
    assert project.blobs() == before
    assert hits(project.build())["transcode"] == 2
    assert run(["rm", "d", "--yes", *store]) == 0
    gc(project.store, older_than=timedelta(0))
    assert project.blobs() == {}


def test_rm_asks_and_where_nobody_answers_it_removes_nothing(project, monkeypatch, capsys):
    """Without --yes and without a terminal it is a mistake; a no is exit code 1."""
    import io

    store = ["--store", str(project.store)]
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError, match="give --yes"):
        run(["rm", "d", *store])
    answers = io.StringIO("no\n")
    answers.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", answers)
    assert run(["rm", "d", *store]) == 1
    assert "nothing was removed" in capsys.readouterr().err
    assert len(project.rows()) == 3
