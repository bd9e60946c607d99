"""Turns the actions of a wave that have to run into tasks: a pass for each video, or handfuls of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from av.video.format import VideoFormat

from vbuild.executor.memory import need
from vbuild.executor.work import Job, Span, Task
from vbuild.media.reader import sought
from vbuild.plan.items import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vbuild.plan.items import Items, Shelf
    from vbuild.plan.wiring import Instance
    from vbuild.uris import Seen

SECONDS_A_PASS = 60.0
"""Seconds of one video that a worker decodes in one go at least: a long video thus keeps all cores busy."""

GOPS_A_PASS = 6
"""Keyframes' distances in a pass at least: it decodes from the keyframe before it, which costs 3 % of six."""

PICTURE = ("stream", "bitrate", "pixel_format", "coded_width", "coded_height", "fps", "jumps")
"""What a pass takes from the probe of its video."""

ROWS_A_TASK = 512
"""Actions without footage that travel together."""


def tasks(
    items: Items, missing: Mapping[str, np.ndarray], wave: Sequence[Instance], shelf: Shelf, lanes: int = 1
) -> Iterator[Task]:
    """The tasks of a wave. `missing` holds, by instance, the rows of `items` whose actions have to run, each once.

    Of fewer videos than `lanes`, how many passes can run at once, each is parted, so that nobody idles.
    """
    footage = [i for i in wave if i.stage.asks() is not None]
    for instance in wave:
        if instance.stage.asks() is None:
            yield from _columns(items, instance, missing[instance.name], shelf)
    rows = _union([missing[i.name] for i in footage])
    for part in _passes(items, rows, shelf, lanes):
        uri, probed = _video(items, part[:1], shelf)
        jobs = []
        for instance in footage:
            own = np.flatnonzero(np.isin(part, missing[instance.name]))
            if len(own):
                jobs.append(_job(items, instance, part[own], own, shelf))
        spans = _spans(items, part, shelf)
        bits = VideoFormat(probed["pixel_format"]).padded_bits_per_pixel
        yield Task(
            uri,
            probed["stream"],
            spans,
            tuple(jobs),
            seen=_seen(items, part[0]),
            bitrate=probed["bitrate"],
            fps=probed["fps"],
            through=probed["jumps"] > 0,
            decode=shelf.decode,
            memory=need(jobs, spans, probed["coded_width"], probed["coded_height"], bits, probed["fps"]),
        )


def _seen(items: Items, row: int) -> Seen | None:
    """What the file of a row's video looked like when its bytes were digested."""
    videos = items.parent or items
    return videos.seen[int(row if items.parent is None else items.place[row])]


def _union(columns: Sequence[np.ndarray]) -> np.ndarray:
    """All rows that occur, in order."""
    return np.unique(np.concatenate([np.empty(0, np.int64), *columns])).astype(np.int64)


def _passes(items: Items, rows: np.ndarray, shelf: Shelf, lanes: int) -> Iterator[np.ndarray]:
    """Rows in groups of one video each, in order of time, each of as much footage as a pass is worth."""
    if not len(rows):
        return
    if items.parent is None:
        yield from np.split(rows, len(rows))
        return
    order = np.lexsort((items.end_pts[rows], items.start_pts[rows], items.place[rows]))
    rows = rows[order]
    borders = np.flatnonzero(np.diff(items.place[rows])) + 1
    groups = np.split(rows, borders)
    for group in groups:
        starts = items.start_pts[group]
        ticks = _ticks_a_pass(items, group, shelf, -(-lanes // len(groups)))
        yield from np.split(group, np.flatnonzero(np.diff((starts - starts[0]) // ticks)) + 1) if ticks else [group]


def _ticks_a_pass(items: Items, group: np.ndarray, shelf: Shelf, parts: int) -> int | None:
    """How long a pass over the rows of one video is, in ticks; None if it is read through, wherever a pass begins.

    A minute, or six distances of keyframes, or less if so many parts are wanted; but one distance at least.
    """
    fields = ["container", "codec", "pixel_format", "jumps", "keyframes", "duration", "time_base_num", "time_base_den"]
    (probed,) = shelf.take(items, "probe", fields, group[:1]).to_pylist()
    if probed["jumps"] or not sought(probed["container"], probed["codec"], probed["pixel_format"]):
        return None
    a_second = probed["time_base_den"] / probed["time_base_num"]
    gop = probed["duration"] / max(probed["keyframes"], 1) * a_second
    most = max(SECONDS_A_PASS * a_second, GOPS_A_PASS * gop)
    span = int(items.end_pts[group].max() - items.start_pts[group].min())
    ticks: int = round(max(min(most, span / parts), gop) if parts > 1 else most)
    return max(1, ticks)


def _columns(items: Items, instance: Instance, rows: np.ndarray, shelf: Shelf) -> Iterator[Task]:
    """Tasks that ask nothing of the footage; a stage that opens the file itself gets one video a task."""
    opens = items.parent is None and not instance.ports
    size = 1 if opens else ROWS_A_TASK
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        uri = items.uris[part[0]] if opens else instance.name
        spans = tuple(Span(0, 0, 0.0) for _ in part)
        seen = _seen(items, part[0]) if opens else None
        yield Task(uri, 0, spans, (_job(items, instance, part, np.arange(len(part)), shelf),), seen=seen)


def _job(items: Items, instance: Instance, rows: np.ndarray, spans: np.ndarray, shelf: Shelf) -> Job:
    keys = items.actions[instance.name].keys[rows]
    assert not (keys == NOBODY[0]).any()
    return Job(
        instance.recipe.id,
        instance.held,
        tuple(spans.tolist()),
        tuple(map(bytes, keys.tolist())),
        tuple(map(bytes, items.ids[rows].tolist())),
        shelf.values(items, instance.ports, rows),
    )


def _video(items: Items, row: np.ndarray, shelf: Shelf) -> tuple[str, dict[str, Any]]:
    """The path of the video of a row, and what the probe says of its pictures."""
    videos = items.parent or items
    place = row if items.parent is None else items.place[row]
    (probed,) = shelf.take(items, "probe", list(PICTURE), row).to_pylist()
    return videos.uris[int(place[0])], probed


def _spans(items: Items, rows: np.ndarray, shelf: Shelf) -> tuple[Span, ...]:
    """The spans of some rows: of clips their own, of videos all of them."""
    probed = shelf.take(items, "probe", ["time_base_num", "time_base_den", "start_pts", "end_pts"], rows)
    tick = probed["time_base_num"].to_numpy() / probed["time_base_den"].to_numpy()
    if items.parent is None:
        start, end = probed["start_pts"].to_numpy(), probed["end_pts"].to_numpy()
    else:
        start, end = items.start_pts[rows], items.end_pts[rows]
    columns = (start.tolist(), end.tolist(), ((end - start) * tick).tolist())
    return tuple(Span(*span) for span in zip(*columns, strict=True))
