"""Brings the tables of a dataset to what they shall hold, writing what differs and nothing else."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild.dataset import shown
from vbuild.dataset.indexes import bring_indexes, lacking
from vbuild.dataset.shown import DIGESTS, Shown
from vbuild.digest import SIZE, column_of, keys_of
from vbuild.errors import DatasetError
from vbuild.store import lance_io
from vbuild.store.keyed import same

if TYPE_CHECKING:
    from pathlib import Path

    from vbuild.dataset.target import Group, Target

Digests = Mapping[str, np.ndarray]
"""Group → (n,) V16."""

BUILDS = "builds"

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

CHUNK = 1 << 13
"""Rows whose values are fetched at once: with vectors of 768 numbers, 25 MB, and what writes holds several such."""

SCANNED = 1 << 16
"""Rows whose digests are read at once."""

ROW = "_rowid"
"""Lance's name of a row's id: its fragment in the upper 32 bits."""


@dataclass(frozen=True)
class Committed:
    """What a commit did."""

    versions: dict[str, int]
    """Table → its version now."""
    changed: dict[str, dict[str, int]]
    """Table that changed → rows added, updated, deleted. All 0: it was made, lost columns, or was given an index."""
    build: str | None
    """The id of the build; None if there was nothing to commit."""


@dataclass(frozen=True)
class Held:
    """What a table holds before its rows change."""

    dataset: Any
    places: np.ndarray
    """int64 (n,): for each of its rows the row of the target with the same key."""
    ids: np.ndarray
    """uint64 (n,): the row id of each."""
    digests: dict[str, np.ndarray]
    """Group → (n,) V16."""


def commit(folder: Path, targets: Sequence[Target], build: Mapping[str, Any]) -> Committed:
    """Brings tables to their targets and, if anything changed, adds the build to `builds`, which is the commit.

    `build` holds the row's id, time, config, recipes, counts, seconds and versions. The difference is taken from what
    the tables hold now, so a commit that was cut short is finished by the next. Every version is tagged with the build.
    The caller holds the folder. Raises DatasetError for a column of a type that not all readers of the dataset know.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = last_build(folder)
    before = {} if last is None else last["tables"]
    changed: dict[str, dict[str, int]] = {}
    tables: dict[str, Shown] = {}
    for target in targets:
        tables[target.table], done = _bring(folder / f"{target.table}.lance", target, before.get(target.table))
        if done is not None:
            changed[target.table] = done
    versions = {name: table.version for name, table in tables.items()}
    if versions == before:
        return Committed(versions, changed, None)
    record(folder, tables, build)
    return Committed(versions, changed, build["id"])


def record(folder: Path, tables: Mapping[str, Shown], build: Mapping[str, Any]) -> None:
    """Adds a build to `builds`, which is the commit, when each table's version bears its tag."""
    for name, table in tables.items():
        shown.name(folder / f"{name}.lance", build["id"], table)
    row = {name: json.dumps(value) if isinstance(value, Mapping) else value for name, value in build.items()}
    row["tables"] = json.dumps({name: table.version for name, table in tables.items()})
    lance_io.append(folder / f"{BUILDS}.lance", pa.Table.from_pylist([row], schema=BUILDS_SCHEMA))
    for name, table in tables.items():
        shown.point(folder / f"{name}.lance", table)


def new_id() -> str:
    """An id for a build; ids sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def last_build(folder: Path) -> dict[str, Any] | None:
    """The newest row of `builds`, its JSON read; None before the first build."""
    dataset = lance_io.open_dataset(folder / f"{BUILDS}.lance")
    if dataset is None or not (rows := dataset.count_rows()):
        return None
    return read_build(dataset.take([rows - 1]).to_pylist()[0])


def former(folder: Path) -> pa.Table:
    """What the last build decided of each clip: clip_id, video_id, kept, dropped_by and duplicate_of."""
    columns = ["clip_id", "video_id", "kept", "dropped_by", "duplicate_of"]
    last = last_build(folder)
    if last is None:
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    rows: pa.Table = lance.dataset(str(folder / "clips.lance"), version=last["tables"]["clips"]).to_table(columns)
    return rows


def read_build(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `builds` with its JSON read."""
    read = ("config", "recipes", "counts", "versions", "tables")
    return {name: json.loads(value) if name in read else value for name, value in row.items()}


