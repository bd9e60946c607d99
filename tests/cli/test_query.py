"""What `vbuild query` finds, in every form, and what it says of what cannot be asked."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from footage import video
from made import Tone, Word
from project import Project

import vbuild
from vbuild.cli.main import run
from vbuild.decisions.dedup import Dedup
from vbuild.errors import DatasetError, UsageError
from vbuild.stages.perceptual import Perceptual
from vbuild.stages.transcode import Transcode

GREYS = {"one.mp4": 60, "two.mp4": 120, "twin.mp4": 120, "dark.mp4": 20}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Four clips of one grey each with a pattern of its own, of which one is a twin and one too dark."""
    folder = tmp_path_factory.mktemp("query")
    stages = {
        "tone": Tone(),
        "look": Perceptual(),
        "dedup": Dedup(of="look", eps=0.02),
        "caption": Word(of="tone"),
        "transcode": Transcode(preset="ultrafast"),
    }
    made = Project(folder, stages, where={"lit": "tone_mean > 40"})
    for name, grey in GREYS.items():
        shade = np.random.default_rng(grey).integers(-15, 15, (6, 8, 1)).repeat(8, 0).repeat(8, 1)
        film = (grey + shade.repeat(3, 2)).astype(np.uint8)
        made.put(name, video(folder / name, seconds=1, fps=8, size=(64, 48), crf=12 + (name == "twin.mp4"),
                             picture=lambda _, film=film: film))  # fmt: skip
    report = made.build()
    assert report.kept == 2, report
    return made


@pytest.fixture
def ask(project, capsys):
    """Runs a query and gives what it prints."""

    def asked(*words, code=0):
        assert run(["query", "d", *words, "--store", str(project.store)]) == code
        return capsys.readouterr().out

    return asked


def files(said):
    """The files of rows that were printed as JSON."""
    return [Path(row["uri"]).name for row in json.loads(said)]


def test_which_clips(ask):
    """Those that were kept by default; those that were dropped, or all, if asked for."""
    kept = files(ask("--json"))
    assert len(kept) == 2
    assert kept == files(ask("--json", "--kept"))
    dropped = files(ask("--json", "--dropped"))
    assert sorted([*kept, *dropped]) == sorted(GREYS)
    assert sorted(files(ask("--json", "--all"))) == sorted(GREYS)
    assert files(ask("--json", "--dropped", "--where", "tone_mean < 40")) == ["dark.mp4"]
    with pytest.raises(UsageError, match="not allowed with argument"):
        ask("--kept", "--all")


def test_near_to_a_clip_a_picture_and_a_video(ask, project, tmp_path):
    """By the beginning of an id, and by files."""
    rows = {Path(row["uri"]).name: row for row in json.loads(ask("--json", "--all"))}
    others = files(ask("--json", "--all", "--like", rows["two.mp4"]["clip_id"][:10]))
    assert others[0] == "twin.mp4"
    assert "two.mp4" not in others
    assert files(ask("--json", "--all", "--like", str(project.videos / "dark.mp4")))[0] == "dark.mp4"
    frame = vbuild.open("d", store=project.store).clip(rows["one.mp4"]["clip_id"]).frames(count=1).pixels[0]
    cv2.imwrite(str(tmp_path / "one.png"), frame[..., ::-1])
    assert files(ask("--json", "--all", "--like", str(tmp_path / "one.png"), "--by", "look", "--limit", "1")) == [
        "one.mp4"
    ]
    with pytest.raises(DatasetError, match="look: stage perceptual knows no words"):
        ask("--near", "a red car")
    with pytest.raises(DatasetError, match=r"--like none\.png: there is no such file, and a clip id is hex"):
        ask("--like", "none.png")


def test_the_duplicates_of_a_clip(ask):
    """The twin, with how near it is, whichever of the two was kept."""
    rows = {Path(row["uri"]).name: row["clip_id"] for row in json.loads(ask("--json", "--all"))}
    for name, other in (("two.mp4", "twin.mp4"), ("twin.mp4", "two.mp4")):
        said = ask("--json", "--duplicates-of", rows[name][:8])
        assert files(said) == [other]
        assert json.loads(said)[0]["similarity"] > 0.98
    assert files(ask("--json", "--duplicates-of", rows["one.mp4"])) == []
    assert ask("--duplicates-of", rows["one.mp4"]) == "no clip\n"


def test_columns_are_chosen(ask):
    """In the order asked for, of clips and of videos, in every form."""
    wanted = ["--columns", "tone_mean,videos.codec,look", "--where", "tone_step = 1"]
    (row,) = json.loads(ask("--json", *wanted))
    assert list(row) == ["tone_mean", "videos.codec", "look"]
    assert (row["videos.codec"], len(row["look"])) == ("h264", 329)
    (flat,) = csv.DictReader(io.StringIO(ask("--format", "csv", *wanted)))
    assert json.loads(flat["look"]) == pytest.approx(row["look"])
    assert ask(*wanted[:1], "tone_step,kept").splitlines()[0].split() == ["tone_step", "kept"]
    with pytest.raises(DatasetError, match="columns=tone_maen: d has no such column; did you mean 'tone_mean'"):
        ask("--columns", "tone_maen")


