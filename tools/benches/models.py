"""Models of real size with random weights: builds with them beside the bare models, here and on a GPU if there is one.

Sizes follow VBUILD_BENCH_VIDEOS (20): videos of 10 to 30 s, 4 clips each in the mean. SigLIP 2, which is four times as
dear, sees a third of them.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benches.measure import Measure, cpu, wall
from benches.weights import MADE, TOKENS, stage_of, talker
from vbuild import Clip, Frames, Row, Stage, knob
from vbuild.stage import Sampled, Stretch
from vbuild.stages.ask import Ask

COUNT = int(os.environ.get("VBUILD_BENCH_VIDEOS", "20"))
BATCH = 16
LENGTH = 5.0
"""Seconds a clip."""

SECONDS = (10, 15, 20, 25, 30)
"""Of the videos, in turn."""

ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Taken(Stage):
    """How bright the frames are that a model would be given: what it costs to have them."""

    version: ClassVar[int] = 1
    phase: ClassVar[Any] = "embed"
    dear: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Any]] = {"": "float32"}

    side: int = 224

    def asks(self) -> Frames:
        """Eight frames of the model's size."""
        return Frames(count=8, size=(self.side, self.side), kernel="bicubic", fit="squash")

    def run(self, clips: Sequence[Clip], model: object) -> Iterable[Row]:  # noqa: ARG002
        """Looks at each."""
        return [{"": float(clip.frames.pixels.mean())} for clip in clips if clip.frames is not None]


