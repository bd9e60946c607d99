"""Brings the tables of a dataset to what they shall hold, writing what differs and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild.dataset.indexes import bring_indexes
from vbuild.digest import SIZE, column_of, keys_of
from vbuild.store import lances

if TYPE_CHECKING:
    from pathlib import Path

    from vbuild.dataset.target import Group, Target

DIGESTS = "row_digest"
"""The column that holds, of each row, a digest of each group of columns."""

BUILDS = "builds"


@dataclass(frozen=True)
class Committed:
    """What a commit did."""

    versions: dict[str, int]
    """Table → its version now."""
    changed: dict[str, dict[str, int]]
    """Table that changed → rows added, updated, deleted."""
    build: str | None
    """The id of the build; None if there was nothing to commit."""


@dataclass
class Change:
    """What was done to one table."""

    added: int = 0
    updated: int = 0
    deleted: int = 0
    columns: set[str] = field(default_factory=set)
    """Columns that were written anew in rows that were there."""
    reshaped: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.updated or self.deleted or self.reshaped)


def commit(folder: Path, targets: Sequence[Target], build: Mapping[str, Any]) -> Committed:
    """Brings tables to their targets and, if anything changed, adds the build to `builds`, which is the commit.

    `build` holds the row's id, time, config, recipes, counts, seconds and versions. The difference is taken from what
    the tables hold now, so a commit that was cut short is finished by the next. Every version is tagged with the build.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed: dict[str, dict[str, int]] = {}
    versions: dict[str, int] = {}
    for target in targets:
        path = folder / f"{target.table}.lance"
        change = _bring(path, target)
        if change or (len(target.keys) and not _has_indexes(path, target)):
            bring_indexes(path, target.indexes, change.columns, grown=bool(change.added))
            changed[target.table] = {"added": change.added, "updated": change.updated, "deleted": change.deleted}
        versions[target.table] = lance.dataset(str(path)).version
    if not changed and _last_versions(folder) == versions:
        return Committed(versions, changed, None)
    row = {name: json.dumps(v) if isinstance(v, Mapping) else v for name, v in build.items()}
    table = pa.Table.from_pylist([{**row, "tables": json.dumps(versions)}], schema=BUILDS_SCHEMA)
    lances.append(folder / f"{BUILDS}.lance", table)
    for name, version in versions.items():
        lance.dataset(str(folder / f"{name}.lance")).tags.create(build["id"], version)
    return Committed(versions, changed, build["id"])


BUILDS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("config", pa.string()),
        pa.field("recipes", pa.string()),
        pa.field("counts", pa.string()),
        pa.field("seconds", pa.float64()),
        pa.field("versions", pa.string()),
        pa.field("tables", pa.string()),
    ]
)
"""`config`, `recipes`, `counts`, `versions` (of libraries) and `tables` (table → version) are JSON."""


def last_build(folder: Path) -> dict[str, Any] | None:
    """The newest row of `builds`, its JSON read; None before the first build."""
    dataset = lances.opened(folder / f"{BUILDS}.lance")
    if dataset is None or not (rows := dataset.count_rows()):
        return None
    return read_build(dataset.take([rows - 1]).to_pylist()[0])


