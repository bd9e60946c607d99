"""The table `videos`: every file of the source, what its probe found, and what lists say beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vbuild import digest
from vbuild.dataset.tables.columns import columns_of, shown_results
from vbuild.dataset.tables.unclipped import LOST, why_empty
from vbuild.dataset.target import Group, Target
from vbuild.fields import Kind, Scalar
from vbuild.plan.items import State
from vbuild.plan.wiring import SPLIT, Instance
from vbuild.source.lists import column_name
from vbuild.values import value_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbuild.engine.session import Session
    from vbuild.plan.items import Items
    from vbuild.source import Listing
    from vbuild.stage import Stage


VIDEOS = pa.schema(
    [
        pa.field("video_id", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("container", pa.string()),
        pa.field("codec", pa.string()),
        pa.field("pixel_format", pa.string()),
        pa.field("w", pa.int64()),
        pa.field("h", pa.int64()),
        pa.field("rotation", pa.int64()),
        pa.field("fps", pa.float64()),
        pa.field("vfr", pa.bool_()),
        pa.field("interlaced", pa.bool_()),
        pa.field("duration", pa.float64()),
        pa.field("frames", pa.int64()),
        pa.field("stream", pa.int64()),
        pa.field("time_base_num", pa.int64()),
        pa.field("time_base_den", pa.int64()),
        pa.field("start_pts", pa.int64()),
        pa.field("end_pts", pa.int64()),
        pa.field("bitrate", pa.int64()),
        pa.field("audio", pa.string()),
        pa.field("clips", pa.int64()),
        pa.field("status", pa.string()),
        pa.field("error", pa.string()),
        pa.field("remark", pa.string()),
    ]
)
"""`status`: ok; warning (see `remark`, or `error` for a stage of whole videos that failed); empty (no clip came of it,
and `error` says why); or failed (`error`). `remark` is what the probe says of a file that can be used."""

SAME = (
    *("container", "codec", "pixel_format", "rotation", "fps", "vfr", "interlaced", "duration", "frames"),
    *("stream", "time_base_num", "time_base_den", "start_pts", "end_pts", "bitrate", "audio", "remark"),
)
"""Columns that are the probe's own fields."""


def listed(files: Listing, stages: Mapping[str, Stage]) -> pa.Table | None:
    """What lists say, a row a file, as `videos` has it: a column that is called as another there is `list_<name>`."""
    table = files.columns()
    if table is None:
        return None
    videos = [Instance(name, stage) for name, stage in stages.items() if stage.scope == "video"]
    kept = [i for i in videos if any(kind.blob for kind in i.writes.values())]
    taken = {"uri", "row_digest", *VIDEOS.names, *(f.name for i in kept for f in columns_of(i))}
    names = map(column_name, table.column_names)
    table = table.rename_columns([f"list_{name}" if name in taken else name for name in names])
    for place, f in enumerate(table.schema):
        if pa.types.is_null(f.type):
            table = table.set_column(place, f.name, table[f.name].cast(pa.string()))
    return table


KINDS: Mapping[str, Kind] = {"double": Scalar("float64"), "date32[day]": Scalar("date32")} | {
    name: Scalar(name) for name in ("string", "int64", "bool", "timestamp[s]")
}
"""Type of a list's column → as stages have it."""


def kinds(table: pa.Table | None) -> dict[str, Kind]:
    """The columns of lists that conditions may name, with their types."""
    return {f.name: KINDS[str(f.type)] for f in (table.schema if table else ()) if str(f.type) in KINDS}


def _kept(session: Session) -> list[Instance]:
    """The stages of whole videos that keep files: their columns stand in `videos`."""
    return [i for w in session.order.video for i in w.stages if any(kind.blob for kind in i.writes.values())]


