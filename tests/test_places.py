"""Any folder will do for a store, a database, a source or to work in, and a store that was moved or copied works."""

import json
import os
import shutil
from pathlib import Path

import pytest
from footage import video

import vbuild
from vbuild.cli.main import exit_code, run

ODD = "a ö#%20?[x]{y}'z&;$\\"

ARGUMENTS = ("+dataset=mine", "executor.workers=0")

DECLARED = """\
# @package _global_
defaults:
  - /stage@stages.quality: quality
  - /stage@stages.caption: describe
  - /stage@stages.embed: perceptual
  - /stage@stages.dedup: dedup
  - /stage@stages.preview: preview
  - /stage@stages.transcode: transcode
  - _self_
source: {path: films}
split: {length: 1, min: 0.5}
stages: {transcode: {crf: 40, preset: ultrafast}}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of an odd name to work in, with videos and a dataset of them."""
    here = tmp_path / ODD
    (here / "films").mkdir(parents=True)
    os.utime(video(here / "films" / f"{ODD} %03d.mp4", seconds=2, fps=8), (1_000_000_000,) * 2)
    (here / "conf" / "dataset").mkdir(parents=True)
    (here / "conf" / "dataset" / "mine.yaml").write_text(DECLARED)
    monkeypatch.delenv("VBUILD_STORE", raising=False)
    monkeypatch.chdir(here)
    return here


def shown(capsys, *arguments, code=0) -> str:
    """What a command prints."""
    assert exit_code(lambda: run(arguments)) == code, capsys.readouterr().err
    return capsys.readouterr().out


def queried(capsys, *arguments) -> list[dict]:
    return json.loads(shown(capsys, "query", "mine", "--format", "json", *arguments))


def test_a_folder_of_any_name(place, capsys):
    """Where store, output, source and the folder to work in have odd names, every verb works, and makes no other."""
    where = [f"store={place}/{ODD}", f"output={place}/{ODD}.out"]
    shown(capsys, *ARGUMENTS, *where, "where.dark=quality_brightness > 1000")
    shown(capsys, *ARGUMENTS, *where)
    assert "is up to date: 2 clips" in shown(capsys, *ARGUMENTS, *where)
    assert [Path(row["transcode_uri"]).is_file() for row in queried(capsys, *where)] == [True, True]
    assert "mine" in shown(capsys, "ls", *where)
    assert "all is well" in shown(capsys, "verify", "--all", "--rerun", "2", where[0])
    shown(capsys, "gc", "--keep-builds", "2", "--older-than", "0d", where[0])
    assert "is as build" in shown(capsys, "restore", "mine", "previous", *where)
    assert "dropped by dark" in shown(capsys, "diff", "mine", *where)
    shown(capsys, "lock", *ARGUMENTS, *where)
    shown(capsys, *ARGUMENTS, *where, "locked=true")
    shown(capsys, "gc", "--keep-builds", "1", "--older-than", "0d", where[0])
    assert len(shown(capsys, "log", "mine", *where).splitlines()) == 2
    assert len(queried(capsys, *where)) == 2
    assert sorted(path.name for path in place.iterdir()) == sorted(["films", "conf", ODD, f"{ODD}.out"])
    assert [path.name for path in place.parent.iterdir()] == [ODD]


def test_a_sweep_in_a_folder_of_any_name(place, capsys):
    """A build for each of several values, in a store of an odd name, leaves a dataset for each."""
    shown(capsys, "-m", *ARGUMENTS, f"store={ODD[:3]}", "stages.transcode.crf=40,44")
    assert len(shown(capsys, "ls", f"store={ODD[:3]}").splitlines()) == 3


def test_a_glob_where_the_folder_bears_wildcards(place, capsys):
    """A pattern is one in what was typed, not in the name of the folder in which it was."""
    shown(capsys, *ARGUMENTS, "source.path=films/*.mp4")
    assert len(queried(capsys)) == 2


