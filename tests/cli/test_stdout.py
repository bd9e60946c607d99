"""What is left of a command whose stdout is closed or full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

VBUILD = [sys.executable, "-c", "from vbuild.cli.main import main; main()"]


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


@pytest.mark.parametrize("how", [">&-", "| true", "> /dev/full"])
def test_a_build_that_failed_says_so_whatever_becomes_of_stdout(how: str, tmp_path: Path) -> None:
    """Its lines on stderr and its exit code stay."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"no video")
    words = ["+dataset=folder", "source.path=videos", "executor.workers=0"]
    shell = ["bash", "-o", "pipefail", "-c", f'"$@" {how}', "bash", *VBUILD, *words]
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    lines = [line for line in done.stderr.splitlines() if "stdout cannot be written" not in line]
    assert done.returncode == 1
    assert "vbuild: none of 1 videos can be used" in lines[-1]
    assert "Traceback" not in done.stderr
