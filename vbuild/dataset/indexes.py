"""The indexes of a dataset's tables: full text on captions, vectors by cosine, scalars on what people filter by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbuild.dataset.target import Index

ROWS_A_PARTITION = 4096
"""Vectors that are searched whole."""


def bring_indexes(dataset: Any, wanted: Mapping[str, Index]) -> bool:
    """Makes the indexes that a table shall have and has not, and brings the others up to its rows; True if it did.

    What an index covers is asked of the table, so whatever was cut short is made good. An index that covers less than
    half of the rows is made anew. A column of lists has no scalar index, and one without a vector no vector index.
    """
    rows, covered = dataset.count_rows(), _covered(dataset)
    names = {column: f"{column}_idx" for column in wanted}
    short = lacking(dataset, wanted)
    makes = [column for column in short if 2 * covered.get(names[column], 0) < rows]
    for column in makes:
        _make(dataset, column, wanted[column], names[column], rows)
    behind = [names[column] for column in short if column not in makes]
    if behind:
        dataset.optimize.optimize_indices(index_names=behind)
    return bool(makes or behind)


def lacking(dataset: Any, wanted: Mapping[str, Index]) -> list[str]:
    """The columns whose index does not cover all rows."""
    rows, covered = dataset.count_rows(), _covered(dataset)
    short = [column for column in wanted if covered.get(f"{column}_idx", 0) < rows and _fits(dataset, column)]
    return [column for column in short if wanted[column] != "vector" or _any(dataset, column)]


def _any(dataset: Any, column: str) -> bool:
    """Whether a column has a value; the first will do."""
    some: dict[str, Any] = {
        "columns": [],
        "with_row_id": True,
        "limit": 1,
        "batch_size": 1024,
        "io_buffer_size": 1 << 24,
    }
    return bool(dataset.scanner(filter=f"`{column}` IS NOT NULL", **some).to_table())


def _covered(dataset: Any) -> dict[str, int]:
    return {index.name: index.num_rows_indexed for index in dataset.describe_indices()}


def _fits(dataset: Any, column: str) -> bool:
    kind = dataset.schema.field(column).type
    return pa.types.is_fixed_size_list(kind) or not pa.types.is_nested(kind)


def _make(dataset: Any, column: str, kind: Index, name: str, rows: int) -> None:
    if kind == "text":
        dataset.create_scalar_index(column, "INVERTED", name=name, replace=True, with_position=True)
    elif kind == "vector":
        partitions = max(1, rows // ROWS_A_PARTITION)
        dataset.create_index(column, "IVF_FLAT", name=name, metric="cosine", num_partitions=partitions, replace=True)
    else:
        few = pa.types.is_boolean(dataset.schema.field(column).type)
        dataset.create_scalar_index(column, "BITMAP" if few else "BTREE", name=name, replace=True)