@pytest.mark.parametrize("output", ["cache/datasets", "databases"])
@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_a_store_that_was_moved(place, capsys, output, move):
    """Moved or copied with its databases, a store works at once: nothing runs, and every verb finds all."""
    films = f"source.path={place / 'films'}"
    (place / "one").mkdir()
    at = ["store=one/cache", f"output=one/{output}"]
    shown(capsys, *ARGUMENTS, films, *at, "where.dark=quality_brightness > 1000")
    shown(capsys, *ARGUMENTS, films, *at)
    move("one", "two")
    shutil.rmtree("one", ignore_errors=True)
    at = ["store=two/cache", f"output=two/{output}"]
    assert "is up to date: 2 clips" in shown(capsys, *ARGUMENTS, films, *at)
    for row in queried(capsys, at[1]):
        assert Path(row["transcode_uri"]).is_relative_to(place / "two" / "cache" / "blobs")
        assert Path(row["transcode_uri"]).is_file()
    shown(capsys, "gc", "--keep-builds", "2", "--older-than", "0d", at[0])
    assert "2 tables" not in shown(capsys, "verify", "--all", "--rerun", "2", at[0])
    shown(capsys, "restore", "mine", "previous", *at)
    assert dict.fromkeys(("quality", "transcode"), 0) == ran(capsys, films, *at)


def ran(capsys, *arguments) -> dict[str, int]:
    plan = json.loads(shown(capsys, "plan", *ARGUMENTS, *arguments, "--json"))
    return {s["name"]: s["ran"] for s in plan["stages"] if s["name"] in ("quality", "transcode")}


def test_a_store_says_nowhere_where_it_lies(place, capsys):
    """No file of a store whose databases lie in it holds the store's own path."""
    shown(capsys, *ARGUMENTS, "store=kept-here")
    files = [path for path in Path("kept-here").rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [path for path in files if b"kept-here" in path.read_bytes()] == []


def test_files_are_named_in_the_store(place, capsys):
    """Tables name files by their path in the store, for readers without vbuild; a search gives whole paths."""
    shown(capsys, *ARGUMENTS)
    dataset = vbuild.open("mine")
    inside = dataset.clips.to_arrow()["transcode_uri"].to_pylist()
    assert all(uri.startswith("blobs/") and Path("cache", uri).is_file() for uri in inside)
    found = dataset.search()
    assert set(found["transcode_uri"].to_pylist()) == {str(place / "cache" / uri) for uri in inside}
    assert all(Path(uri).is_file() for cell in found["preview_uri"].to_pylist() for uri in cell)


def test_a_database_that_was_moved_away_from_its_store(place, capsys):
    """A database that lies alone finds the files of its rows in the store that it is opened with."""
    shown(capsys, *ARGUMENTS)
    shutil.move("cache/datasets", "elsewhere")
    (uri, *_) = vbuild.open("mine", store="cache", output="elsewhere").search()["transcode_uri"].to_pylist()
    assert Path(uri).is_file()
    assert all(Path(row["transcode_uri"]).is_file() for row in queried(capsys, "store=cache", "output=elsewhere"))


@pytest.mark.parametrize("key", ["store", "output"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("s3://bucket/x", "can be on s3:// yet"),
        ("gs://bucket/x", "can be on gs:// yet"),
        ("http://host/x", "can be on http:// yet"),
        ("a\nb", "control characters"),
        ("a\udcffb", "no UTF-8"),
        ("~nobody-of-that-name/x", "begin it with ./"),
    ],
)
def test_folders_that_cannot_be(place, capsys, key, value, why):
    """What can be no folder of this machine is refused in one line, by builds and by verbs, and nothing is made."""
    before = sorted(place.rglob("*"))
    for arguments in ([*ARGUMENTS, f"{key}={value}"], ["query", "mine", f"{key}={value}"], ["ls", f"{key}={value}"]):
        assert exit_code(lambda arguments=arguments: run(arguments)) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1, said
        assert f"vbuild: {key}=" in said[0]
        assert why in said[0]
    assert sorted(place.rglob("*")) == before
