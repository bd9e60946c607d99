"""Actions that failed: what they were, why, whose fault it was, and how often they were tried."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild import digest
from vbuild.digest import SIZE, keys_of
from vbuild.errors import FaultKind  # noqa: TC001  `kind` below is a field
from vbuild.store import lance_io
from vbuild.store.keyed import by_half, half

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(SIZE)),
        pa.field("stage", pa.string()),
        pa.field("recipe", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("error", pa.string()),
        pa.field("message", pa.string()),
        pa.field("trace", pa.string()),
        pa.field("item", pa.binary(SIZE)),
        pa.field("passing", pa.bool_()),
        pa.field("attempts", pa.int64()),
        pa.field("versions", pa.string()),
        pa.field("under", pa.binary(SIZE)),
        pa.field("created", pa.timestamp("us", tz="UTC")),
    ]
)
"""`under` is the digest of `versions`."""

HELD = ("recipe", "key", "attempts", "passing", "under")
"""Columns that are held, for they tell what is tried again."""

CHUNKS = 64
"""Pieces of them that are joined when there are more."""


@dataclass(frozen=True)
class Failed:
    """One action that failed."""

    key: bytes
    stage: str
    recipe: str
    error: str
    """The class of the error."""
    message: str
    item: bytes
    """The id of the clip or video that it was for."""
    kind: FaultKind = "item"
    trace: str = ""
    """Where it was raised, as Python prints it."""
    passing: bool = False
    """It may pass by itself."""
    crowded: bool = False
    """It wanted more memory than was left, which what ran beside it may have taken."""
    attempts: int = 1
    versions: str = ""
    """Those it happened under, as JSON."""


STORED = tuple(f.name for f in fields(Failed) if f.name in SCHEMA.names)


class Failures:
    """The failures of a store. The last record of a recipe and key counts.

    Rows count in the order of the dataset, and hold until the next `delete` or `compact`.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / "failures.lance"
        self.refresh()

    def refresh(self) -> None:
        """Takes what other builds have recorded."""
        self._take_over(lance_io.open_dataset(self.path))

    def _take_over(self, dataset: Any | None) -> None:
        self.dataset = dataset
        self.table: pa.Table | None = None
        self.order: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def held(self) -> pa.Table:
        """The columns `HELD` of every record; null where it was made before there was such a column."""
        if self.table is None:
            shape = pa.schema([SCHEMA.field(name) for name in HELD])
            names = [] if self.dataset is None else [name for name in HELD if name in self.dataset.schema.names]
            table = shape.empty_table() if self.dataset is None else self.dataset.to_table(columns=names)
            for name in set(HELD) - set(table.column_names):
                table = table.append_column(name, pa.nulls(len(table), shape.field(name).type))
            self.table = table.select(HELD)
        return self.table

    def all(self) -> pa.Table:
        """Every record, oldest first."""
        return SCHEMA.empty_table() if self.dataset is None else self.dataset.to_table()

    def _ordered(self, recipe: str) -> tuple[np.ndarray, np.ndarray]:
        """The keys of a recipe by their first halves, those of one key as they were recorded, and their rows."""
        if recipe not in self.order:
            rows = pc.indices_nonzero(pc.equal(self.held["recipe"], recipe)).to_numpy().astype(np.int64)
            keys, way = by_half(keys_of(self.held["key"].take(pa.array(rows))))
            self.order[recipe] = keys, rows[way]
        return self.order[recipe]

    def rows(self, recipe: str, keys: np.ndarray) -> np.ndarray:
        """The row of the last record of each of the keys (n,) V16 under a recipe, int64 (n,); -1 where there is none.

        A clash of first halves reads as none.
        """
        if self.dataset is None or not len(keys):
            return np.full(len(keys), -1, np.int64)
        known, rows = self._ordered(recipe)
        spot = np.searchsorted(half(known), half(keys), side="right") - 1
        hit = spot >= 0
        hit[hit] = known[spot[hit]] == keys[hit]
        return np.where(hit, rows[spot] if len(rows) else -1, -1)

    def known(self, recipe: str, keys: np.ndarray, retry: str = "never", versions: str = "") -> np.ndarray:
        """(n,) bool: which of the keys (n,) V16 have failed under a recipe, less those that `retry` tries again.

        `changed`: those that failed under other versions than these; `transient`: those that may pass; `always`.
        """
        rows = self.rows(recipe, keys)
        known = rows >= 0
        if retry == "always":
            return np.zeros(len(keys), bool)
        if retry in ("changed", "transient") and known.any():
            column, stays = ("passing", False) if retry == "transient" else ("under", _under(versions))
            stay = pc.equal(self.held[column].take(pa.array(rows[known])), stays)
            known[known] = stay.fill_null(False).to_numpy()
        return known

    def details(self, recipe: str, keys: np.ndarray, columns: Sequence[str]) -> tuple[np.ndarray, pa.Table]:
        """(n,) bool, which of the keys have failed under a recipe; and columns of their last records."""
        rows = self.rows(recipe, keys)
        wanted, back = np.unique(rows[rows >= 0], return_inverse=True)
        if self.dataset is None or not len(wanted):
            return rows >= 0, pa.schema([SCHEMA.field(name) for name in columns]).empty_table()
        there = [name for name in columns if name in self.dataset.schema.names]
        table = self.dataset.take(wanted.tolist(), columns=there)
        for name in set(columns) - set(there):
            table = table.append_column(name, pa.nulls(len(table), SCHEMA.field(name).type))
        return rows >= 0, table.select(list(columns)).combine_chunks().take(pa.array(back))

    def lookup(self, recipe: str, keys: np.ndarray) -> dict[bytes, Failed]:
        """The failures of those of the keys (n,) V16 that have failed under a recipe."""
        _, table = self.details(recipe, keys, STORED)
        given = ({name: value for name, value in row.items() if value is not None} for row in table.to_pylist())
        return {row["key"]: Failed(**row) for row in given}

    def append(self, failed: Sequence[Failed]) -> None:
        """Records failures; one more attempt for those that failed before."""
        if not failed:
            return
        if self.dataset is None or not lance_io.is_newest(self.dataset):
            self.refresh()
        self._widen()
        now, before = datetime.now(UTC), self._attempts(failed)
        rows = [
            {**vars(f), "attempts": f.attempts + n, "under": _under(f.versions), "created": now}
            for f, n in zip(failed, before, strict=True)
        ]
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        held, dataset = self.held, self.dataset
        newest = lance_io.append(self.path, table, dataset)
        if dataset is None or newest.version != dataset.version + 1:
            self._take_over(newest)
        else:
            self.dataset = newest
            self._extend(held, table.select(HELD))

    def _widen(self) -> None:
        """Gives a dataset of before the columns that came since."""
        if self.dataset is not None and (new := [f for f in SCHEMA if f.name not in self.dataset.schema.names]):
            self.dataset.add_columns(pa.schema(new))
            self.refresh()

    def _attempts(self, failed: Sequence[Failed]) -> list[int]:
        """How often each was tried before."""
        before = np.zeros(len(failed), np.int64)
        for recipe in {f.recipe for f in failed}:
            own = np.array([n for n, f in enumerate(failed) if f.recipe == recipe])
            rows = self.rows(recipe, np.array([np.void(failed[n].key) for n in own], "V16"))
            if (rows >= 0).any():
                before[own[rows >= 0]] = self.held["attempts"].take(pa.array(rows[rows >= 0])).to_numpy()
        return before.tolist()

    def _extend(self, held: pa.Table, table: pa.Table) -> None:
        """Takes records that came behind those that are held, without reading any."""
        start = len(held)
        self.table = pa.concat_tables([held, table])
        if self.table["key"].num_chunks > CHUNKS:
            self.table = self.table.combine_chunks()
        recipes = np.array(table["recipe"].to_pylist(), object)
        for recipe, (keys, rows) in self.order.items():
            own = np.flatnonzero(recipes == recipe)
            fresh, way = by_half(keys_of(table["key"].take(pa.array(own))))
            spot = np.searchsorted(half(keys), half(fresh), side="right")
            self.order[recipe] = np.insert(keys, spot, fresh), np.insert(rows, spot, start + own[way])

    def delete(self, recipe: str, keys: np.ndarray) -> None:
        """Forgets failures of actions that have a result now."""
        gone = keys[self.rows(recipe, keys) >= 0]
        if self.dataset is not None and len(gone):
            lance_io.delete_keys(self.dataset, gone, also=f"recipe = '{recipe}'")
            self.refresh()

    def compact(self) -> None:
        """Joins fragments where there are many."""
        if self.dataset is not None and lance_io.compact(self.dataset):
            self.refresh()


def _under(versions: str) -> bytes:
    return digest.of("versions", versions)