def read_build(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `builds` with its JSON read."""
    read = ("config", "recipes", "counts", "versions", "tables")
    return {name: json.loads(value) if name in read else value for name, value in row.items()}


def _last_versions(folder: Path) -> dict[str, int] | None:
    build = last_build(folder)
    return None if build is None else build["tables"]


def _bring(path: Path, target: Target) -> Change:
    """Brings one table to its target; says what was done."""
    dataset = lances.opened(path)
    if dataset is None:
        lances.append(path, _rows(target, np.arange(len(target.keys)), None))
        return Change(added=len(target.keys), reshaped=True)
    change = Change()
    _delete(dataset, target, change)
    _reshape(dataset, target, change)
    places = _places(dataset, target)
    held = dataset.to_table(columns=[DIGESTS])[DIGESTS].combine_chunks()
    there = np.flatnonzero(places >= 0)
    digests = {g.name: keys_of(held.field(g.name))[places[there]].copy() for g in target.groups}
    touched = np.zeros(len(there), bool)
    for group in target.groups:
        differs = digests[group.name] != group.digests[there]
        if differs.any():
            digests[group.name][differs] = group.digests[there][differs]
            _update(dataset, target, group, there[differs], {name: d[differs] for name, d in digests.items()})
            change.columns |= set(group.schema.names)
            touched |= differs
    change.updated = int(touched.sum())
    new = np.flatnonzero(places < 0)
    if len(new):
        lances.append(path, _rows(target, new, dataset.schema))
        change.added = len(new)
    if change:
        lances.compact(lance.dataset(str(path)), forget=False)
    return change


def _delete(dataset: Any, target: Target, change: Change) -> None:
    """Takes out the rows whose keys are no longer wanted."""
    held = dataset.to_table(columns=[target.key], with_row_id=True)
    gone = pc.invert(pc.is_in(held[target.key], value_set=target.keys))
    rows = held["_rowid"].filter(gone).to_pylist()
    for start in range(0, len(rows), 10_000):
        dataset.delete(f"_rowid IN ({', '.join(map(str, rows[start : start + 10_000]))})")
    change.deleted = len(rows)


def _reshape(dataset: Any, target: Target, change: Change) -> None:
    """Gives the table the columns that it shall have: drops those that are of no group, adds those that are missing."""
    schema = _schema(target)
    old = dataset.schema
    stale = [name for name in old.names if name not in schema.names or old.field(name).type != schema.field(name).type]
    if not stale and set(old.names) == set(schema.names):
        return
    kept = [name for name in old.names if name not in stale and name != DIGESTS]
    fresh = [g for g in target.groups if not set(g.schema.names) <= set(kept)]
    drop = {*stale, *(name for g in fresh for name in g.schema.names), DIGESTS} & set(old.names)
    held = dataset.to_table(columns=[target.key, *([DIGESTS] if DIGESTS in old.names else [])])
    order = _order(held[target.key], target.keys)
    digests = {g.name: g.digests[order] for g in fresh}
    for group in target.groups:
        if group not in fresh:
            digests[group.name] = _held_digests(held, group.name)
    values = {name: column for g in fresh for name, column in _columns(g, order).items()}
    dataset.drop_columns(sorted(drop))
    added = {target.key: held[target.key], **values, DIGESTS: _struct(target, digests)}
    if len(held):
        dataset.merge(pa.table(added), target.key)
    else:
        dataset.add_columns(pa.schema([schema.field(name) for name in added if name != target.key]))
    change.reshaped = True
    change.columns |= set(values)


def _held_digests(held: pa.Table, group: str) -> np.ndarray:
    """The digests of a group that a table has; zeros, which no row has, where it has none."""
    if DIGESTS in held.column_names:
        column = held[DIGESTS].combine_chunks()
        if group in {f.name for f in column.type}:
            return keys_of(column.field(group))
    return np.zeros(len(held), "V16")


def _update(dataset: Any, target: Target, group: Group, rows: np.ndarray, digests: Mapping[str, np.ndarray]) -> None:
    """Rewrites the columns of one group for some rows of the target, and their digests."""
    table = pa.table(
        {
            target.key: target.keys.take(pa.array(rows)),
            **_columns(group, rows),
            DIGESTS: _struct(target, digests),
        }
    )
    mode = "rewrite_columns" if len(table.column_names) < len(dataset.schema) else "auto"
    done = dataset.merge_insert(target.key).when_matched_update_all().write_mode(mode).use_index(False).execute(table)
    if done["num_updated_rows"] != len(rows):
        raise AssertionError(f"{dataset.uri}: {done['num_updated_rows']} of {len(rows)} rows were updated")


def _schema(target: Target) -> pa.Schema:
    """All columns of a table: its key, its groups, and the digests."""
    digests = pa.struct([pa.field(g.name, pa.binary(SIZE)) for g in target.groups])
    return pa.schema(
        [pa.field(target.key, pa.string()), *(f for g in target.groups for f in g.schema), pa.field(DIGESTS, digests)]
    )


def _rows(target: Target, rows: np.ndarray, shape: pa.Schema | None) -> pa.Table:
    """Whole rows of a target, in the columns of a table that is there already."""
    schema = _schema(target)
    columns = {
        target.key: target.keys.take(pa.array(rows)),
        **{name: column for g in target.groups for name, column in _columns(g, rows).items()},
        DIGESTS: _struct(target, {g.name: g.digests[rows] for g in target.groups}),
    }
    names = schema.names if shape is None else shape.names
    return pa.table({name: columns[name] for name in names}, schema=pa.schema([schema.field(n) for n in names]))


def _columns(group: Group, rows: np.ndarray) -> dict[str, pa.ChunkedArray]:
    values = group.values(rows)
    return {name: values[name] for name in group.schema.names}


def _struct(target: Target, digests: Mapping[str, np.ndarray]) -> pa.StructArray:
    names = [g.name for g in target.groups]
    return pa.StructArray.from_arrays([column_of(digests[name]) for name in names], names=names)


def _places(dataset: Any, target: Target) -> np.ndarray:
    """int64 (n,): the row of the table for each row of the target; -1 where there is none."""
    held = dataset.to_table(columns=[target.key])[target.key]
    found = pc.fill_null(pc.index_in(target.keys, value_set=held.combine_chunks()), -1)
    return np.asarray(found.to_numpy(), np.int64)


def _order(keys: pa.ChunkedArray, wanted: pa.Array) -> np.ndarray:
    """int64 (n,): the row of the target for each row of the table; all are there."""
    return np.asarray(pc.index_in(keys.combine_chunks(), value_set=wanted).to_numpy(), np.int64)


def _has_indexes(path: Path, target: Target) -> bool:
    """Whether an index is missing that could be there; one is when a commit was cut short before it."""
    dataset = lance.dataset(str(path))
    held = {index.name for index in dataset.describe_indices()}
    return all(f"{column}_idx" in held or not dataset.count_rows(f"{column} IS NOT NULL") for column in target.indexes)
