"""One pass for three consumers, beside three passes and a bare decode; and the memory that a long video takes."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import av

from benches.measure import Measure, cpu
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Frames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.stage import Request

ROUNDS = 5

LENGTH = 10
"""Seconds a clip."""

CONSUMERS: dict[str, Request] = {
    "tiny": Frames(every=True, size=(48, 27)),
    "pairs": Frames(fps=2, short_side=256, pairs=True, format="gray"),
    "eight": Frames(count=8, size=(224, 224)),
}
"""A shot detector's, a flow's and an embedder's."""

SIZES = {"360p": ((640, 360), 1.45), "480p": ((854, 480), 1.45), "720p": ((1280, 720), 1.30)}
"""Size → width and height, and the most that a pass may cost of a bare decode."""


def measures() -> Iterator[Measure]:
    """CPU of decodes in turn, the median of each; then peak memory."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    from footage import grained, video

    with tempfile.TemporaryDirectory() as folder:
        for name, (size, most) in SIZES.items():
            path = video(Path(folder) / f"{name}.mp4", seconds=30, size=size, gop=48, crf=23, picture=grained(1, size))
            clips = cuts(path, CONSUMERS)
            each = [cuts(path, {name: request}) for name, request in CONSUMERS.items()]
            once, thrice, bare = [], [], []
            for _ in range(ROUNDS):
                once.append(cpu(partial(consume, path, clips)))
                thrice.append(sum(cpu(partial(consume, path, one)) for one in each))
                bare.append(cpu(partial(decode, path)))
            yield Measure(f"{name}: one pass, by three", median(once), median(thrice), 0.45)
            yield Measure(f"{name}: one pass, by a bare decode", median(once), median(bare), most)
        short = video(Path(folder) / "short.mp4", seconds=20, fps=12, size=(1920, 1080), gop=48, seed=2)
        long = video(Path(folder) / "long.mp4", seconds=160, fps=12, size=(1920, 1080), gop=48, seed=2)
        yield Measure("1080p: peak memory of 160 s, by 20 s", peak(long), peak(short), 1.1, "MiB")


def cuts(path: Path, requests: dict[str, Request]) -> list[Cut]:
    """Clips of ten seconds over the whole of a video."""
    found = probe(str(path))
    step = int(LENGTH / Fraction(found.time_base_num, found.time_base_den))
    starts = range(found.start_pts, found.end_pts, step)
    return [Cut(start, min(start + step, found.end_pts), requests) for start in starts]


def consume(path: Path, clips: list[Cut]) -> None:
    """Decodes a video once for the requests on its clips, and drops what they get."""
    assert sum(taken.frames for taken in footage(str(path), 0, clips))


def decode(path: Path) -> None:
    """Decodes a video with PyAV alone, on one thread."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        assert sum(1 for _ in container.decode(video=0))


def peak(path: Path) -> float:
    """MiB that a fresh process holds at most while it decodes a video for all consumers."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (path,))


def _peak(path: Path) -> float:
    consume(path, cuts(path, CONSUMERS))
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
