"""What is left of a command whose stdout is closed or full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

VBUILD = [sys.executable, "-c", "from vbuild.app import main; main()"]


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_a_full_stdout_is_one_line_and_exit_1(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*VBUILD, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("vbuild: stdout cannot be written: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("how", [">&-", "| true"])
def test_a_closed_stdout_is_quiet(how: str) -> None:
    shell = ["bash", "-o", "pipefail", "-c", f'"$@" {how}', "bash", *VBUILD, "--help"]
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
