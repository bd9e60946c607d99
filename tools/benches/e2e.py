"""A folder of videos to clips with motion scores, frames, previews and encodes, against the straightforward script."""

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

from benches.measure import Measure, cpu, wall
from benches.script import LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("script.py")

VIDEOS, SECONDS, SIZE = 10, 30, (640, 360)
ROUNDS = int(os.environ.get("ROUNDS", "5"))

DATASET = f"""\
# @package _global_
defaults:
  - /stage@stages.motion: motion
  - /stage@stages.preview: preview
  - /stage@stages.transcode: transcode
  - _self_
name: bench
source: {{path: videos}}
split: {{length: {LENGTH}}}
stages:
  eight: {{_target_: eight.Eight}}
  preview: {{fps: 1, height: 240, quality: 50, level: 6}}
  transcode: {{preset: veryfast, crf: 23}}
"""

EIGHT = '''\
"""Eight frames of each clip."""

from dataclasses import dataclass

from vbuild.media.versions import PASSES
from vbuild.stage import Blob, Frames, Stage


@dataclass(frozen=True, kw_only=True)
class Eight(Stage):
    """Eight frames of 224 x 224, as one jpeg."""

    version = 1
    phase = "produce"
    dear = True
    writes = {"": "blob"}
    uses = {"passes": PASSES}

    def asks(self):
        return Frames(count=8, size=(224, 224))

    def run(self, clips, model):
        import cv2
        import numpy as np

        for clip in clips:
            _, data = cv2.imencode(".jpg", np.concatenate(clip.frames.pixels)[..., ::-1])
            yield {"": Blob(data.tobytes(), ".jpg")}
'''


def measures() -> Iterator[Measure]:
    """CPU and wall of one folder, ours and the script's in turn; the median of each."""
    if shutil.which("ffmpeg") is None:
        sys.exit("tools/bench e2e: ffmpeg is not on the path; install it (apt install ffmpeg), for it is the baseline")
    with tempfile.TemporaryDirectory() as folder:
        yield from _measured(Path(folder))


def _measured(folder: Path) -> Iterator[Measure]:
    _make(folder)
    videos = sorted(map(str, (folder / "videos").iterdir()))
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: _build(folder),
        "third": lambda: _build(folder, f"where.third=motion_mean >= 0 and start_s < {LENGTH}"),
        "script": lambda: _script(folder, [sys.executable, str(SCRIPT), "0", "out", *videos]),
        "xargs": lambda: _script(
            folder, ["xargs", "-P2", "-n1", sys.executable, str(SCRIPT), "1", "out"], "\n".join(videos)
        ),
    }
    spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            walls: list[float] = []
            seconds = cpu(lambda run=run, walls=walls: walls.append(wall(run)))
            spent[name].append((seconds, walls[0]))
    (ours, w), (third, w3), (script, ws), (_, wx) = (
        [statistics.median(column) for column in zip(*spent[name], strict=True)] for name in runs
    )
    yield Measure("all kept, by the sequential script", ours, script, 0.80)
    yield Measure("a third kept, by the sequential script that keeps all", third, script, 0.45)
    yield Measure("wall, all kept, by the sequential script", w, ws, 0.60, "wall s")
    yield Measure("wall, all kept, by xargs -P2 -threads 1", w, wx, 0.85, "wall s")
    yield Measure("wall, a third kept, by the sequential script", w3, ws, None, "wall s")


def _make(folder: Path) -> None:
    """The footage, and the dataset that reads it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from footage import video

    (folder / "videos").mkdir()
    for n in range(VIDEOS):
        video(folder / "videos" / f"{n}.mp4", seconds=SECONDS, size=SIZE, seed=n, gop=48)
    (folder / "conf" / "dataset").mkdir(parents=True)
    (folder / "conf" / "dataset" / "bench.yaml").write_text(DATASET)
    (folder / "eight.py").write_text(EIGHT)


def _build(folder: Path, *overrides: str) -> None:
    shutil.rmtree(folder / "cache", ignore_errors=True)
    command = [str(Path(sys.executable).with_name("vbuild")), "+dataset=bench", *overrides]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _script(folder: Path, command: list[str], given: str | None = None) -> None:
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    subprocess.run(command, check=True, cwd=folder, input=given, text=True, stdout=subprocess.DEVNULL)
