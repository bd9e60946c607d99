"""The wheel is called vbuild-video, holds the configuration, and runs from anywhere."""

import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import vbuild

ROOT = Path(__file__).parents[1]

OTHERS = re.compile(r"pip3?\s+install\s[^\n`|]*?(?<![\w./-])vbuild(?![\w/-]|\.\w)|(?<![\w./-])vbuild\[[\w,]+\]")
"""The name without -video, as pip is told it: in the index it is another's."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
    return next(folder.iterdir())


def test_the_wheel_runs_from_anywhere(wheel, tmp_path):
    """Installed away from the checkout and run from another folder, the command finds its own datasets."""
    target, away = tmp_path / "target", tmp_path / "away"
    away.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True)
    code = "import vbuild; print(vbuild.__file__)\nfrom vbuild.cli.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=away, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(target))
    assert "The footage that tools/demo makes" in done.stdout
    assert (target / "vbuild" / "py.typed").exists()


def test_the_wheel_has_a_name_of_its_own(wheel):
    """The distribution is vbuild-video, of the version that the package says, and its extras ask for no other."""
    (name,) = (n for n in ZipFile(wheel).namelist() if n.endswith(".dist-info/METADATA"))
    metadata = ZipFile(wheel).read(name).decode().splitlines()
    assert {"Name: vbuild-video", f"Version: {vbuild.__version__}"} <= set(metadata)
    assert not [line for line in metadata if re.match(r"Requires-Dist: vbuild(?!-video)", line)]


@pytest.mark.parametrize(
    "line", ["pip install vbuild", "pip install 'vbuild[ocr]'", "pip3 install -U vbuild==1", "vbuild[s3]"]
)
def test_the_name_of_another_is_seen(line):
    """What would install the other package of that name is found in a text."""
    assert OTHERS.search(line)


@pytest.mark.parametrize(
    "line", ["pip install .", "pip install '.[ocr]'", "pip install 'vbuild-video[ocr]'", "pip install ./vbuild"]
)
def test_the_own_name_is_let_be(line):
    """What installs this package, or a checkout of it, is none."""
    assert not OTHERS.search(line)


def test_nobody_is_told_to_install_another_package():
    """Neither README, nor a message, nor a configuration names the package of the index that is called vbuild."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    told = {
        f"{name}: {found[0]}"
        for name in filter(None, listed.split("\0"))
        if (ROOT / name).is_file() and name != "tests/test_package.py"
        for found in OTHERS.finditer((ROOT / name).read_text(encoding="utf-8", errors="replace"))
    }
    assert not told