def test_forms_hold_the_same(ask, project):
    """A table for people, JSON, lines of it, CSV, and parquet with the vectors too."""
    rows = json.loads(ask("--format", "json"))
    assert [json.loads(line) for line in ask("--format", "jsonl").splitlines()] == rows
    assert [row["clip_id"] for row in csv.DictReader(io.StringIO(ask("--format", "csv")))] == [
        r["clip_id"] for r in rows
    ]
    assert ask("--where", "tone_mean > 1000", "--format", "csv").splitlines()[0].startswith("clip_id,")
    code = "import sys; from vbuild.cli.main import run; sys.exit(run(sys.argv[1:]))"
    words = ["query", "d", "--store", str(project.store), "--format", "parquet"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=True)
    table = pq.read_table(io.BytesIO(done.stdout))
    assert table["clip_id"].to_pylist() == [row["clip_id"] for row in rows]
    assert {"look", "caption"} <= set(table.column_names)
    assert "row_digest" not in table.column_names


def test_sql_over_all_tables(ask, project):
    """They join; `kept` is those that were; files have whole paths; bookkeeping is no column."""
    said = json.loads(
        ask("--json", "--sql", "select v.codec, count(*) n from kept join videos v using (uri) group by all")
    )
    assert said == [{"codec": "h264", "n": 2}]
    (row,) = json.loads(ask("--json", "--sql", "select * from clips where tone_step = 1"))
    assert Path(row["transcode_uri"]).is_file()
    assert "row_digest" not in row
    assert len(row["look"]) == 329
    for table in ("videos", "captions", "duplicates", "failures", "builds"):
        assert ask("--sql", f"select count(*) as n from {table}").split()[0] == "n"
    assert len(ask("--sql", "select clip_id from clips", "--limit", "3").splitlines()) == 4
    assert ask("--sql", "select clip_id from clips where false") == "no row\n"


WRONG = [
    (["--sql", "select tone_maen from clips"], DatasetError, r"--sql 'select .*tone_maen.*tone_mean"),
    (["--sql", "select * from clip"], DatasetError, r"--sql .*clip does not exist.*clips"),
    (["--sql", "create table x (a int)"], DatasetError, "one select is expected, for tables are only read"),
    (["--sql", "select 1; select 2"], DatasetError, "one select is expected"),
    (["--sql", "selekt 1"], DatasetError, "syntax error"),
    (["--sql", "select 1", "--where", "kept"], UsageError, "--sql says all by itself, and --where has no place"),
    (["word", "--sql", "select 1"], UsageError, "and WORDS has no place"),
    (["--near", "a", "--like", "b"], UsageError, "--near and --like both say"),
    (["--duplicates-of", "abcd", "--where", "kept"], UsageError, "--duplicates-of finds by itself"),
    (["--duplicates-of", "0" * 32], DatasetError, "d has no such clip"),
    (["--build", "x"], DatasetError, "it has no build x"),
    (["--limit", "0"], UsageError, "a whole number of 1 or more"),
]


@pytest.mark.parametrize(("words", "kind", "said"), WRONG, ids=[" ".join(words)[:40] for words, _, _ in WRONG])
def test_what_cannot_be_asked(ask, words, kind, said):
    with pytest.raises(kind, match=said) as raised:
        ask(*words)
    assert "_stored" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_clips_are_saved_with_a_sheet(ask, tmp_path, capsys):
    """Their files under readable names, in order, of one without a file one that is encoded; a picture of all."""
    ask("--all", "--save", str(tmp_path / "out"), "--columns", "tone_mean")
    saved = sorted(path.name for path in (tmp_path / "out").iterdir())
    names = [name for name in saved if name != "sheet.png"]
    assert [name.split("_")[:3] for name in names] == [
        [f"000{n}", name, "0.00-1.00"] for n, name in enumerate(sorted(Path(g).stem for g in GREYS), 1)
    ]
    for name in names:
        with av.open(str(tmp_path / "out" / name)) as container:
            assert len(list(container.decode(video=0))) == 8
    sheet = cv2.imread(str(tmp_path / "out" / "sheet.png"))
    assert sheet.shape == (144 + 18, 4 * 258, 3)
    greys = [sheet[20:120, n * 258 + 60 : n * 258 + 190].mean() for n in range(4)]
    assert greys == pytest.approx([GREYS[f"{name}.mp4"] for name in ("dark", "one", "twin", "two")], abs=6)


def test_what_cannot_be_saved_is_said_and_the_others_are(tmp_path, project, capsys):
    """Exit code 1, one line for each."""
    other = Project(tmp_path, {"tone": Tone()})
    for name in ("one.mp4", "two.mp4"):
        other.put(name, project.videos / name)
    other.build()
    (other.videos / "one.mp4").unlink()
    assert run(["query", "d", "--store", str(other.store), "--save", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "saved 1 file in" in told
    assert "not saved: " in told
    assert "one.mp4: it cannot be read" in told
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_an_earlier_build_is_asked(project, ask, tmp_path):
    """By its id."""
    build = vbuild.open("d", store=project.store).build["id"]
    assert len(files(ask("--json", "--build", build))) == 2