def measures() -> Iterable[Measure]:
    """CPU of builds beside bare models, tokens a second beside bare `generate`, and a GPU's figures if there is one."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _footage(root)
        for name, count in (("clip-b32", COUNT), ("siglip2-base", max(COUNT // 3, 1))):
            MADE[name](root / name)
            yield from _embedded(root, name, count)
        for kind in ("qwen3_vl", "smolvlm"):
            (root / kind).mkdir()
            talker(root / kind, kind)
            yield from _said(root, kind)
        yield from _on_gpu(root)


# footage and weights


def _footage(root: Path) -> None:
    from footage import grained, video
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()
    (root / "videos").mkdir()
    size = (1280, 720)
    for n in range(COUNT):
        path, first = root / "videos" / f"{n}.mp4", root / "videos" / f"{n % len(SECONDS)}.mp4"
        if n < len(SECONDS):
            video(path, seconds=SECONDS[n], fps=12, size=size, gop=24, crf=23, picture=grained(n, size))
        else:  # the same pictures in another file, by a box that says nothing
            path.write_bytes(first.read_bytes() + struct.pack(">I4sI", 12, b"free", n))


def _clips(count: int) -> int:
    """Clips of the first so many videos, in the order of their names."""
    names = sorted(range(COUNT), key=lambda n: f"{n}.mp4")[:count]
    return sum(int(SECONDS[n % len(SECONDS)] // LENGTH) for n in names)


# on the processor


def _embedded(root: Path, name: str, count: int) -> Iterator[Measure]:
    """A build with an encoder, beside the bare one and a build that takes the same frames.

    Both begin with nothing: each has its interpreter, its imports and the model's load, and the bare one those of the
    whole package too.
    """
    looped: list[float] = []
    bare = cpu(lambda: looped.append(float(_child("bare", root, name, _clips(count)))))
    without = cpu(lambda: _child("build", root, "without", "cpu", count))
    ours = cpu(lambda: _child("build", root, name, "cpu", count))
    log = _logged(root, name)
    yield Measure(f"{name}: {_clips(count)} clips, by bare model and decode", ours, bare + without, 1.05)
    yield Measure("  of that the bare model", bare, bare + without, None)
    yield Measure("  its batches, by the bare model's", sum(one.spent for one in log), looped[0], None)
    sizes = [one.clips for one in log]
    fewest = -(-sum(sizes) // BATCH)
    yield Measure("  batches, by as few as hold the clips", len(sizes), fewest, 1.25, "batches")


def _said(root: Path, kind: str) -> Iterator[Measure]:
    """What a token costs of a captioner as a stage runs it, by `generate` alone on inputs that are made.

    In CPU seconds of one thread, which are those of the clock where nothing else runs.
    """
    import torch

    from vbuild.models import generation

    torch.set_num_threads(1)
    stage: Any = stage_of(root, kind, batch=8, device="cpu")
    network = stage.load()
    clips = _shown(network.family.size(112, 199), 8, 8)
    network.model.generation_config.eos_token_id = -1  # none is an end, so that all rows are as long
    from vbuild.models.messages import Prompt
    from vbuild.watching import seen

    inputs = network.inputs([Prompt(stage.asked(), seen(clip)) for clip in clips])

    def ours() -> int:
        return sum(row[""].tokens for row in stage.run(clips, network))

    def bare() -> int:
        with torch.inference_mode():
            said = network.model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
        return int((said.shape[1] - inputs["input_ids"].shape[1]) * len(said))

    generation.quiet()
    assert ours() == bare() == TOKENS * len(clips)
    spent = [(cpu(ours), cpu(bare)) for _ in range(ROUNDS)]
    mine, theirs = (min(one[n] for one in spent) / (TOKENS * len(clips)) * 1000 for n in (0, 1))
    yield Measure(f"{kind}: a token of 8 windows, by bare generate", mine, theirs, 1 / 0.95, "CPU ms")
    yield _asked(network, kind)


def _shown(size: tuple[int, int], frames: int, count: int) -> list[Clip]:
    """Windows of so many frames each, two a second, of noise."""
    chance, lasts = np.random.default_rng(0), frames / 2
    made = [Sampled(chance.integers(0, 256, (frames, *size, 3), np.uint8), np.arange(frames) / 2) for _ in range(count)]
    return [Clip(duration=lasts, frames=one, window=Stretch(0, 0.0, lasts)) for one in made]


def _asked(network: Any, kind: str) -> Measure:
    """What five questions cost beside the same ones asked one by one."""
    clips = _shown(network.family.size(252, 448), 16, 4)
    stages = [Ask(questions={f"q{n}": f"Is there a thing of kind {n}?" for n in some}) for some in (range(5), [0])]
    together, alone = (min(cpu(lambda s=s: s.run(clips, network)) for _ in range(ROUNDS)) for s in stages)
    return Measure(f"{kind}: 5 questions of 4 windows, by one at a time", together, 5 * alone, 0.5)


# on a GPU

GPU = ("siglip2-base", "siglip2-so400m", "clip-l14", "vjepa2-l", "transnetv2", "captioner-3b")


def _on_gpu(root: Path) -> Iterator[Measure]:
    """Clips a second of builds by those of the bare models on the same card, and how long it stood still."""
    import torch

    if not torch.cuda.is_available():
        print(f"no GPU here: {', '.join(GPU)} are not measured")
        return
    for name in GPU:
        if name in MADE and not (root / name).exists():
            MADE[name](root / name)
        for device in ("cpu", "cuda"):
            _child("build", root, name, f"gpu-{device}")
            log = _logged(root, name)
            count, busy = sum(one.clips for one in log), sum(one.end - one.began for one in log)
            whole = max(one.end for one in log) - min(one.began for one in log)
            bare = float(_child("rate", root, name))
            yield Measure(
                f"{name}, decoded by {device}: bare clips/s, by a build's", bare, count / whole, 1 / 0.9, "1/s"
            )
            yield Measure("  time of the batches, by the card's", whole, busy, 1 / 0.9, "s")


# what runs in processes of their own


def _child(*words: object) -> str:
    """Runs this file in a process of its own, and returns what it prints."""
    here = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(here), str(here.parent), str(here.parent / "tests")])
    command = [sys.executable, "-W", "ignore", "-m", "benches.models", *map(str, words)]
    env = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _watched(stage: Stage, log: Path) -> Stage:
    """The same stage, that notes of each batch how many there were, when it began and ended, and what it cost."""
    own = type(stage)

    def run(self: Any, clips: Sequence[Clip], model: Any) -> list[Any]:
        began, spent = time.time(), time.process_time()
        rows = [*own.run(self, clips, model)]
        with Path(self.log).open("a") as file:
            file.write(f"{len(clips)} {began} {time.time()} {time.process_time() - spent}\n")
        return rows

    told = {"__module__": __name__, "run": run, "version": own.version, "title": classmethod(lambda _: own.title())}
    made = make_dataclass("Watched", [("log", str, knob(""))], bases=(own,), frozen=True, kw_only=True, namespace=told)
    return made(**{f.name: getattr(stage, f.name) for f in fields(stage)}, log=str(log))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Batch:
    """One batch of a build."""

    clips: int
    began: float
    end: float
    spent: float
    """CPU seconds of its process."""


def _logged(root: Path, name: str) -> list[Batch]:
    """The batches of the last build."""
    lines = [line.split() for line in (root / f"{name}.log").read_text().splitlines()]
    return [Batch(int(count), *map(float, rest)) for count, *rest in lines]


def _build(root: Path, name: str, where: str = "cpu", count: str = str(COUNT)) -> None:
    """A build of so many videos, of a store of its own; of a GPU with the decoder that is named."""
    from vbuild.config import Config, Source
    from vbuild.engine import build
    from vbuild.executor.config import Local
    from vbuild.split.fixed_stride import FixedStride
    from vbuild.stage import Decode

    (root / f"{name}.log").unlink(missing_ok=True)
    on = {"device": "cpu"} if where == "cpu" else {}
    stage = Taken() if name == "without" else _watched(stage_of(root, name, batch=BATCH, **on), root / f"{name}.log")
    store = Path(tempfile.mkdtemp(dir=root))
    report = build(
        Config(
            name="d",
            declared="d",
            source=Source(path=(str(root / "videos"),), limit=int(count)),
            split=FixedStride(length=LENGTH, min=1.0),
            stages={"model": stage},
            executor=Local(workers=None if where != "cpu" else 2),
            decode=Decode(device="cuda" if where == "gpu-cuda" else "cpu"),
            store=store,
            output=store / "datasets",
        )
    )
    assert report.kept
    assert not report.failures


def _bare(root: Path, name: str, clips: str) -> None:
    """The model alone, by transformers: frames in memory, in batches. Prints the CPU seconds of these."""
    import torch
    from transformers import AutoModel

    torch.set_num_threads(os.cpu_count() or 1)
    network = AutoModel.from_pretrained(root / name, dtype=torch.float32).eval()
    chance = np.random.default_rng(0)
    frames = torch.from_numpy(chance.integers(0, 256, (BATCH * 8, 224, 224, 3), np.uint8))
    count, spent = int(clips), time.process_time()
    with torch.inference_mode():
        for start in range(0, count, BATCH):
            some = frames[: 8 * min(BATCH, count - start)].permute(0, 3, 1, 2)
            found = network.get_image_features(pixel_values=some.float().div_(127.5).sub_(1)).pooler_output
            torch.nn.functional.normalize(found, dim=-1).reshape(-1, 8, found.shape[-1]).mean(1).numpy()
    print(time.process_time() - spent)


def _rate(root: Path, name: str) -> None:
    """Prints the clips a second of a model on the GPU, by its stage's `run` on clips that lie in memory."""
    stage: Any = stage_of(root, name, batch=BATCH, device="cuda")
    model = stage.load()
    asked = stage.asks()
    wide, high = asked.size or (199, asked.short_side)
    count = 100 if name == "transnetv2" else asked.count or int(LENGTH * asked.fps)
    chance = np.random.default_rng(0)
    frames = [
        Sampled(chance.integers(0, 256, (count, high, wide, 3), np.uint8), np.arange(count)) for _ in range(BATCH)
    ]
    clips = [Clip(duration=LENGTH, frames=one, window=Stretch(0, 0.0, LENGTH)) for one in frames]
    for _ in range(3):
        list(stage.run(clips, model))
    print(BATCH / min(wall(lambda: list(stage.run(clips, model))) for _ in range(ROUNDS)))


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    {"bare": _bare, "build": _build, "rate": _rate}[what](Path(folder), *rest)
