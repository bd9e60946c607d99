"""The wheel holds the configuration and runs from anywhere."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_runs_from_anywhere(tmp_path):
    """Installed away from the checkout and run from another folder, the command finds its own datasets."""
    wheels, target, away = tmp_path / "wheels", tmp_path / "target", tmp_path / "away"
    away.mkdir()
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)], cwd=ROOT, check=True)
    (wheel,) = wheels.iterdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True)
    code = "import vbuild; print(vbuild.__file__)\nfrom vbuild.app import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=away, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(target))
    assert "The footage that tools/demo makes" in done.stdout
    assert (target / "vbuild" / "py.typed").exists()
