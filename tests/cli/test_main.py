"""The command as people use it: verbs, exit codes, one line for a mistake, and no litter."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import lancedb
import pytest
from footage import video

VBUILD = [sys.executable, "-c", "from vbuild.cli.main import main; main()"]

DATASET = """\
# @package _global_
# Two films
defaults:
  - /stage@stages.motion: motion
  - /stage@stages.quality: quality
  - /stage@stages.embed: perceptual
  - /stage@stages.caption: describe
  - _self_
source: {path: videos}
split: {length: 1, min: 0.5}
executor: {workers: 0}
"""


def vbuild(*arguments, cwd=None, env=None):
    """Runs the command and returns what it left."""
    return subprocess.run(
        [*VBUILD, *arguments], cwd=cwd, capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=120
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with a dataset that has been built."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "videos").mkdir()
    video(folder / "videos" / "one.mp4", seconds=2, seed=1)
    video(
        folder / "videos" / "two.mp4",
        seconds=1,
        seed=2,
        picture=lambda _: __import__("numpy").zeros((96, 128, 3), "uint8"),
    )
    (folder / "videos" / "bad.mp4").write_bytes(b"no video")
    (folder / "conf" / "dataset").mkdir(parents=True)
    (folder / "conf" / "dataset" / "films.yaml").write_text(DATASET)
    done = vbuild("+dataset=films", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    return folder


def test_a_build_says_what_it_did(place):
    """The summary has a line a stage, what became of the videos, and where the database is."""
    said = (place / "said").read_text()
    assert re.search(r"^motion +0 +3 .*first build \(3\)", said, re.MULTILINE)
    assert "3 videos (1 cannot be used: see the table `videos`), 3 clips, 3 kept" in said
    assert f"{place}/cache/datasets/films" in said


def test_an_up_to_date_dataset_is_said_in_a_line(place):
    """The second build says that there is nothing to do."""
    done = vbuild("dataset=films", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"films is up to date: 3 clips, 3 kept, 1 failure \(\d\.\d s\)\n", done.stdout)


def test_nothing_lies_about(place):
    """Everything that the command writes is in the store."""
    assert {path.name for path in place.iterdir()} == {"videos", "conf", "cache", "said"}


def test_each_run_has_a_folder_of_its_own(place):
    """A run leaves its configuration, its events and its report under its id."""
    run = min((place / "cache" / "runs").iterdir())
    assert {path.name for path in run.iterdir()} >= {"config.json", "events.jsonl", "report.json"}
    assert json.loads((run / "report.json").read_text())["clips"] == 3


def test_plan_says_what_would_run(place):
    """A plan tells misses and reasons; --check exits with 3 if there are any, --json is for programs."""
    done = vbuild("plan", "+dataset=films", "stages.motion.fps=4", cwd=place)
    assert done.returncode == 0
    assert re.search(r"^motion +0 +3 .*fps", done.stdout, re.MULTILINE)
    assert vbuild("plan", "--check", "+dataset=films", "stages.motion.fps=4", cwd=place).returncode == 3
    assert vbuild("plan", "--check", "+dataset=films", cwd=place).returncode == 0
    told = json.loads(vbuild("plan", "--json", "+dataset=films", "stages.motion.fps=4", cwd=place).stdout)
    assert {s["name"]: s["ran"] for s in told["stages"]}["motion"] == 3


def test_query_prints_tables_json_and_csv(place):
    """The same clips in each form; words, conditions and likeness narrow them."""
    rows = json.loads(vbuild("query", "films", "--format", "json", cwd=place).stdout)
    assert len(rows) == 3
    read = list(csv.DictReader(io.StringIO(vbuild("query", "films", "--format", "csv", cwd=place).stdout)))
    assert [row["clip_id"] for row in read] == [row["clip_id"] for row in rows]
    black = json.loads(vbuild("query", "films", "black", "--format", "json", cwd=place).stdout)
    assert [Path(row["uri"]).name for row in black] == ["two.mp4"]
    lit = json.loads(
        vbuild("query", "films", "--where", "quality_brightness > 0.1", "--format", "json", cwd=place).stdout
    )
    assert {Path(row["uri"]).name for row in lit} == {"one.mp4"}
    like = json.loads(vbuild("query", "films", "--like", rows[0]["clip_id"][:8], "--format", "json", cwd=place).stdout)
    assert {row["clip_id"] for row in like} == {row["clip_id"] for row in rows[1:]}
    assert like[0]["_distance"] <= like[1]["_distance"]
    table = vbuild("query", "films", "moving", "shot", cwd=place).stdout
    assert re.search(rf"^{rows[0]['clip_id'][:12]}  one.mp4 ", table, re.MULTILINE)


def test_ls_names_what_was_built(place):
    """Datasets with what they hold; and without any, what to do."""
    assert re.search(r"^films +films +3 +3 +3 ", vbuild("ls", cwd=place).stdout, re.MULTILINE)
    assert "vbuild +dataset=NAME builds one" in vbuild("ls", "--store", "other", cwd=place).stdout


def test_bare_vbuild_lists_the_datasets(place):
    """Packaged ones and one's own, each with the first comment of its file."""
    done = vbuild(cwd=place)
    assert done.returncode == 0
    assert re.search(r"^  films +Two films$", done.stdout, re.MULTILINE)
    assert re.search(r"^  folder +Your own videos", done.stdout, re.MULTILINE)
    listed = json.loads(vbuild("--json", cwd=place).stdout)
    assert {"name": "films", "about": "Two films", "hides": False} in listed


