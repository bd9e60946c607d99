"""Results by recipe and key: what an action wrote, with a digest of each output."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vbuild.digest import SIZE, Recipe, keys_of, one_piece
from vbuild.errors import StageError
from vbuild.stage import outputs
from vbuild.store import lance_io
from vbuild.store.keyed import Index, firsts, words
from vbuild.store.notes import Notes, noted, notes_beside
from vbuild.store.place import place_at
from vbuild.values import DIGEST, digest_column, digests_of, value_column

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vbuild.fields import Kind
    from vbuild.stage import Row, Stage

KEY = pa.binary(SIZE)

RECORD = [
    pa.field("warning", pa.string()),
    pa.field("seconds", pa.float32()),
    pa.field("created", pa.timestamp("us", tz="UTC")),
    pa.field("build", pa.string()),
]
"""What every result says of itself: what was lost of the footage, worker seconds, when, and in which build."""

FEW = 10_000
"""Rows of which it costs nothing to read a column more."""


def schema(writes: Mapping[str, Kind]) -> pa.Schema:
    """The columns of a recipe's results."""
    values = [pa.field(value_column(f) + part, t) for f, kind in writes.items() for part, t in kind.stored().items()]
    digests = [pa.field(digest_column(f), KEY) for f in writes]
    return pa.schema([pa.field("key", KEY, nullable=False), *values, *digests, *RECORD])


def blob_fields(results: pa.Schema) -> list[str]:
    """The columns of results that stand for blobs: each has `_uri`, `_bytes` and `_digest`, and a digest."""
    named = [name.removeprefix(DIGEST) for name in results.names if name.startswith(DIGEST)]
    return [name for name in named if name not in results.names and f"{name}_uri" in results.names]


def encode(
    stage: Stage,
    rows: Sequence[Row],
    *,
    keys: Sequence[bytes],
    warnings: Sequence[str | None],
    seconds: float,
    build: str,
) -> pa.Table:
    """Rows of a stage as a table of results, each output with the digest of what is stored.

    Raises StageError for a row that lacks a field, has one too many, or a value of another type or shape.
    """
    columns: dict[str, pa.Array] = {}
    writes = outputs(stage)
    for f, kind in writes.items():
        what = f"{stage.title()}.{f}" if f else stage.title()
        if not all(f in row for row in rows):
            raise StageError(f"{what}: the row does not have it; write None for a value that cannot be had")
        arrays = kind.encoded(what, [row[f] for row in rows])
        columns |= {value_column(f) + part: array for part, array in arrays.items()}
        columns[digest_column(f)] = digests_of(arrays[kind.digested])
    for row in rows:
        if extra := row.keys() - writes.keys():
            raise StageError(
                f"{stage.title()}: it wrote {', '.join(map(repr, sorted(extra)))}, which it does not declare"
            )
    n = len(rows)
    record = {
        "key": pa.array(keys, KEY),
        "warning": pa.array(warnings, pa.string()),
        "seconds": pa.array([seconds] * n, pa.float32()),
        "created": pa.array([datetime.now(UTC)] * n, pa.timestamp("us", tz="UTC")),
        "build": pa.array([build] * n, pa.string()),
    }
    shape = schema(writes)
    return pa.table({name: {**columns, **record}[name] for name in shape.names}, schema=shape)


def mistaken(results: pa.Table) -> np.ndarray:
    """(n,) bool: the results of which a digest is not that of the value beside it."""
    wrong = np.zeros(len(results), bool)
    blobs = blob_fields(results.schema)
    for name in (name for name in results.column_names if name.startswith(DIGEST)):
        value = name.removeprefix(DIGEST)
        digests = digests_of(results[f"{value}_digest" if value in blobs else value])
        wrong |= np.array(digests.to_pylist(), object) != np.array(results[name].to_pylist(), object)
    return wrong


def evict(path: Path, dataset: Any, keys: np.ndarray) -> None:
    """Takes results (n,) V16 out of a recipe's folder; a plan can tell them from what never was."""
    lance_io.delete_keys(dataset, keys)
    notes_beside(path).evict(keys)


