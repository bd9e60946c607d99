"""What a shell is offered while a person types."""

import subprocess
import sys
from pathlib import Path

import pytest
from footage import video
from made import Tone
from project import Project

from vbuild.cli.complete import BUILT, DECLARED, candidates
from vbuild.cli.main import run
from vbuild.cli.verbs import VERBS, parser_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in with a dataset that is declared, and one that was built."""
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "films.yaml").write_text(
        "# @package _global_\ndefaults: [/stage@stages.motion: motion]\nsource: {path: videos}\n"
    )
    project = Project(tmp_path, {"tone": Tone()}, name="done")
    project.put("one.mp4", video(tmp_path / "one.mp4", seconds=1, fps=8, size=(64, 48)))
    project.build()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VBUILD_STORE", str(project.store))


OFFERED = {
    "vbuild pl": ["plan"],
    "vbuild +dataset=": ["curator", "curator_light", "demo", "films", "folder", "world", "world_light"],
    "vbuild +dataset=fi": ["films"],
    "vbuild plan fi": ["films"],
    "vbuild plan --ch": ["--check"],
    "vbuild query ": ["done"],
    "vbuild rm d": ["done"],
    "vbuild rm done ": [],
    "vbuild show done --t": ["--table"],
    "vbuild build films stages.motion.sh": ["stages.motion.short_side="],
    "vbuild +dataset=films stages.motion.by=": ["flow", "vectors"],
    "vbuild +dataset=films split=a": ["adaptive"],
    "vbuild +dataset=films stage@stages.x=au": ["audio"],
    "vbuild try aud": ["audio"],
    "vbuild stages transn": ["transnetv2"],
    "vbuild completion ": ["bash", "zsh"],
    "vbuild plan no-such stages.": [],
}


@pytest.mark.parametrize("line", OFFERED)
def test_what_may_stand_there_is_offered(here, line):
    """Verbs, flags, datasets, built names, keys, values of keys; nothing where nothing is known."""
    assert candidates(line) == OFFERED[line]


def test_every_verb_that_takes_a_dataset_is_offered_some():
    """One that is declared where it takes keys, one that was built where it reads that."""
    takes = {name: {action.dest for action in parser_of(name)._actions} for name in VERBS}
    assert {name for name, words in takes.items() if "keys" in words and "name" not in words} - {"try"} == {*DECLARED}
    assert {name for name, words in takes.items() if {"name", "store"} <= words} == {*BUILT}


def test_at_the_start_all_verbs_are_offered(here):
    """And the datasets, as keys."""
    assert {*VERBS, "+dataset=films"} <= {*candidates("vbuild ")}


def test_verbs_and_names_cost_no_library():
    """What is offered most often needs no more than Python."""
    code = (
        "import sys\nfrom vbuild.cli.main import run\n"
        "for line in ('vbuild ', 'vbuild plan ', 'vbuild query ', 'vbuild try ', 'vbuild gc --'):\n"
        "    run(['complete', line, str(len(line))])\nprint(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not [name for name in ("hydra", "omegaconf", "numpy", "lance") if f"'{name}'" in done.stdout]


def test_bash_fills_in_what_is_offered(here, capsys):
    """The script, as bash runs it, puts words in place and leaves no space behind a key."""
    assert run(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    bash = f"""
    vbuild() {{ {sys.executable} -c 'from vbuild.cli.main import main; main()' "$@"; }}
    {script}
    compopt() {{ echo "compopt $*"; }}
    COMP_LINE="vbuild build films stages.motion.sh"; COMP_POINT=${{#COMP_LINE}}
    COMP_WORDS=(vbuild build films stages.motion.sh); COMP_CWORD=3
    _vbuild; echo "<${{COMPREPLY[*]}}>"
    """
    done = subprocess.run(["bash", "-c", bash], capture_output=True, text=True, check=True, timeout=60, cwd=Path.cwd())
    said = done.stdout.split()
    assert said[-1] == "<stages.motion.short_side=>"
    assert "nospace" in said