def _bring(path: Path, target: Target, last: int | None) -> tuple[Shown, dict[str, int] | None]:
    """Brings one table to its target. What it is now, and how many rows were added, updated and deleted.

    None if nothing was to do: nothing differs from what the table held, and `last`, the version of the last build, is
    still the newest.
    """
    schema, before = _schema(target), shown.newest_held(path)
    if before is None and (before := lance_io.open_dataset(path)) is None:
        rows = np.arange(len(target.keys))
        lance_io.append(path, _stream(target, target.groups, rows, {g.name: g.digests for g in target.groups}, schema))
        return _finished(path, target), {"added": len(rows), "updated": 0, "deleted": 0}
    held, gone = _held(before, target)
    known = shown.published(path, last)
    if known is not None and _same(held, gone, target, schema) and not lacking(before, target.indexes):
        return known, None
    held = replace(held, dataset=shown.begun(path, before))
    for start in range(0, len(gone), CHUNK):
        held.dataset.delete(f"{ROW} IN ({', '.join(map(str, gone[start : start + CHUNK]))})")
    updated = _reshape(held, target, schema) | _update(held, target)
    new = np.setdiff1d(np.arange(len(target.keys)), held.places, assume_unique=True)
    if len(new):
        lance_io.append(path, _stream(target, target.groups, new, _wanted(target, new), held.dataset.schema))
    lance_io.compact(lance.dataset(str(path)), forget=False)
    done = {"added": len(new), "updated": int(updated.sum()), "deleted": len(gone)}
    return _finished(path, target), done


def _finished(path: Path, target: Target) -> Shown:
    """The table shown, when its columns are documented and its indexes cover it."""
    dataset = lance_io.whole(path, lance.dataset(str(path)))
    if told := _told(dataset.schema, target):
        dataset.update_field_metadata(told, replace=True)
    bring_indexes(dataset, target.indexes)
    return shown.publish(path)


def _told(schema: pa.Schema, target: Target) -> dict[str, dict[str, str]]:
    """What columns shall say of themselves, of those that say something else."""
    wanted = {f.name: f.metadata or {} for f in _schema(target) if f.name != DIGESTS}
    differ = {f.name for f in schema if f.name in wanted and (f.metadata or {}) != wanted[f.name]}
    return {name: {k.decode(): v.decode() for k, v in wanted[name].items()} for name in sorted(differ)}


def _held(dataset: Any, target: Target) -> tuple[Held, list[int]]:
    """What a table holds of its target, and the row ids of what is not wanted."""
    table = dataset.to_table(columns=[target.key], with_row_id=True)
    spots = _spots(table[target.key].combine_chunks(), target.keys)
    gone: list[int] = table[ROW].filter(spots.is_null()).to_pylist()
    places = spots.drop_null().to_numpy().astype(np.int64)
    digests: dict[str, np.ndarray] = {}
    if DIGESTS in dataset.schema.names:
        digests = {f.name: np.empty(len(places), "V16") for f in dataset.schema.field(DIGESTS).type}
        row = count = 0
        for batch in dataset.to_batches(columns=[DIGESTS], batch_size=SCANNED):
            known = spots[row : (row := row + len(batch))]
            here = slice(count, count := count + len(known) - known.null_count)
            for name, column in digests.items():
                cells = batch[DIGESTS].field(name)
                column[here] = keys_of(cells.filter(known.is_valid()) if known.null_count else cells)
    return Held(dataset, places, table[ROW].filter(spots.is_valid()).to_numpy(), digests), gone


def _spots(keys: pa.Array, wanted: pa.Array) -> pa.Array:
    """int32 (n,): where each key stands among those that are wanted; null for one that does not."""
    if keys.equals(wanted):  # as a rule nothing came and nothing went
        return pa.array(np.arange(len(keys), dtype=np.int32))
    return pc.index_in(keys, value_set=wanted)


def _same(held: Held, gone: Sequence[int], target: Target, schema: pa.Schema) -> bool:
    """Whether a table is its target."""
    there = held.dataset.schema
    return (
        not gone
        and len(held.places) == len(target.keys)
        and held.digests.keys() == {group.name for group in target.groups}
        and {f.name: f.type for f in there if f.name != DIGESTS}
        == {f.name: f.type for f in schema if f.name != DIGESTS}
        and all(same(held.digests[group.name], group.digests[held.places]).all() for group in target.groups)
        and not _told(there, target)
    )


