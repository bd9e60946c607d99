"""The indexes of a dataset's tables: full text on captions, vectors by cosine, scalars on what people filter by."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import lance
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vbuild.dataset.target import Index

ROWS_A_PARTITION = 1000
"""Fewer vectors than that are searched whole."""


def bring_indexes(path: Path, wanted: Mapping[str, Index], rewritten: set[str], *, grown: bool) -> None:
    """Makes the indexes that are missing or whose column was rewritten; adds new rows to the others.

    A column without a value has no index.
    """
    dataset = lance.dataset(str(path))
    held = {index.name for index in dataset.describe_indices()}
    kept = []
    for column, kind in wanted.items():
        name = f"{column}_idx"
        if name in held and column not in rewritten:
            kept.append(name)
        elif rows := dataset.count_rows(f"{column} IS NOT NULL"):
            _make(dataset, column, kind, name, rows)
        elif name in held:
            dataset.drop_index(name)
    if kept and grown:
        dataset.optimize.optimize_indices(index_names=kept)


def _make(dataset: Any, column: str, kind: Index, name: str, rows: int) -> None:
    if kind == "text":
        dataset.create_scalar_index(column, "INVERTED", name=name, replace=True, with_position=True)
    elif kind == "vector":
        partitions = max(1, math.isqrt(rows) if rows > ROWS_A_PARTITION else 1)
        dataset.create_index(column, "IVF_FLAT", name=name, metric="cosine", num_partitions=partitions, replace=True)
    else:
        few = pa.types.is_boolean(dataset.schema.field(column).type)
        dataset.create_scalar_index(column, "BITMAP" if few else "BTREE", name=name, replace=True)
