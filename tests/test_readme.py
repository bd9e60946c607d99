"""README's commands run as they stand there, and print what it says they print."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[tuple[str, list[str]]]:
    """Every command of the console blocks, in order, with the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(line: str) -> str:
    """A line without what differs from run to run: seconds, ids, dates, paths, widths of columns."""
    line = re.sub(r"\b([0-9a-f]{12}|\d{8}T\d{6}-[0-9a-f]{6})\b", "ID", line)
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "WHEN", line)
    line = re.sub(r"/\S*/", "", line)
    line = re.sub(r"\d+\.\d+", "#", line)
    line = re.sub(r"(?<= )#(?=\s|$)", "", line)
    return " ".join(line.split())


def assert_said(told: list[str], said: str, command: str) -> None:
    """Every line that README shows is in the output, in that order; `…` stands for any lines, or the rest of one."""
    lines = iter([shape(line) for line in said.splitlines()])
    for line in filter(None, told):
        if line == "…":
            continue
        wanted = shape(line.removesuffix("…"))
        match = (found.startswith(wanted) if line.endswith("…") else found == wanted for found in lines)
        assert any(match), f"$ {command}\ndoes not print, there,\n{line}\nbut\n{said}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with the demo's footage in its cache."""
    folder = tmp_path_factory.mktemp("readme")
    subprocess.run([sys.executable, str(ROOT / "tools" / "footage"), str(folder / "cache" / "footage")], check=True)
    return folder


def run(command: str, place: Path) -> str:
    """What a command prints."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("VBUILD_STORE", None)
    done = subprocess.run(
        ["bash", "-c", command], cwd=place, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode in (0, 3 if "--check" in command else 0), f"$ {command}\n{done.stderr}"
    return done.stdout


@pytest.mark.timeout(600)
def test_the_tour(place):
    """The tour's commands, one after the other, print what README shows; then its Python runs on what they built."""
    told = commands()
    assert len(told) >= 8
    for command, lines in told:
        assert_said(lines, run(command, place), command)
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        if "Stage" not in block:
            run(f"python -c {shlex.quote(block)}", place)


def test_the_stage_of_ones_own(place):
    """The stage that README shows works where README says to put it."""
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "(Stage)" in b)
    (place / "redness.py").write_text(block)
    (place / "conf" / "dataset").mkdir(parents=True, exist_ok=True)
    (place / "conf" / "dataset" / "red.yaml").write_text(
        "# @package _global_\nsource: {path: cache/footage/table.mp4}\nstages: {red: {_target_: redness.Redness}}\n"
    )
    run("vbuild +dataset=red", place)
    printed = run("python -c \"import vbuild; print(vbuild.open('red').search()['red'].to_pylist())\"", place)
    values = [float(v) for v in printed.strip("[]\n").split(",")]
    assert len(values) == 2
    assert all(0.34 < value < 0.9 for value in values)


def test_every_stage_is_in_the_table():
    """README's table of stages names every stage and no other."""
    table = README.split("## Stages")[1].split("###")[0]
    told = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert told == {path.stem for path in (ROOT / "conf" / "stage").glob("*.yaml")}
