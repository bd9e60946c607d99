"""How much memory workers may take together, and how much a task takes: of those that take much, fewer run at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vbuild.media.pixels import target_size
from vbuild.models.identity import locate
from vbuild.stage import Frames, Sound, named_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vbuild.executor.work import Job, Span
    from vbuild.stage import Stage

SHARE = 0.75
"""Of the memory that there is, what workers may take if nobody says otherwise."""

WORKER = 230 << 20
"""Bytes of a worker with the libraries it loads, before the first frame: 217 MB were measured."""

DECODER = 24
"""Frames that a decoder and the pass hold: 17 in a decoder at most, and some in graphs and on the way."""

WORKING = 1.3
"""How many times its weights a model takes that runs."""

CONTROL = ("memory.max", "memory.high", "memory.limit_in_bytes")
"""Where Linux tells what a group of processes may take; `max` stands for no limit."""


def budget(gib: float | None) -> int:
    """Bytes that all workers may take together: so many GiB, or a share of what this machine or container has."""
    return round(gib * (1 << 30)) if gib is not None else round(SHARE * available())


def parcels(memory: int) -> int:
    """Bytes of a budget that may lie between passes and models."""
    return min(1 << 30, memory // 8)


def fits(stages: Sequence[Stage], room: Callable[[], int]) -> bool:
    """Whether models are held together in so many bytes, which are asked for only where models have any."""
    held = sum(map(_weights, stages)) * WORKING
    return not held or held <= room()


def _weights(stage: Stage) -> int:
    """Bytes of a stage's models."""
    return stage.model_bytes() + sum(locate(*named).size for named in named_weights(stage).values())


def available(root: Path = Path("/")) -> int:
    """Bytes of memory that this process may use: what the machine has, or less where a control group says so."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """The limits of the control groups (version 2, then 1) that this process is in, from its own to the outermost."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = root / "sys/fs/cgroup" / controllers
        inner = top / group.lstrip("/")
        for folder in (inner, *(p for p in inner.parents if p.is_relative_to(top))):
            for name in CONTROL:
                try:
                    yield int((folder / name).read_text())
                except (OSError, ValueError):
                    continue


def need(jobs: Sequence[Job], spans: Sequence[Span], width: int, height: int, bits: int, fps: float | None) -> int:
    """Bytes that a pass takes beside a bare worker: what the decoder, the samples and the encoders of its clips hold.

    `width` and `height` are those of the pictures as coded, `bits` what a pixel of them takes, `fps` their rate.
    """
    at_once = _at_once(spans)
    total = DECODER * width * height * bits / 8
    for job in jobs:
        total += at_once * job.stage.holds(width, height)
        if not job.stage.sink:
            waiting = min(len(job.spans), at_once + (0 if job.stage.hosted else job.stage.batch))
            total += waiting * max(_sampled(job, spans[row].duration, (width, height), fps) for row in job.spans)
    return round(total)


def _at_once(spans: Sequence[Span]) -> int:
    """How many clips of a pass are open together at most."""
    ends: list[int] = []
    most = 1
    for span in sorted(spans, key=lambda s: s.start_pts):
        ends = [end for end in ends if end > span.start_pts] + [span.end_pts]
        most = max(most, len(ends))
    return most


def _sampled(job: Job, seconds: float, shown: tuple[int, int], fps: float | None) -> float:
    """Bytes of what a stage that is no sink is given of a clip."""
    request = job.stage.asks()
    if isinstance(request, Sound):
        return seconds * request.rate * request.channels * 4
    if not isinstance(request, Frames):
        return 0.0
    width, height = target_size(request, shown)
    rate = fps or 0.0 if request.every else request.fps or 0.0
    if request.windows is not None:
        seconds = min(seconds, request.windows.longest(fps))
    count = request.count or seconds * rate + 1
    return count * width * height * (3 if request.format == "rgb24" else 1) * (2 if request.pairs else 1)