class Actions:
    """The results of a store, by stage and recipe."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "actions"
        self.open: dict[str, Results] = {}

    def results(self, recipe: Recipe, writes: Mapping[str, Kind]) -> Results:
        """The results of one recipe; the same object for as long as this one lives."""
        if recipe.id not in self.open:
            self.open[recipe.id] = Results(self.folder / recipe.stage / f"{recipe.id}.lance", recipe, writes)
        return self.open[recipe.id]

    def forget(self) -> None:
        """Lets go of what plans are made of: of the digests of results, above all."""
        for results in self.open.values():
            results.forget()
        pa.default_memory_pool().release_unused()

    def recipes(self, stage: str) -> list[Recipe]:
        """Every recipe of a stage that has, or had, results; the newest first."""
        return noted(place_at(self.root), f"{self.folder.name}/{stage}")

    def notes(self, recipe: Recipe) -> Notes:
        """What stands beside the results of a recipe."""
        return notes_beside(self.folder / recipe.stage / f"{recipe.id}.lance")

    def changed(self, name: str, recipe: Recipe) -> str | None:
        """What of a stage is other than when the first results of its recipe were stored, and what to do; or None."""
        note = self.notes(recipe).recipe
        if note is None:
            return None
        since = f"since version {recipe.version}: raise version"
        for f in sorted(note.defaults.keys() & recipe.defaults.keys()):
            if note.defaults[f] != recipe.defaults[f]:
                return f"{name}: the default of {f} changed from {note.defaults[f]} to {recipe.defaults[f]} {since}"
        other = None not in (note.source, recipe.source) and note.source != recipe.source
        return f"{name}: its code changed {since}" if other else None


class Results:
    """The results of one recipe: one Lance dataset, read as columns, its keys held sorted.

    Places of rows count in the order of the dataset, and hold until the next `append`, `delete` or `compact`.
    """

    def __init__(
        self,
        path: Path,
        recipe: Recipe,
        writes: Mapping[str, Kind],
        *,
        opened: Callable[[Path], Any | None] = lance_io.open_dataset,
    ) -> None:
        self.path, self.recipe, self.schema = path, recipe, schema(writes)
        self._take_over(opened(self.path))

    def refresh(self) -> None:
        """Takes the newest version, with what other builds have added."""
        if self.dataset is not None and lance_io.is_newest(self.dataset):
            return
        newest = lance_io.open_dataset(self.path)
        if newest is None or self.dataset is None or newest.version != self.dataset.version:
            self._take_over(newest)

    def _take_over(self, dataset: Any | None) -> None:
        self.dataset = dataset
        self.index: Index | None = None
        self.asked: tuple[np.ndarray, np.ndarray] | None = None
        """The last keys and their places: what is looked up is, as a rule, taken next."""
        self.cached: dict[str, pa.Array] = {}

    def __len__(self) -> int:
        return 0 if self.dataset is None else int(self.dataset.count_rows())

    def _columns(self, names: Sequence[str]) -> list[pa.Array]:
        """Whole columns of fixed width, which are held; of few rows all of them, for a scan costs more than they do."""
        if new := [name for name in dict.fromkeys(names) if name not in self.cached]:
            assert self.dataset is not None
            if not self.cached and len(self) <= FEW:
                new = [f.name for f in self.schema if _fixed(f) and f.name in self.dataset.schema.names]
            table = self.dataset.to_table(columns=new, batch_size=max(len(self), 1))
            self.cached |= {name: one_piece(table[name]) for name in new}
        return [self.cached[name] for name in names]

    def forget(self) -> None:
        """Lets go of all columns but the keys."""
        self.asked, self.cached = None, {name: column for name, column in self.cached.items() if name == "key"}

    def holds(self, columns: Sequence[str]) -> bool:
        """Whether there are such columns; a former version of a stage may have written others."""
        return self.dataset is not None and set(columns) <= set(self.dataset.schema.names)

    def check(self) -> None:
        """Raises StageError if the stage writes other columns now than when these were stored."""
        names = self.schema.names if self.dataset is not None else []
        missing = [name.removeprefix(DIGEST) for name in names if not self.holds([name]) and DIGEST in name]
        if missing:
            raise StageError(
                f"{self.recipe.stage}: it writes {', '.join(map(repr, missing))}, which its stored results of version "
                f"{self.recipe.version} do not hold; raise its version"
            )

    def lookup(self, keys: np.ndarray, index: Index | None = None) -> np.ndarray:
        """The place of each key (n,) V16, int64 (n,); -1 where there is none. Of rows with one key the first wins.

        `index` is that of the keys, where there is one.
        """
        if self.dataset is None or not len(keys):
            return np.full(len(keys), -1, np.int64)
        if self.asked is None or not _alike(self.asked[0], keys):
            if self.index is None:
                key, _ = self._columns(["key", "seconds"])  # which is asked for next, and to scan twice costs more
                self.index = Index(keys_of(key))
            self.asked = keys, self.index.find(keys if index is None else index)
        return self.asked[1]

    def take(self, places: np.ndarray, columns: Sequence[str]) -> pa.Table:
        """Columns of the rows at some places, in that order; all null at place -1."""
        shape = pa.schema([self.schema.field(name) for name in columns])
        if self.dataset is None or not len(places):
            return pa.table([pa.nulls(len(places), f.type) for f in shape], names=shape.names)
        if all(map(_fixed, shape)):
            index = _indices(places)
            return pa.table([column.take(index) for column in self._columns(shape.names)], names=shape.names)
        if len(places) > len(self) // 2:  # a scan costs less than so many rows one by one
            table = self.dataset.to_table(columns=shape.names)
            return table if np.array_equal(places, np.arange(len(table))) else table.take(_indices(places))
        wanted, back = np.unique(places[places >= 0], return_inverse=True)
        table = self.dataset.take(wanted.tolist(), columns=list(columns)) if len(wanted) else shape.empty_table()
        index = np.full(len(places), -1, np.int64)
        index[places >= 0] = back
        return table.select(list(columns)).combine_chunks().take(pa.array(index, mask=index < 0))

    def append(self, table: pa.Table) -> None:
        """Adds results whose keys are not there yet, and takes the newest version."""
        self.refresh()
        table = table.combine_chunks()  # many chunks are read and written slowly
        keys = keys_of(table["key"])
        index, new = Index(keys), np.zeros(len(keys), bool)
        new[firsts(index)] = True
        new &= self.lookup(keys, index) < 0
        if not new.any():
            return
        notes = notes_beside(self.path)
        if notes.recipe is None:
            notes.write(self.recipe)
        rows = table if new.all() else table.filter(pa.array(new))
        before, known = self.dataset, self.index
        newest = lance_io.append(self.path, rows.cast(self.schema), before)
        self._take_over(newest)
        if known is not None and before is not None and newest.version == before.version + 1:
            self.index = Index(np.concatenate([known.keys, keys[new]]))

    def evicted(self, keys: np.ndarray) -> np.ndarray:
        """(n,) bool: the keys whose results were taken out."""
        known = set(notes_beside(self.path).evicted().tolist())
        return np.array([key in known for key in keys.tolist()], bool)

    def delete(self, keys: np.ndarray) -> None:
        """Takes the results of some keys out, so that their actions can run again."""
        self.refresh()
        places = self.lookup(keys)
        if self.dataset is not None and (places >= 0).any():
            lance_io.delete_keys(self.dataset, keys[places >= 0])
            self._take_over(lance_io.open_dataset(self.path))

    def compact(self) -> None:
        """Joins fragments where there are many; the order of rows stays."""
        if self.dataset is not None and lance_io.compact(self.dataset):
            self._take_over(lance_io.open_dataset(self.path))


def _alike(some: np.ndarray, others: np.ndarray) -> bool:
    """Whether keys (n,) V16 are those."""
    return some is others or np.array_equal(words(some), words(others))


def _indices(places: np.ndarray) -> pa.Array:
    """Places as what Arrow takes by: null for -1."""
    none = places < 0
    return pa.array(places, mask=none) if none.any() else pa.array(places)


def _fixed(f: pa.Field) -> bool:
    """Whether the values of a column are held: numbers, and digests."""
    return bool(pa.types.is_primitive(f.type)) or f.type == KEY
