"""What the builds of a dataset were, in what two of them differ, and how one of them is brought back."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild.dataset import shown
from vbuild.dataset.commit import BUILDS, new_id, read_build, record
from vbuild.dataset.shown import DIGESTS
from vbuild.digest import keys_of
from vbuild.errors import DatasetError
from vbuild.store import lance_io, roots, stamps
from vbuild.store.blobs import Blobs, blob_columns, flat
from vbuild.store.blobs import blob_of_path as blob_named
from vbuild.store.locks import lock_of, locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

ABSENT = object()
"""Stands for a key that is not there."""

COUNTS = ("videos", "clips", "kept", "failures")


def builds(folder: Path) -> list[dict[str, Any]]:
    """The builds of a dataset, the oldest first."""
    dataset = lance_io.open_dataset(folder / f"{BUILDS}.lance")
    return [] if dataset is None else [read_build(row) for row in dataset.to_table().to_pylist()]


def find_build(folder: Path, name: str) -> dict[str, Any]:
    """The build of an id, or of the beginning or the end of one; `last` and `previous` too. Raises DatasetError."""
    there = builds(folder)
    back = {"last": 1, "previous": 2}.get(name, 0)
    if 0 < back <= len(there):
        return there[-back]
    matches = [b for b in there if b["id"].startswith(name) or b["id"].endswith(name)]
    if len(matches) != 1:
        what = "no build" if not matches else f"{len(matches)} builds"
        raise DatasetError(
            f"{folder.name}: it has {what} {name}; there are {', '.join(b['id'] for b in there[-5:])} (vbuild log)"
        )
    return matches[0]


# log


@dataclass(frozen=True)
class Entry:
    """One build in a log."""

    build: str
    time: str
    """UTC."""
    seconds: float
    counts: dict[str, int]
    ran: dict[str, int]
    """Stage → actions that ran."""
    changes: list[str]
    """In what it differs from the build before."""


def log(folder: Path) -> list[Entry]:
    """The builds of a dataset, the newest first."""
    there = builds(folder)
    return [_entry(b, old) for b, old in zip(reversed(there), [*reversed(there[:-1]), None], strict=True)]


def _entry(build: Mapping[str, Any], old: Mapping[str, Any] | None) -> Entry:
    counts = build["counts"]
    if (source := counts.get("restored")) is not None:
        changes = [f"restored {source}"]
    else:
        changes = ["first build"] if old is None else list(config_differences(old, build))
        changes += [
            f"{name} {old['counts'][name]} → {counts[name]}"
            for name in COUNTS
            if old is not None and old["counts"].get(name) != counts.get(name)
        ]
    return Entry(
        build["id"],
        f"{build['time']:%Y-%m-%d %H:%M:%S}",
        build["seconds"],
        {name: counts.get(name, 0) for name in COUNTS},
        {name: n for name, n in counts.get("ran", {}).items() if n},
        changes,
    )


def config_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    """In what two builds were declared otherwise, key by key; and what changed of models and code."""
    yield from _differences("", old["config"], new["config"])
    for name in sorted(old["recipes"].keys() & new["recipes"].keys()):
        for part in ("models", "uses"):
            before, after = old["recipes"][name].get(part, {}), new["recipes"][name].get(part, {})
            yield from _differences(f"{name}.{part}", before, after)


def _differences(path: str, a: Any, b: Any) -> Iterable[str]:
    """The keys in which two values differ; a group that is new, or gone, is told as one."""
    if a == b:
        return
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            yield from _differences(f"{path}.{key}".lstrip("."), a.get(key, ABSENT), b.get(key, ABSENT))
    elif a is ABSENT or b is ABSENT:
        value = b if a is ABSENT else a
        shown = "" if isinstance(value, dict) else f" ({_word(value)})"
        yield f"{path} {'added' if a is ABSENT else 'taken away'}{shown}"
    else:
        yield f"{path} {_word(a)} → {_word(b)}"


def _word(value: Any) -> str:
    return "null" if value is None else str(value)


# diff


@dataclass(frozen=True)
class Flip:
    """A clip that is kept in one of two builds and not in the other."""

    clip_id: str
    kept: bool
    """Now."""
    decision: str
    """The decision that drops it."""
    reason: str


@dataclass
class Difference:
    """Between two builds of one dataset."""

    a: str
    b: str
    declared: list[str]
    """What was declared otherwise."""
    failures: tuple[int, int] = (0, 0)
    """How many there were, and are."""
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: dict[str, list[str]] = field(default_factory=dict)
    """Clip that is in both → the stages whose columns differ."""
    columns: list[str] = field(default_factory=list)
    """Stages whose columns one build has and the other has not."""
    flips: list[Flip] = field(default_factory=list)


def diff(folder: Path, a: Mapping[str, Any], b: Mapping[str, Any]) -> Difference:
    """Which clips came, went and changed from one build to another, and why clips are kept that were not, or not."""
    tables = [_clips(folder, build) for build in (a, b)]
    there = pc.index_in(tables[1]["clip_id"], value_set=tables[0]["clip_id"])
    back = pc.index_in(tables[0]["clip_id"], value_set=tables[1]["clip_id"])
    failures = tuple(build["counts"].get("failures", 0) for build in (a, b))
    difference = Difference(a["id"], b["id"], list(config_differences(a, b)), (failures[0], failures[1]))
    difference.added = tables[1]["clip_id"].filter(there.is_null()).to_pylist()
    difference.removed = tables[0]["clip_id"].filter(back.is_null()).to_pylist()
    both = there.is_valid()
    old, new = tables[0].take(there.drop_null()), tables[1].filter(both)
    ids = new["clip_id"].to_pylist()
    groups = [{f.name: keys_of(_group(t, f.name)) for f in t.schema.field(DIGESTS).type} for t in (old, new)]
    difference.columns = sorted(groups[0].keys() ^ groups[1].keys())
    for name in sorted((groups[0].keys() & groups[1].keys()) - {"decisions"}):
        for row in np.flatnonzero(groups[0][name] != groups[1][name]).tolist():
            difference.changed.setdefault(ids[row], []).append(name)
    flipped = np.flatnonzero(pc.not_equal(old["kept"], new["kept"]).to_numpy(zero_copy_only=False))
    difference.flips = _flips(folder, (a, b), old.take(flipped), new.take(flipped))
    return difference


def _clips(folder: Path, build: Mapping[str, Any]) -> pa.Table:
    columns = ["clip_id", "kept", "dropped_by", "duplicate_of", DIGESTS]
    return _at(folder, build, held=True).to_table(columns=columns)


def _at(folder: Path, build: Mapping[str, Any], *, held: bool = False) -> Any:
    """The clips as a build left them, with bookkeeping if need be. Raises DatasetError if they are gone."""
    path, version = folder / "clips.lance", build["tables"]["clips"]
    try:
        return shown.held_of(path, build["id"], version) if held else lance.dataset(str(path), version=version)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder.name}: the tables of build {build['id']} cannot be read any more") from error


def _group(table: pa.Table, name: str) -> pa.Array:
    return table[DIGESTS].combine_chunks().field(name)


def _flips(folder: Path, two: tuple[Mapping[str, Any], Mapping[str, Any]], old: pa.Table, new: pa.Table) -> list[Flip]:
    """Why clips are kept in one build and not in the other."""
    rows = list(zip(old.to_pylist(), new.to_pylist(), strict=True))
    names = [(now if before["kept"] else before)["dropped_by"].partition(":")[0] for before, now in rows]
    values = {name: _values(folder, two, name, new["clip_id"]) for name in set(names)}
    flips = []
    for (before, now), name in zip(rows, names, strict=True):
        kinds = [("where" if name in build["config"]["where"] else "stages") for build in two]
        declared = [build["config"][kind].get(name, ABSENT) for build, kind in zip(two, kinds, strict=True)]
        said = list(_differences(f"{kinds[1 if declared[1] is not ABSENT else 0]}.{name}", *declared))
        moved = values[name].get(now["clip_id"], [])
        keeper = (now if before["kept"] else before)["duplicate_of"]
        if said:
            reason = ", ".join(said)
        elif moved:
            reason = ", ".join(moved)
        elif keeper:
            reason = f"a near-duplicate of {keeper}" if before["kept"] else f"{keeper} stands for it no more"
        elif isinstance(of := declared[1].get("of") if isinstance(declared[1], dict) else None, list):
            reason = f"{'more' if before['kept'] else 'fewer'} clips of its {' and '.join(of)} stand before it"
        else:
            reason = "decided otherwise"
        flips.append(Flip(now["clip_id"], now["kept"], name, reason))
    return flips


def _values(
    folder: Path, two: tuple[Mapping[str, Any], Mapping[str, Any]], name: str, clips: pa.ChunkedArray
) -> dict[str, list[str]]:
    """Per clip, which of the columns that a decision reads have other values, and which."""
    told = [
        build["config"]["where"].get(name)
        or [build["config"]["stages"].get(name, {}).get(k, "") for k in ("keep", "of")]
        for build in two
    ]
    words = set(re.findall(r"\w+", " ".join(map(str, told))))
    sides = [_at(folder, build) for build in two]
    plain = [{f.name for f in side.schema if not pa.types.is_nested(f.type)} for side in sides]
    columns = sorted(words & plain[0] & plain[1])
    if not columns:
        return {}
    held = [_rows(side, columns, clips) for side in sides]
    return {
        clip: [f"{c} {_number(row[c])} → {_number(held[1][clip][c])}" for c in columns if row[c] != held[1][clip][c]]
        for clip, row in held[0].items()
    }


def _rows(dataset: Any, columns: Sequence[str], clips: pa.ChunkedArray) -> dict[str, dict[str, Any]]:
    """Columns of some clips, by clip."""
    table = dataset.to_table(columns=["clip_id", *columns])
    some = table.filter(pc.is_in(table["clip_id"], value_set=clips.combine_chunks()))
    return {row["clip_id"]: row for row in some.to_pylist()}


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else _word(value)


def reasons(flips: Sequence[Flip]) -> Counter[tuple[bool, str, str]]:
    """How many clips flipped, by direction, decision and reason, the values left out."""
    return Counter((f.kept, f.decision, re.sub(r"(\w+) \S+ → \S+$", r"\1 changed", f.reason)) for f in flips)


# restore


@dataclass(frozen=True)
class Restored:
    """A build that was brought back."""

    build: str
    """The id of the new build."""
    source: str
    tables: dict[str, int]
    missing: int
    """Clips that name a blob which is not in the store any more."""


def restore(store: Path, folder: Path, name: str) -> Restored:
    """Brings the tables of a dataset back to what a build left, as a new build; nothing of the others is lost.

    The next build brings it up to date again. Raises DatasetError if there is no such build, or its tables are gone.
    """
    with roots.gate(store, alone=False):
        build = find_build(folder, name)
        clips = _at(folder, build)
        with locked(lock_of(folder)):
            tables = {
                table: _restored(folder / f"{table}.lance", build["id"], version)
                for table, version in build["tables"].items()
            }
            counts = {**build["counts"], "ran": {}, "restored": build["id"]}
            row = {**build, "id": new_id(), "time": datetime.now(UTC), "seconds": 0.0, "counts": counts}
            del row["tables"]
            record(folder, tables, row)
        stamps.bump(store)
    versions = {name: table.version for name, table in tables.items()}
    return Restored(row["id"], build["id"], versions, _missing(store, clips))


def _restored(path: Path, build: str, version: int) -> shown.Shown:
    """Makes what a build left of a table the newest version."""
    known = shown.published(path, version)
    if known is not None:
        return known
    shown.begun(path, shown.held_of(path, build, version))
    return shown.publish(path)


def _missing(store: Path, clips: Any) -> int:
    """Clips of which a blob is not in the store."""
    gone = np.zeros(clips.count_rows(), bool)
    for name in blob_columns(clips.schema):
        rows, paths = flat(clips.to_table(columns=[name])[name])
        gone[rows[Blobs(store).missing([blob_named(path) for path in paths.to_pylist()])]] = True
    return int(gone.sum())
