"""What `export` does on a command line."""

import json

import pytest
from footage import video
from made import Tone
from project import Project

from vbuild.cli.main import exit_code, run
from vbuild.errors import UsageError
from vbuild.stages.transcode import Transcode


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A dataset `d` of one video of three clips, of which the dark one is dropped, before it was encoded."""
    import numpy as np

    folder = tmp_path_factory.mktemp("export")
    made = Project(folder, {"tone": Tone(), "transcode": Transcode(preset="ultrafast")})
    film = video(
        folder / "one.mp4", seconds=3, fps=8, size=(64, 48),
        picture=lambda at: np.full((48, 64, 3), 20 if at < 1 else 200, np.uint8),
    )  # fmt: skip
    made.put("one.mp4", film)
    made.where = {"lit": "tone_mean > 100"}
    made.build()
    return made


def export(project, *words):
    """The exit code of an export of `d`."""
    return run(["export", "d", "--store", str(project.store), *map(str, words)])


def test_it_says_what_it_wrote(project, tmp_path, capsys):
    """Clips, files, and the folder; again, that all were as they are."""
    out = tmp_path / "out"
    assert export(project, "--format", "jsonl", "--out", out) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("2 clips: 5 files written (")
    assert said[1] == str(out)
    assert export(project, "--format", "jsonl", "--out", out) == 0
    assert "0 files written (0 B), 5 as they were, 0 removed" in capsys.readouterr().out
    assert export(project, "--format", "jsonl", "--out", out, "--json", "--where", "start_s > 1", "captions=false") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["clips"], told["removed"], told["format"]) == (1, 1, "jsonl")


def test_a_dry_run_says_what_it_would_write(project, tmp_path, capsys):
    """And writes nothing."""
    assert export(project, "--format", "curator", "--out", tmp_path / "out", "--dry-run") == 0
    assert "files would be written, 0 as they were" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_forms_are_told_with_their_options(project, capsys):
    """Where no form is named."""
    assert export(project) == 0
    said = capsys.readouterr().out
    assert "webdataset: tar shards" in said
    assert "shard_mb" in said


def test_files_of_dropped_clips_are_made_as_a_build_makes_them(project, tmp_path, capsys):
    """The dataset stays as it is, and the next such export finds the files in the store."""
    out = tmp_path / "out"
    before = project.versions()
    assert export(project, "--format", "curator", "--out", out, "filtered_clips=true") == 0
    assert len(list((out / "filtered_clips").glob("*.mp4"))) == 1
    assert len(list((out / "clips").glob("*.mp4"))) == 2
    assert project.versions() == before
    (chunk,) = (out / "processed_clip_chunks").glob("*.json")
    told = json.loads(chunk.read_text())
    assert (len(told["clips"]), len(told["filtered_clips"]), told["num_clips_transcoded"]) == (2, 1, 3)
    capsys.readouterr()
    assert export(project, "--format", "curator", "--out", out) == 0
    assert not (out / "filtered_clips").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "jsonl"], "--out DIR is missing"),
        (["--format", "json", "--out", "o"], "there is no such form; did you mean 'jsonl'"),
        (["--format", "jsonl", "--out", "o", "files"], "an option of the form is given as name=value"),
        (["--format", "jsonl", "--out", "o", "file=copy"], "file: there is no such key; did you mean 'files'"),
    ],
)
def test_mistakes_are_said_in_a_line(project, words, said):
    """And nothing is written."""
    with pytest.raises(UsageError, match=said):
        export(project, *words)


def test_a_dataset_without_files_says_what_to_add(project, tmp_path, capsys):
    """Forms that are made of files need a stage that makes some."""
    bare = Project(tmp_path, {"tone": Tone()}, videos=project.videos)
    bare.build()
    words = ["export", "d", "--store", str(bare.store), "--format", "webdataset", "--out", str(tmp_path / "out")]
    assert exit_code(lambda: run(words)) == 1
    assert "no stage makes files of clips, which webdataset is made of; add transcode" in capsys.readouterr().err