MISTAKES = {
    ("nonsense",): (2, "nonsense: there is no such command; see"),
    ("biuld", "+dataset=films"): (2, "did you mean 'build'?"),
    ("flims",): (2, "flims: there is no such command; did you mean '+dataset=films'?"),
    ("plan", "--chek", "+dataset=films"): (2, "--chek: there is no such flag; did you mean '--check'?"),
    ("plan",): (2, "no dataset is named"),
    ("+dataset=flims",): (2, "did you mean 'films'?"),
    ("+dataset=flims", "--cfg", "job"): (2, "did you mean 'films'?"),
    ("-m", "+dataset=films,flims"): (2, "did you mean 'films'?"),
    ("-m", "+dataset=films", "--cfg", "job"): (2, "Only one of --run, --multirun, --cfg"),
    ("+dataset=films", "split=null"): (2, "a group, such as split, cannot be null"),
    ("+dataset=films", "stages.motion.fsp=3"): (2, "did you mean 'fps'?"),
    ("+dataset=films", "where.x=motoin_mean > 1"): (2, "did you mean 'motion_mean'?"),
    ("+dataset=films", "where.x=motion_mean >"): (2, "is no SQL"),
    ("+dataset=films", "where.x=motion_mean"): (2, "where.x='motion_mean'"),
    ("+dataset=films", "stages.describe.of={motion: moton}"): (2, "stages.describe: there is no such stage"),
    ("+dataset=films", "stage@stages.dedup=dedup", "stages.dedup.of=embd"): (2, "did you mean 'embed'?"),
    ("+dataset=films", "stage@stages.dedup=dedup", "stages.dedup.keep=nix desc"): (
        2,
        "no stage writes the column 'nix'",
    ),
    ("+dataset=films", "source.path=nowhere"): (1, "nowhere"),
    ("+dataset=films", "store=/proc/nowhere"): (1, "/proc/nowhere"),
    ("query",): (2, "query: the following arguments are required: NAME"),
    ("query", "flims"): (1, "did you mean 'films'?"),
    ("query", "films", "--limit", "0"): (2, "a whole number of 1 or more is expected"),
    ("query", "films", "--where", "moton_mean > 1"): (1, "did you mean 'motion_mean'?"),
    ("query", "films", "--where", "motion_mean >"): (1, "--where 'motion_mean >': "),
    ("query", "films", "--like", "ffffffff"): (1, "films has no such clip"),
    ("query", "films", "--like", "x"): (1, "a clip id is hex"),
    ("ls", "films"): (2, "unrecognized arguments: films"),
    ("gc", "--dry"): (2, "--dry: there is no such flag; did you mean '--dry-run'?"),
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_gets_one_line_and_its_exit_code(place, arguments):
    """No traceback, nothing on standard output, one line that begins with the command's name and says what is wrong."""
    done = vbuild(*arguments, cwd=place)
    code, said = MISTAKES[arguments]
    assert done.stdout == ""
    assert re.fullmatch(r"vbuild: .+\n", done.stderr)
    assert said in done.stderr
    assert done.returncode == code


def test_help_is_printed_without_hydra():
    """--help costs no more than Python's own start."""
    code = (
        "import sys; sys.argv = ['vbuild', '--help']\nfrom vbuild.cli.main import main\n"
        "try: main()\nfinally: print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("vbuild: make for video datasets")
    assert "'hydra" not in done.stdout
    assert "'omegaconf" not in done.stdout


def test_hydras_own_flags_still_work(place):
    """--cfg, --info and shell completion are handed on."""
    shown = vbuild("dataset=films", "split.length=4", "--cfg", "job", cwd=place)
    assert shown.returncode == 0
    assert "length: 4" in shown.stdout
    assert "conf" in vbuild("+dataset=films", "--info", "searchpath", cwd=place).stdout
    assert "complete" in vbuild("-sc", "install=bash", cwd=place).stdout
    assert {path.name for path in place.iterdir()} == {"videos", "conf", "cache", "said"}


def test_a_sweep_builds_each_job_and_shares_what_they_share(place):
    """Each job is a dataset of its own name; a job that fails leaves the others be and shows in the exit code."""
    done = vbuild("-m", "+dataset=films", "stages.motion.fps=2,0,3", cwd=place)
    assert done.returncode == 2
    assert "stages.motion.fps=0.0: must be more than 0" in done.stderr
    built = {path.name for path in (place / "cache" / "datasets").glob("[!.]*")}
    assert built == {"films", "films-stages.motion.fps=2", "films-stages.motion.fps=3"}
    assert re.findall(r"^motion +(\d+) +(\d+)", done.stdout, re.MULTILINE) == [("3", "0"), ("0", "3")]
    assert re.findall(r"^quality +(\d+) +(\d+)", done.stdout, re.MULTILINE) == [("3", "0"), ("3", "0")]
    for name in built - {"films"}:
        for path in sorted((place / "cache" / "datasets" / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (place / "cache" / "datasets" / name).rmdir()


def test_ctrl_c_ends_a_build_that_goes_on_from_there(tmp_path):
    """An interrupt ends in one line and exit code 130, and the same command finishes the build."""
    for n in range(12):
        video(tmp_path / f"{n}.mp4", seconds=2, seed=n)
    command = [
        *VBUILD,
        "+dataset=folder",
        f"source.path={tmp_path}",
        "split.length=1",
        "split.min=0",
        "name=x",
        "executor.workers=1",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("vbuild: probe")
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "goes on from there" in said
    done = vbuild(*command[3:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert lancedb.connect(tmp_path / "cache" / "datasets" / "x").open_table("clips").count_rows() == 24


def test_lock_writes_a_file_that_a_locked_build_holds_to(place, tmp_path):
    """One line for what it holds, one for what is refused; exit code 2."""
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "films.yaml").write_text((place / "conf/dataset/films.yaml").read_text())
    source = f"source.path={place / 'videos'}"
    made = vbuild("lock", "+dataset=films", source, cwd=tmp_path)
    assert (made.returncode, made.stdout) == (0, f"{tmp_path / 'conf/dataset/films.lock.yaml'}: 3 videos\n")
    assert vbuild("plan", "+dataset=films", source, "locked=true", cwd=tmp_path).returncode == 0
    refused = vbuild("+dataset=films", source, "source.limit=2", "locked=true", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "vbuild: locked=true: source: 2 videos, and the lock holds 3 (films.lock.yaml); "
        "vbuild lock +dataset=films takes what is there now\n"
    )
