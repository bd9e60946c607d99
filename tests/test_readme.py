"""README's commands run as they stand there, and print what it says they print."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from footage import video

from vbuild.contract import member_class
from vbuild.stage import Stage

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


def typed(lines: list[str], place: Path) -> list[str]:
    """What each of some lines prints, typed one after the other in one session of bash."""
    environment = {key: value for key, value in os.environ.items() if key not in ("VBUILD_STORE", "VIRTUAL_ENV")}
    environment["TMPDIR"] = str(place)
    script = "".join(f"{line}\nprintf '\\036%d\\036' $?\n" for line in lines)
    done = subprocess.run(["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True)
    said = done.stdout.split("\x1e")
    for line, code in zip(lines, said[1::2], strict=True):
        assert code == "0", f"$ {line}\n{done.stdout}\n{done.stderr}"
    return said[:-1:2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A fresh clone, after tools/setup."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("conf", "tools", "vbuild"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.mark.timeout(600)
def test_the_tour(place):
    """The tour, typed from top to bottom, prints what README shows; then its Python runs on what was built."""
    told = commands()
    assert [command.split()[0] for command, _ in told[:3]] == [".", "tools/footage", "export"]
    blocks = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Stage" not in block]
    said = typed([*(command for command, _ in told), *(f"python -c {shlex.quote(block)}" for block in blocks)], place)
    for (command, lines), printed in zip(told, said, strict=False):
        assert_said(lines, printed, command)


def test_the_stage_of_ones_own(tmp_path):
    """The stage that README shows works where README says to put it."""
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Redness(Stage)" in b)
    video(tmp_path / "film.mp4", seconds=10, picture=lambda _: np.full((96, 128, 3), (200, 50, 50), np.uint8))
    (tmp_path / "redness.py").write_text(block)
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "red.yaml").write_text(
        "# @package _global_\nsource: {path: film.mp4}\nstages: {red: {_target_: redness.Redness}}\n"
    )
    code = "import vbuild; print(vbuild.open('red').search()['red'].to_pylist())"
    path = f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    *_, printed = typed([path, "vbuild +dataset=red", f"python -c {shlex.quote(code)}"], tmp_path)
    values = [float(v) for v in printed.strip("[]\n").split(",")]
    assert values == pytest.approx([200 / 300], abs=0.01)


def test_the_model_of_ones_own(tmp_path):
    """The model that README shows runs as it stands there, in a process that holds models; it is 30 lines of code."""
    import torch

    (block,) = (b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Indoors(Stage)" in b)
    assert len([line for line in block.splitlines() if line.strip()]) <= 30
    video(tmp_path / "film.mp4", seconds=4, picture=lambda _: np.full((96, 128, 3), (200, 50, 50), np.uint8))
    (tmp_path / "indoors.py").write_text(block)
    torch.save({"2.weight": torch.zeros(1, 192), "2.bias": torch.full((1,), 3.0)}, tmp_path / "indoors.pt")
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "in.yaml").write_text(
        "# @package _global_\nsource: {path: film.mp4}\nstages: {inside: {_target_: indoors.Indoors}}\n"
        "executor: {workers: 1}\n"
    )
    code = "import vbuild; print(vbuild.open('in').search()['inside'].to_pylist())"
    path = f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    *_, printed = typed([path, "vbuild +dataset=in", f"python -c {shlex.quote(code)}"], tmp_path)
    values = [float(v) for v in printed.strip("[]\n").split(",")]
    assert values == pytest.approx([1 / (1 + np.exp(-3))] * len(values), abs=1e-5)


READING = {"tags", "clip_score", "pool"}
"""Stages that have no model of their own, but that of the vectors which they read."""


def test_every_model_is_in_the_table_of_models():
    """Each stage with weights, by its name, and no other."""
    table = README.split("### Models")[1].split("###")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    told = set(re.findall(r"`(\w+)`", " ".join(rows)))
    told |= {f"cosmos_embed1{name}" for name in re.findall(r"`(_\w+)`", " ".join(rows))}
    told -= {"_448p"}
    found = set()
    for path in (ROOT / "conf" / "stage").glob("*.yaml"):
        cls = member_class(yaml.safe_load(path.read_text(encoding="utf-8"))["_target_"], path.stem)
        weighty = issubclass(cls, Stage) and cls.models is not Stage.models
        found |= {path.stem} if weighty or getattr(cls, "hosted", False) else set()
    assert told == found - READING


def test_every_stage_is_in_the_table():
    """README's table of stages names every stage and no other."""
    table = README.split("## Stages")[1].split("###")[0]
    told = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert told == {path.stem for path in (ROOT / "conf" / "stage").glob("*.yaml")}
