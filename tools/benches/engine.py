"""A model of real size, hosted: what a build costs beside the bare model, and what handing over and batching cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import numpy as np

from benches.measure import Measure, cpu, wall
from vbuild import Clip, Frames, Row, Stage, knob
from vbuild.fields import Vector

WIDTH = 512
BATCH = 16
LENGTH = 5.0
"""Seconds a clip."""

ROUNDS = 20
"""Of handing over."""

VIDEOS = int(os.environ.get("VIDEOS", "20"))
FEW = int(os.environ.get("FEW", "6"))
"""The goals are of 20 and 6; fewer show that the benchmark runs."""

SECONDS = (10, 15, 20, 25, 30)
"""Of the videos, in turn."""


@dataclass(frozen=True, kw_only=True)
class ClipEmbedding(Stage):
    """The vector of a CLIP of real size, with random weights that lie in a folder."""

    version: ClassVar[int] = 1
    phase: ClassVar[Any] = "embed"
    hosted: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Any]] = {"": Vector(WIDTH)}

    weights: str = knob("")
    log: str = knob("")
    """A file that tells how many clips each batch was."""
    batch: int = knob(BATCH)

    def asks(self) -> Frames:
        """Eight frames of the model's size."""
        return Frames(count=8, size=(224, 224))

    def load(self) -> Any:
        """The vision tower."""
        return model(self.weights)

    def run(self, clips: Sequence[Clip], model: Any) -> Iterable[Row]:
        """The mean over the frames."""
        with Path(self.log).open("a") as file:
            file.write(f"{len(clips)}\n")
        return [{"": row} for row in embedded(model, [clip.frames.pixels for clip in clips if clip.frames is not None])]


def model(weights: str) -> Any:
    """CLIP's vision tower of a folder."""
    from transformers import CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection.from_pretrained(weights).eval()


def embedded(network: Any, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Of clips, uint8 (8, 224, 224, 3) each, the vectors: float32 (n, 512)."""
    import torch

    pixels = torch.from_numpy(np.concatenate(clips)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    with torch.inference_mode():
        found = network(pixel_values=pixels).image_embeds
    return found.reshape(len(clips), -1, WIDTH).mean(1).numpy()


def measures() -> Iterable[Measure]:
    """CPU of builds beside the bare model and a build without it; what is handed over; one video on all cores."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _make(root)
        for count, goal in ((VIDEOS, 1.05), (FEW, 1.10)):
            videos = root / f"videos{count}"
            bare = cpu(lambda v=videos: _child("bare", v, root))
            without = cpu(lambda v=videos: _child("build", v, root, "without"))
            ours = cpu(lambda v=videos: _child("build", v, root, "with"))
            name = f"{count} videos: a build, by the bare model and a build without"
            yield Measure(name, ours, bare + without, goal)
        sizes = [int(line) for line in (root / f"log{VIDEOS}").read_text().split()]
        yield Measure("room in batches, by the clips in them", len(sizes) * BATCH, sum(sizes), 1.25, "clips")
        yield from _handing()
        yield from _bounded(root)
        one, two = (
            median(wall(lambda n=n: _child("one", root / "long", root, str(n))) for _ in range(3)) for n in (1, 2)
        )
        yield Measure("one video on two workers, by one", two, one, 0.65, "s")


def _make(root: Path) -> None:
    """Videos, and weights."""
    from footage import grained, video
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    size = (1280, 720)
    for count in (VIDEOS, FEW):
        (root / f"videos{count}").mkdir()
    (root / "long").mkdir()
    for n in range(VIDEOS):
        path = root / f"videos{VIDEOS}" / f"{n}.mp4"
        video(path, seconds=SECONDS[n % len(SECONDS)], fps=12, size=size, gop=24, crf=23, picture=grained(n, size))
        if n < FEW:
            os.link(path, root / f"videos{FEW}" / path.name)
    video(root / "long" / "a.mp4", seconds=30, fps=24, size=size, gop=48, crf=23, picture=grained(99, size))
    config = CLIPVisionConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
                              patch_size=32, projection_dim=WIDTH)  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(root / "weights")


def _child(*words: object) -> None:
    """Runs this file in a process of its own."""
    here = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(here), str(here.parent), str(here.parent / "tests")])
    command = [sys.executable, "-W", "ignore", "-m", "benches.engine", *map(str, words)]
    env = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=False, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


