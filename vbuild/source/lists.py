"""Reads files that list videos, with the columns that stand beside the paths."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vbuild import digest, uris
from vbuild.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".txt", ".csv", ".json", ".jsonl", ".parquet")

COLUMNS = ("uri", "path", "video", "file", "url", "filename")
"""The first of these that a list has is the one that names the videos, where the source does not say."""


@dataclass(frozen=True)
class Listed:
    """What a list says."""

    uris: list[str]
    columns: pa.Table | None
    """The other columns, a row a uri; None for a list that has no others."""
    digest: bytes
    """Of the file."""


def read(uri: str, column: str | None) -> Listed:
    """The videos of a list; a path that is not absolute starts at the list's folder.

    A .txt has a path a line and `#` before a comment; a .csv a header; a .json a list, a .jsonl a line, of paths or of
    objects; a .parquet a column. `column` names the one that holds the path. Raises SourceError.
    """
    try:
        with uris.opened(uri) as stream:
            data = stream.read()
        if uri.lower().endswith(".txt"):
            lines = (line.strip() for line in data.decode(errors="surrogateescape").splitlines())
            names, table = [line for line in lines if line and not line.startswith("#")], None
        else:
            names, table = _parted(uri, _table(uri, data), column)
    except uris.trouble() as error:
        raise SourceError(f"source.path={uri}: the list cannot be read ({uris.said(error)})") from error
    return Listed([_placed(name, uri) for name in names], table, digest.of_bytes(data))


def _table(uri: str, data: bytes) -> pa.Table:
    import pyarrow as pa

    ending = uri.lower().rpartition(".")[2]
    if ending == "csv":
        from pyarrow import csv

        return csv.read_csv(io.BytesIO(data))
    if ending == "parquet":
        from pyarrow import parquet

        return parquet.read_table(io.BytesIO(data))
    text = data.decode()
    rows: Any = json.loads(text) if ending == "json" else [json.loads(x) for x in text.splitlines() if x.strip()]
    if not isinstance(rows, list) or not all(isinstance(row, str | dict) for row in rows):
        raise ValueError("a list of paths or of objects is expected")
    return pa.Table.from_pylist([{COLUMNS[0]: row} if isinstance(row, str) else row for row in rows])


def _parted(uri: str, table: pa.Table, column: str | None) -> tuple[list[str], pa.Table | None]:
    """The paths, and what stands beside them."""
    import pyarrow as pa

    name = column or next((name for name in COLUMNS if name in table.column_names), None)
    if not len(table):
        return [], None
    if name not in table.column_names:
        wanted = column or f"one of {', '.join(COLUMNS)}"
        raise SourceError(
            f"source.path={uri}: a column with the paths is expected, {wanted}; it has "
            f"{', '.join(table.column_names)}; name it by source.column"
        )
    names = table[name]
    if names.null_count or not (pa.types.is_string(names.type) or pa.types.is_large_string(names.type)):
        raise SourceError(f"source.path={uri}: the column {name} is to hold a path in each row")
    rest = table.drop_columns([name])
    return names.to_pylist(), rest if rest.num_columns else None


def _placed(name: str, uri: str) -> str:
    """A path of a list, from the list's folder on."""
    if uris.is_remote(name):
        return name.removeprefix("file://")
    if uris.is_remote(uri):
        return f"{uri.rpartition('/')[0]}/{name}"
    return os.path.normpath(os.path.join(os.path.dirname(uri), os.path.expanduser(name)))  # noqa: PTH111, PTH118, PTH120
