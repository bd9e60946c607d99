"""All clips of a build, and what stages wrote, as columns of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vbuild.values import value_column

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbuild.engine.session import Session
    from vbuild.plan.items import Items
    from vbuild.plan.wiring import Instance


@dataclass(frozen=True)
class Everything:
    """All clips of a build, shard behind shard, in the order of their videos."""

    session: Session

    @cached_property
    def shards(self) -> list[Items]:
        """The clips of each shard."""
        return [shard.clips for shard in self.session.shards if shard.clips is not None]

    @cached_property
    def starts(self) -> np.ndarray:
        """The first row of each shard, and behind the last."""
        return np.concatenate([[0], np.cumsum([len(c) for c in self.shards])]).astype(np.int64)

    def column(self, of: Callable[[Items], np.ndarray], empty: Any) -> np.ndarray:
        """One column over all shards."""
        return np.concatenate([np.empty(0, empty), *(of(c) for c in self.shards)])

    def gather(self, rows: np.ndarray, schema: pa.Schema, of: Callable[[Items, np.ndarray], pa.Table]) -> pa.Table:
        """Some rows of a table that each shard can give for its own rows, in the order asked for."""
        return gather(self.starts, rows, schema, lambda n, own: of(self.shards[n], own))


def gather(
    starts: np.ndarray, rows: np.ndarray, schema: pa.Schema, of: Callable[[int, np.ndarray], pa.Table]
) -> pa.Table:
    """Some rows of a table in parts, in the order asked for. `of` gives rows of the part of a number."""
    part = np.searchsorted(starts, rows, side="right") - 1
    order = np.argsort(part, kind="stable")
    tables = [of(n, rows[order][part[order] == n] - starts[n]).cast(schema) for n in np.unique(part).tolist()]
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    return table.take(pa.array(np.argsort(order, kind="stable")))


def columns_of(instance: Instance) -> list[pa.Field]:
    """The columns of the dataset for what a stage wrote."""
    return [
        pa.field(name + part, shown.stored()[""])
        for name, (_, kind) in instance.columns.items()
        for part, shown in kind.columns().items()
    ]


def shown_results(session: Session, items: Items, instance: Instance, rows: np.ndarray | None = None) -> pa.Table:
    """What a stage wrote for items, as the dataset shows it."""
    stored = {value_column(f) + part: (part, kind) for f, kind in instance.writes.items() for part in kind.stored()}
    table = session.shelf.take(items, instance.name, list(stored), rows)
    columns = [kind.shown(part, table[name]) for name, (part, kind) in stored.items()]
    return pa.table(columns, names=[f.name for f in columns_of(instance)])
