"""Cuts of videos, what passes find in them, and what clips' files look and sound like."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

import av
import numpy as np
from footage import number_of

from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Clip, Frames
from vbuild.stages.transcode import Transcode

RATE = 48_000

EVERY = Frames(every=True, size=(128, 96), format="gray")


def cuts_of(path: Path, bounds: list[float], **requests) -> list[Cut]:
    """Cuts between moments of a video, in seconds from its first frame."""
    found = probe(str(path))
    base = Fraction(found.time_base_num, found.time_base_den)
    ticks = [found.start_pts + ceil(Fraction(str(b)) / base) for b in bounds]
    return [Cut(a, b, requests) for a, b in pairwise(ticks)]


def numbers(path: Path, cuts: list[Cut], name: str = "all") -> list[list[int]]:
    """The numbers of the frames of each cut."""
    return [[number_of(p) for p in taken.samples[name].pixels] for taken in footage(str(path), 0, cuts)]


def flashes(path):
    """Seconds at which the picture turns white."""
    with av.open(str(path)) as container:
        found = [
            (float(f.pts * f.time_base), f.to_ndarray(format="gray").mean() > 200) for f in container.decode(video=0)
        ]
    return [time for n, (time, white) in enumerate(found) if white and (n == 0 or not found[n - 1][1])]


def samples(path):
    """All sound of a file as (first second, float32 (n,)) on the file's clock."""
    pieces, start = [], None
    with av.open(str(path)) as container:
        base = container.streams.audio[0].time_base
        for frame in container.decode(audio=0):
            if frame.pts is None:
                continue
            start = float(frame.pts * base) if start is None else start
            data = frame.to_ndarray().astype(np.float32)
            pieces.append(data[0] / (32768 if frame.format.name.startswith("s16") else 1))
    return start, np.concatenate(pieces)


def beeps(path):
    """Seconds at which a loud tone begins: where the power of a millisecond first rises."""
    start, wave = samples(path)
    loud = np.convolve(wave**2, np.ones(48) / 48, "same") > 0.05
    edges = np.flatnonzero(loud[1:] & ~loud[:-1])
    return [start + edge / RATE for n, edge in enumerate(edges) if n == 0 or edge - edges[n - 1] > RATE // 4]


def cut(path, folder, span, **params):
    """The row of a span of seconds of a video."""
    stage, found = Transcode(**params), probe(str(path))
    ticks = found.time_base_den / found.time_base_num
    first, last = (found.start_pts + round(second * ticks) for second in span)
    sink = stage.open(Clip(duration=(last - first) / ticks, start=first / ticks, fps=found.fps, scratch=folder), None)
    (row,) = (
        sink.close()
        for _ in footage(
            str(path), found.stream, [Cut(first, last, sinks={"": (stage.asks(), sink)})], through=found.jumps > 0
        )
    )
    return row