def _stages(root: Path, videos: Path, kind: str) -> dict[str, Stage]:
    from vbuild.stages.perceptual import Perceptual

    log = str(root / f"log{videos.name.removeprefix('videos')}")
    hosted: dict[str, Stage] = {"embed": ClipEmbedding(weights=str(root / "weights"), log=log)}
    return {"perceptual": Perceptual()} | (hosted if kind == "with" else {})


def _build(videos: Path, root: Path, kind: str) -> None:
    """A build with the model, or without."""
    _run(videos, root / f"store-{videos.name}-{kind}", _stages(root, videos, kind), 2)


def _run(videos: Path, store: Path, stages: Mapping[str, Stage], workers: int) -> None:
    from vbuild.config import Config, Source
    from vbuild.engine import build
    from vbuild.executor.config import Local
    from vbuild.split.fixed_stride import FixedStride

    report = build(
        Config(
            name="d",
            declared="d",
            source=Source(path=(str(videos),)),
            split=FixedStride(length=LENGTH, min=1.0),
            stages=stages,
            executor=Local(workers=workers),
            store=store,
            output=store / "datasets",
        )
    )
    assert report.kept
    assert not report.failures


def _one(videos: Path, root: Path, workers: str) -> None:
    """A build of one video, of what takes its time in a worker."""
    from vbuild.stages.transcode import Transcode

    store = Path(tempfile.mkdtemp(dir=root))
    _run(videos, store, {"transcode": Transcode(codec="libx264")}, int(workers))


def _bare(videos: Path, root: Path) -> None:
    """The model alone: frames in memory, in batches."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    count = sum(int(SECONDS[int(path.stem) % len(SECONDS)] // LENGTH) for path in videos.iterdir())
    chance = np.random.default_rng(0)
    frames = [chance.integers(0, 256, (8, 224, 224, 3), np.uint8) for _ in range(BATCH)]
    network = model(str(root / "weights"))
    for start in range(0, count, BATCH):
        embedded(network, frames[: min(BATCH, count - start)])


def _handing() -> Iterable[Measure]:
    """CPU of both ends of handing over, in milliseconds, by the most that it may be."""
    from vbuild.executor.spool import Outbox, Spool, read_parcel
    from vbuild.stage import Sampled

    shapes = {"clip of 8 x 224 x 224": ((8, 224, 224, 3), 2.0), "window of 64 x 448 x 448": ((64, 448, 448, 3), 45.0)}
    for name, (shape, most) in shapes.items():
        spool, told = Spool(1 << 30), []
        came = threading.Semaphore(0)
        spool.follow(lambda parcel, told=told, came=came: (told.append(parcel), came.release()))
        outbox = Outbox(spool.folder, spool.budget, 0)
        clip = Clip(duration=5.0, frames=Sampled(np.zeros(shape, np.uint8) + 7, np.zeros(shape[0])))

        def over(outbox=outbox, clip=clip, came=came, told=told, spool=spool, shape=shape) -> None:
            for n in range(ROUNDS):
                outbox.send(("r", bytes([n])), b"", 0, 1, shape, (clip, None))
                came.acquire()
                held, _ = read_parcel(spool.folder / told[-1].name)
                assert int(held.frames.pixels.max()) == 7
                spool.drop(told[-1])

        seen = cpu(lambda clip=clip: [int(clip.frames.pixels.max()) for _ in range(ROUNDS)])  # type: ignore[union-attr]
        yield Measure(f"handing over a {name}", (cpu(over) - seen) / ROUNDS * 1000, most, 1.0, "CPU ms")
        spool.close()


def _bounded(root: Path) -> Iterable[Measure]:
    """The most bytes that lay between passes and a model that was slower than they."""
    from vbuild.executor import local, spool

    budget, peaks = 8 << 20, []
    close = spool.Spool.close

    def closing(self: spool.Spool) -> None:
        peaks.append(self.room.peak)
        close(self)

    local.parcels = lambda _: budget  # type: ignore[assignment]
    spool.Spool.close = closing  # type: ignore[method-assign]
    videos = root / f"videos{FEW}"
    _run(videos, root / "bounded", _stages(root, videos, "with"), 2)
    yield Measure("bytes in flight, by the budget", peaks[0], budget, 1.0, "B")


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    began = time.perf_counter()
    {"bare": _bare, "build": _build, "one": _one}[what](*(Path(w) if "/" in w else w for w in rest))
