"""Verbs are alike: each is a module of the room, says what it does, has help, and reads flags anywhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vbuild.cli import verbs
from vbuild.cli.main import run
from vbuild.errors import UsageError

ROOM = Path(verbs.__file__).parent

OTHERS = {"__init__", "arguments", "helping", "hydras", "main", "printer", "progress", "rows", "summary", "verbs"}
"""Modules of the room that are no verbs."""

TELLING = set(verbs.VERBS) - {"completion"}
"""Verbs that tell something, and so have a form for programs."""

HEAVY = ("hydra", "omegaconf", "numpy", "pyarrow", "lance", "lancedb", "av", "rich")


def test_every_module_of_the_room_is_a_verb_or_serves_them():
    """A verb that is forgotten in the list, or listed and not there, is seen."""
    there = {path.stem.rstrip("_").replace("_", "-") for path in ROOM.glob("*.py") if path.stem not in OTHERS}
    assert there == {*verbs.VERBS, *verbs.HIDDEN}


@pytest.mark.parametrize("name", verbs.VERBS)
def test_help_works_behind_every_verb(name, capsys):
    """-h and --help, wherever they stand, print the verb's line and its arguments, and end with 0."""
    for arguments in ([name, "-h"], [name, "x", "--help"], ["help", name]):
        assert run(arguments) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"usage: vbuild {name} ")
        about = verbs.verb(name).ABOUT
        assert " ".join(about.split())[1:] in " ".join(said.split())


def test_help_of_the_whole_is_made_of_the_verbs(capsys):
    """It names each with what it says of itself, and no verb that scripts call."""
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in said.splitlines()]
    for name in verbs.VERBS:
        assert any(line.startswith(name) for line in lines), name
        assert verbs.verb(name).ABOUT in " ".join(said.split())
    assert not any(line.startswith("complete ") for line in lines)


@pytest.mark.parametrize("name", sorted(TELLING))
def test_what_tells_something_tells_it_to_programs(name):
    """Each takes --json."""
    assert "--json" in verbs.parser_of(name).flags()


def test_no_verb_imports_what_is_heavy_before_it_runs():
    """The help of all, which loads every verb, loads no library that takes time."""
    code = "import sys\nfrom vbuild.cli.main import run\nrun(['--help'])\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = done.stdout.splitlines()[-1]
    assert not [name for name in HEAVY if f"'{name}'" in loaded]


def test_a_dataset_that_was_meant_is_asked_for(tmp_path, monkeypatch, capsys):
    """A bare word that is a dataset, declared by vbuild or here, is answered with what to type."""
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "mine.yaml").write_text("# @package _global_\n")
    monkeypatch.chdir(tmp_path)
    for name in ("demo", "mine"):
        with pytest.raises(UsageError, match=rf"did you mean `vbuild \+dataset={name}`"):
            run([name])
    with pytest.raises(UsageError, match="there is no such command; did you mean 'build'"):
        run(["buidl", "demo"])


@pytest.mark.parametrize("verb", ["build", "plan", "explain", "lock", "show-config"])
def test_a_dataset_is_named_once(verb):
    """A second name, bare or as a key, is refused."""
    for words in (["demo", "folder"], ["demo", "+dataset=folder"], ["dataset=demo", "folder"]):
        with pytest.raises(UsageError, match="the dataset is named already"):
            run([verb, *words])


def test_flags_stand_anywhere(project, capsys):
    """Before and behind names and keys."""
    store = f"store={project.store}"
    for words in (["--json", "d", store], ["d", "--json", store], [store, "d", "--json"]):
        assert run(["log", *words]) == 0
        assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.fixture
def project(tmp_path):
    """A dataset `d` of one video that was built."""
    from footage import video
    from made import Tone
    from project import Project

    made = Project(tmp_path, {"tone": Tone()})
    made.put("one.mp4", video(tmp_path / "one.mp4", seconds=2, fps=8, size=(64, 48)))
    made.build()
    return made