def _reshape(held: Held, target: Target, schema: pa.Schema) -> np.ndarray:
    """Gives a table the columns that it shall have, filled, and leaves the others alone.

    Returns, (n,) bool, which rows got values. Columns go together with their digests and come together with them, so
    wherever this ends early, what is missing is seen by the next commit.
    """
    there = held.dataset.schema
    fits = {name for name in there.names if name in schema.names and there.field(name).type == schema.field(name).type}
    fresh = [g for g in target.groups if g.name not in held.digests or not set(g.schema.names) <= fits]
    names = {name for g in fresh for name in g.schema.names}
    stale = held.digests.keys() - {g.name for g in target.groups if g not in fresh}
    drop = {name for name in there.names if name != DIGESTS and (name not in schema.names or name in names)}
    drop |= {DIGESTS} if stale == held.digests.keys() else {f"{DIGESTS}.{name}" for name in stale}
    if drop := {name for name in drop if name.partition(".")[0] in there.names}:
        held.dataset.drop_columns(sorted(drop))
    for name in stale:
        del held.digests[name]
    if fresh:
        wanted = _wanted(target, held.places, fresh)
        shape = pa.schema([*(f for g in fresh for f in g.schema), _digest_field(wanted)])
        held.dataset.add_columns(_stream(target, fresh, held.places, wanted, shape))
        held.digests.update(wanted)
    return np.full(len(held.places), bool(fresh))


def _update(held: Held, target: Target) -> np.ndarray:
    """Rewrites, group by group, the columns of one group where they differ; (n,) bool which rows were touched."""
    touched = np.zeros(len(held.places), bool)
    for group in target.groups:
        wanted = group.digests[held.places]
        differs = ~same(held.digests[group.name], wanted)
        if not differs.any():
            continue
        held.digests[group.name][differs] = wanted[differs]
        _rewrite(held, target, group, differs)
        touched |= differs
    return touched


def _rewrite(held: Held, target: Target, group: Group, differs: np.ndarray) -> None:
    """Writes the columns of a group with other values in some rows, (n,) bool: those of a fragment are held at once."""
    shape = pa.schema([pa.field(ROW, pa.uint64()), *group.schema, held.dataset.schema.field(DIGESTS)])
    fragments = held.ids >> np.uint64(32)
    updated, modified = [], set()
    for number in np.unique(fragments[differs]).tolist():
        some = differs & (fragments == number)
        digests = {name: column[some] for name, column in held.digests.items()}
        rows = _stream(target, [group], held.places[some], digests, shape, held.ids[some])
        fragment, fields = held.dataset.get_fragment(number).update_columns(rows, ROW)
        updated.append(fragment)
        modified |= set(fields)
    done = lance.LanceOperation.Update(updated_fragments=updated, fields_modified=sorted(modified))
    lance.LanceDataset.commit(held.dataset, done, read_version=held.dataset.version)
    held.dataset.checkout_latest()


def _schema(target: Target) -> pa.Schema:
    """All columns of a table: its key, its groups, and the digests."""
    fields = [f for g in target.groups for f in g.schema]
    for f in fields:
        if "halffloat" in str(f.type):
            raise DatasetError(f"{target.table}.{f.name}: DuckDB reads no float16; let the stage write float32")
    digests = _digest_field([g.name for g in target.groups])
    key = pa.field(target.key, pa.string(), nullable=False, metadata=dict(target.told) or None)
    return pa.schema([key, *fields, digests])


def _digest_field(groups: Sequence[str] | Digests) -> pa.Field:
    return pa.field(DIGESTS, pa.struct([pa.field(name, pa.binary(SIZE)) for name in groups]))


def _wanted(target: Target, rows: np.ndarray, groups: Sequence[Group] | None = None) -> dict[str, np.ndarray]:
    """The digests that rows of a target shall have."""
    return {g.name: g.digests[rows] for g in (target.groups if groups is None else groups)}


def _stream(
    target: Target,
    groups: Sequence[Group],
    rows: np.ndarray,
    digests: Digests,
    schema: pa.Schema,
    ids: np.ndarray | None = None,
) -> pa.RecordBatchReader:
    """Keys, groups and digests of rows of a target in the columns of a schema, fetched a chunk at a time.

    `ids`: the row ids that they have in the table, where that is asked for.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            said = [column_of(digests[f.name][start : start + CHUNK]) for f in schema.field(DIGESTS).type]
            columns = {
                target.key: target.keys.take(pa.array(part)),
                DIGESTS: pa.StructArray.from_arrays(said, fields=list(schema.field(DIGESTS).type)),
            }
            if ids is not None:
                columns[ROW] = pa.array(ids[start : start + CHUNK])
            for group in groups:
                values = group.values(part)
                columns |= {name: values[name] for name in group.schema.names}
            table = pa.table([columns[name] for name in schema.names], schema=schema)
            yield from table.combine_chunks().to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())
