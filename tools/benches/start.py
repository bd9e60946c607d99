"""What it costs to be told that nothing is to be done, beside composing the same configuration with Hydra."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from benches.measure import Measure, cpu

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = int(os.environ.get("ROUNDS", "15"))

BUILDS = min(5, ROUNDS)
"""Builds from nothing, after each of which the first look that finds nothing to do is compared with the next."""


def measures() -> Iterator[Measure]:
    """CPU of whole processes, each kind in turn; the median of each."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    from footage import video

    vbuild = str(Path(sys.executable).with_name("vbuild"))
    dataset = ["+dataset=folder", "source.path=videos"]
    commands = {
        "up to date": [vbuild, *dataset],
        "composed": [vbuild, *dataset, "--cfg", "job"],
        "help": [vbuild, "--help"],
        "hydra": [sys.executable, "-c", "import hydra"],
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "videos").mkdir()
        for n in range(4):
            video(Path(folder) / "videos" / f"{n}.mp4", seconds=3, seed=n)
        for _ in range(2):
            _run(commands["up to date"], folder)
        looks = [_looks(commands["up to date"], folder) for _ in range(BUILDS)]
        spent = defaultdict(list)
        for _ in range(ROUNDS):
            for name, command in commands.items():
                spent[name].append(cpu(lambda command=command: _run(command, folder)))
    median = {name: statistics.median(values) for name, values in spent.items()}
    yield Measure("an up-to-date build, by --cfg job", median["up to date"], median["composed"], 1.25)
    first, second = (statistics.median(column) for column in zip(*looks, strict=True))
    yield Measure("the first look after a build, by the next", first, second, 1.25)
    yield Measure("vbuild --help, by python -c 'import hydra'", median["help"], median["hydra"], 0.5)


def _looks(command: list[str], folder: str) -> tuple[float, float]:
    """CPU of the first and of the second look after a build."""
    shutil.rmtree(Path(folder) / "cache")
    _run(command, folder)
    first, second = (cpu(lambda: _run(command, folder)) for _ in range(2))
    return first, second


def _run(command: list[str], folder: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
