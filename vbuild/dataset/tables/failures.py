"""The table `failures`: what failed of a build, on which footage, whose fault it was, and where in the code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild import digest
from vbuild.dataset.target import Group, Target
from vbuild.plan.items import NOBODY, State, base_columns, hexed
from vbuild.report import First

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.engine.session import Session
    from vbuild.plan.items import ItemActions, Items
    from vbuild.plan.wiring import Instance

FAILURES = pa.schema(
    [
        pa.field("stage", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("video_id", pa.string()),
        pa.field("clip_id", pa.string()),
        pa.field("start_s", pa.float64()),
        pa.field("end_s", pa.float64()),
        pa.field("kind", pa.string()),
        pa.field("error", pa.string()),
        pa.field("message", pa.string()),
        pa.field("attempts", pa.int64()),
        pa.field("created", pa.timestamp("us", tz="UTC")),
        pa.field("versions", pa.string()),
        pa.field("trace", pa.string()),
    ]
)
"""`stage` is the instance, `source` for a file that could not be read; `kind` is item or program."""

RECORDED = ("kind", "error", "message", "attempts", "created", "versions", "trace")
"""Columns that the store's own record has."""


def failing(session: Session) -> pa.Table:
    """What failed, a row an action and clip or video: as many as the build counts."""
    tables = [FAILURES.empty_table(), _unread(session)]
    for shard in session.shards:
        tables += _of(session, shard.videos, session.order.video_stages)
        tables += _of(session, shard.clips, session.order.clip_stages) if shard.clips is not None else []
    return pa.concat_tables(tables)


def _unread(session: Session) -> pa.Table:
    errors, names = session.identified.errors, session.files.names
    rows = [
        {"stage": "source", "uri": names[row], "kind": "item", "error": "SourceError", "message": e}
        for row, e in sorted(errors.items())
    ]
    return pa.Table.from_pylist(rows, schema=FAILURES)


def failed_rows(session: Session, instance: Instance, actions: ItemActions) -> np.ndarray:
    """The rows whose action failed, or a part of it."""
    failed = (actions.state == State.FAILED) & (actions.keys != NOBODY[0])
    done = np.flatnonzero(actions.state == State.DONE) if instance.stage.partial else np.empty(0, np.int64)
    failed[done] = session.lookup.beside(instance, actions.keys[done])
    return np.flatnonzero(failed)


def _of(session: Session, items: Items, instances: list[Instance]) -> Iterator[pa.Table]:
    for instance in instances:
        actions = items.actions.get(instance.name)
        if actions is None:
            continue
        rows = failed_rows(session, instance, actions)
        if not len(rows):
            continue
        known, record = session.failures.details(instance.recipe.id, actions.keys[rows], RECORDED)
        where = _where(session, items, rows[known])
        columns = {"stage": pa.array([instance.name] * len(record), pa.string())}
        columns |= {name: table[name] for table in (where, record) for name in table.column_names}
        yield pa.table({f.name: columns.get(f.name, pa.nulls(len(record), f.type)) for f in FAILURES}, schema=FAILURES)


def _where(session: Session, items: Items, rows: np.ndarray) -> pa.Table:
    if items.parent is not None:
        return base_columns(items, session.shelf, rows).select(["uri", "video_id", "clip_id", "start_s", "end_s"])
    uris = pa.array([items.names[row] for row in rows.tolist()], pa.string())
    return pa.table({"uri": uris, "video_id": hexed(items.ids[rows])})


def failures_of(failed: pa.Table) -> Target:
    """The table `failures`."""
    blank = pa.scalar("", pa.string())
    who = pc.coalesce(failed["clip_id"], failed["video_id"], failed["uri"]).fill_null(blank)
    keys = pc.binary_join_element_wise(failed["stage"], who, "/").combine_chunks()
    told = failed.select(["uri", "error", "message", "attempts"]).to_pylist()
    digests = np.array([np.void(digest.of("failure", *row.values())) for row in told], "V16")
    group = Group("failures", FAILURES, digests, lambda rows: failed.take(pa.array(rows)))
    return Target("failures", "failure_id", keys, (group,), {})


def firsts(failed: pa.Table) -> list[First]:
    """The first failure of each stage and class of error, those of the program before the others."""
    names = ["kind", "message", "uri", "start_s", "end_s"]
    grouped = failed.combine_chunks().group_by(["stage", "error"], use_threads=False)
    table = grouped.aggregate([("stage", "count"), *((name, "first") for name in names)])
    rows = sorted(table.to_pylist(), key=lambda row: row["kind_first"] != "program")
    return [
        First(row["stage"], row["error"], row["stage_count"], *(row[f"{name}_first"] for name in names)) for row in rows
    ]