def videos_of(session: Session) -> Target:
    """The table `videos`."""
    schema = pa.schema([*VIDEOS, *(f for i in _kept(session) for f in columns_of(i))])
    rows = [_video(session, n, probed) for n, probed in enumerate(_probed(session))]
    digests = [np.void(digest.of("video", row)) for row in rows]

    def values(wanted: np.ndarray) -> pa.Table:
        return pa.Table.from_pylist([rows[n] for n in wanted.tolist()], schema=schema)

    group = Group("video", schema, np.array(digests, "V16"), values)
    groups = (group, *_listed(session))
    return Target("videos", "uri", pa.array(session.files.names, pa.string()), groups, {"uri": "scalar"})


def _listed(session: Session) -> Iterator[Group]:
    """The columns that lists have beside the paths."""
    table = session.listed
    if table is None:
        return
    said = (json.dumps(row, default=str) for row in table.to_pylist())
    digests = np.array([np.void(digest.of("listed", row)) for row in said], "V16")
    yield Group("list", table.schema, digests, lambda rows: table.take(pa.array(rows)))


def _probed(session: Session) -> list[dict[str, Any] | str]:
    """Per file of the listing, what its probe found with its number of clips, or why there is nothing."""
    known: dict[bytes, dict[str, Any] | str] = {}
    for shard in session.shards:
        videos = shard.videos
        names = [*SAME, "width", "height"]
        table = session.shelf.take(videos, "probe", [value_column(n) for n in names])
        clips = np.bincount(shard.clips.place, minlength=len(videos)) if shard.clips else np.zeros(len(videos))
        split = videos.states(SPLIT) == State.DONE
        if set(LOST) <= session.order.split.writes.keys():
            lost = session.shelf.take(videos, SPLIT, [value_column(n) for n in LOST])
            table = pa.table([*table.columns, *lost.columns], names=[*table.column_names, *lost.column_names])
        for instance in _kept(session):
            kept = shown_results(session, videos, instance)
            table = pa.table([*table.columns, *kept.columns], names=[*table.column_names, *kept.column_names])
        for n, row in enumerate(table.to_pylist()):
            why = _failure(session, videos, n)
            record = {**row, "error": why, "clips": int(clips[n])}
            known[bytes(videos.ids[n].item())] = record if split[n] else why or f"{SPLIT} was not reached"
    errors = session.identified.errors
    ids = session.identified.ids.tolist()
    return [errors[n] if n in errors else known[bytes(ids[n])] for n in range(len(ids))]


def _failure(session: Session, videos: Items, row: int) -> str | None:
    """Why a video came to nothing: what its probe, a stage of whole videos, or its split said."""
    for instance in session.order.video_stages:
        actions = videos.actions[instance.name]
        why = session.lookup.undone.actions.get((instance.recipe.id, bytes(actions.keys[row].item())))
        if why is not None:
            return f"{instance.name} waits for the next build: {why.message}"
        if actions.state[row] == State.FAILED:
            known = session.failures.lookup(instance.recipe.id, actions.keys[row : row + 1])
            for failure in known.values():
                return failure.message if instance.name == "probe" else f"{instance.name}: {failure.message}"
    return None


def _video(session: Session, n: int, probed: dict[str, Any] | str) -> dict[str, Any]:
    """One row of `videos`."""
    row: dict[str, Any] = dict.fromkeys(VIDEOS.names)
    row["size"] = max(session.files.sizes[n], 0)
    if n not in session.identified.errors:
        row["video_id"] = bytes(session.identified.ids[n].item()).hex()
    if isinstance(probed, str):
        return {**row, "clips": 0, "status": "failed", "error": probed}
    row |= {name: probed[name] for name in (*SAME, *(f.name for i in _kept(session) for f in columns_of(i)))}
    row |= {"w": probed["width"], "h": probed["height"], "clips": probed["clips"], "error": probed["error"]}
    row["status"] = "warning" if probed["error"] or probed["remark"] else "ok"
    if not probed["clips"]:
        row["status"] = "empty"
        row["error"] = row["error"] or why_empty(session.order.split.stage, probed)
    return row
