"""Reads files that list videos, with the columns that stand beside the paths."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
from csv import reader
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vbuild import digest, uris
from vbuild.errors import SourceError
from vbuild.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

ENDINGS = (".txt", ".csv", ".json", ".jsonl", ".parquet")

COLUMNS = ("uri", "path", "video", "file", "url", "filename")
"""The first of these that a list has is the one that names the videos, where the source does not say."""


MARK = codecs.BOM_UTF8
"""What some programs write before a text."""

SPELLED = (
    (r"^-?(0|[1-9][0-9]{0,18})$", "int64"),
    (r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]+([eE][+-]?[0-9]+)?|[eE]-[0-9]+)?$", "float64"),
    (r"^(true|false|True|False|TRUE|FALSE)$", "bool"),
    (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "date32"),
    (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}$", "timestamp[s]"),
)
"""How a column of text is spelled that can be read as something else, and as what."""

NUMBERS = ("int64", "float64")

BLANK = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""What stands for no number among numbers."""


URI = "\0uri"
"""A column that no list has."""


@dataclass(frozen=True)
class VideoList:
    """What a list says."""

    uris: list[str]
    columns: pa.Table | None
    """The other columns, a row a uri; None for a list that has no others."""
    digest: bytes
    """Of the file."""


def read_list(uri: str, column: str | None) -> VideoList:
    """The videos of a list; a path that is not absolute starts at the list's folder.

    A .txt has a path a line and `#` before a comment; a .csv a header; a .json a list, a .jsonl a line, of paths or of
    objects; a .parquet a column. `column` names the one that holds the path. Raises SourceError for a list that cannot
    be read, and for one that says two things of one video.
    """
    try:
        with uris.open_uri(uri) as stream:
            data = stream.read()
        if uri.lower().endswith(".txt"):
            lines = (line.strip() for line in data.removeprefix(MARK).decode(errors="surrogateescape").split("\n"))
            names, table = [line for line in lines if line and not line.startswith("#")], None
        else:
            names, table = _parted(_table(uri, data), column)
        for row, name in enumerate(names, 1):
            if "\0" in name:
                raise ValueError(f"path {row} holds a NUL")
        placed = [_placed(name, uri) for name in names]
        _once(placed, table)
    except uris.trouble() as error:
        raise SourceError(f"source.path={uri}: the list cannot be read ({uris.reason(error)})") from error
    return VideoList(placed, table, digest.of_bytes(data))


def _table(uri: str, data: bytes) -> pa.Table:
    """What a list holds, in columns; raises ValueError."""

    ending = uri.lower().rpartition(".")[2]
    if ending == "parquet":
        from pyarrow import parquet

        table = parquet.read_table(io.BytesIO(data))
    elif ending == "csv":
        table = _csv(_text(data))
    else:
        text = _text(data)
        lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        rows: Any = _json(text) if ending == "json" else [_json(line, f"line {n}: ") for n, line in lines]
        if not isinstance(rows, list) or not all(isinstance(row, str | dict) for row in rows):
            raise ValueError("a list of paths or of objects is expected")
        table = _of_rows([{COLUMNS[0]: row} if isinstance(row, str) else row for row in rows])
    called = [column_name(name).lower() for name in table.column_names]
    for name, small in zip(table.column_names, called, strict=True):
        if called.count(small) > 1:
            raise ValueError(f"{called.count(small)} of its columns are called {name}, but for signs; rename them")
    return typed(table) if ending == "csv" else table


def column_name(name: str) -> str:
    """The name of a column without what no column may be called."""
    return re.sub(r"\W+", "_", name) or "_"


def _text(data: bytes) -> str:
    """The text of a list, in UTF-8. Raises ValueError with the row that is none."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is UTF-16; save it as UTF-8")
    data = data.removeprefix(MARK)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {row} is no UTF-8, by the byte 0x{data[error.start]:02x}; save it as UTF-8") from error
    if (place := text.find("\0")) >= 0:
        row = text.count("\n", 0, place) + 1
        raise ValueError(f"line {row} holds a NUL")
    return text


def _json(text: str, where: str = "") -> Any:
    """What a JSON text says. Raises ValueError, also for an object in which a name stands twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            twice = next(name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1)
            raise ValueError(f"it says {twice} twice")
        return record

    try:
        return json.loads(text, object_pairs_hook=once)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error


def _csv(text: str) -> pa.Table:
    """A table of text; an empty cell without quotes is null."""
    import pyarrow as pa
    from pyarrow import csv

    head = next(reader(text.split("\n", 1)[:1]), [])
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(head, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = csv.ParseOptions(newlines_in_values=True)
    return csv.read_csv(io.BytesIO(text.encode()), parse_options=parse, convert_options=options)


def typed(table: pa.Table) -> pa.Table:
    """Columns of text as what all of their values are spelled like; text stays text wherever a spelling would be lost.

    `007` and `1e5` are text, `0.50` is a number, `2024-01-31` a day.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, f in enumerate(table.schema):
        if not pa.types.is_string(f.type):
            continue
        values = pc.utf8_trim_whitespace(table[f.name])
        known = values.drop_null()
        for pattern, kind in SPELLED:
            none = pa.array(BLANK if kind in NUMBERS else (), pa.string())
            said = known.filter(pc.invert(pc.is_in(known, none)))
            if len(said) and pc.all(pc.match_substring_regex(said, pattern)).as_py():
                try:
                    column = pc.if_else(pc.is_in(values, none), None, values).cast(kind)
                except pa.ArrowInvalid:  # a number of more digits, a day that no month has
                    continue
                table = table.set_column(place, f.name, column)
                break
    return table


def _of_rows(rows: list[dict[str, Any]]) -> pa.Table:
    """Objects as a table: every name that one of them has is a column; one of mixed kinds is text."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            columns[name] = pa.array(
                [v if v is None or isinstance(v, str) else json.dumps(v) for v in values], pa.string()
            )
    return pa.table(columns)


def _parted(table: pa.Table, column: str | None) -> tuple[list[str], pa.Table | None]:
    """The paths, and what stands beside them. Raises ValueError."""
    import pyarrow as pa

    name = column or next((name for name in COLUMNS if name in table.column_names), None)
    if not len(table):
        return [], None
    if name not in table.column_names:
        wanted = column or f"one of {', '.join(COLUMNS)}"
        raise ValueError(
            f"a column with the paths is expected, {wanted}; it has {', '.join(table.column_names)}; name it by "
            "source.column"
        )
    names = table[name]
    if names.null_count or not (pa.types.is_string(names.type) or pa.types.is_large_string(names.type)):
        row = names.to_pylist().index(None) + 1 if names.null_count else 1
        raise ValueError(f"the column {name} is to hold a path in each row; row {row} has none")
    rest = _masked(table.drop_columns([name]))
    return names.to_pylist(), rest if rest.num_columns else None


def _masked(table: pa.Table) -> pa.Table:
    """Columns without the secrets in their urls, for they are written to tables."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, f in enumerate(table.schema):
        column = table[f.name]
        if not (pa.types.is_string(f.type) or pa.types.is_large_string(f.type)):
            continue
        if pc.any(pc.match_substring(column, "://")).as_py():
            values = [value if value is None else masked(value) for value in column.to_pylist()]
            table = table.set_column(place, f, pa.array(values, f.type))
    return table


def _once(names: list[str], table: pa.Table | None) -> None:
    """Raises ValueError for a video of which a list says two things; the same thing twice is once."""
    if table is None or len(set(names)) == len(names):
        return
    rows: dict[str, int] = {}
    said = [json.dumps(row, default=str) for row in table.to_pylist()]
    other = [(rows[name], row) for row, name in enumerate(names) if said[rows.setdefault(name, row)] != said[row]]
    if other:
        first, second = other[0]
        raise ValueError(
            f"rows {first + 1} and {second + 1} say different things of {names[first]} ({len(other)} such rows); "
            "a video has one row: join them"
        )


def joined(lists: Sequence[VideoList]) -> pa.Table | None:
    """What several lists say, with the column `URI` of the files; None if they say nothing.

    Raises SourceError where two lists say different things of one video.
    """
    import pyarrow as pa

    tables = [
        one.columns.append_column(URI, pa.array(map(as_text, one.uris), pa.string()))
        for one in lists
        if one.columns is not None
    ]
    if not tables:
        return None
    kinds: dict[str, set[pa.DataType]] = {}
    for f in (f for table in tables for f in table.schema):
        kinds.setdefault(f.name, set()).add(f.type)
    mixed = {name for name, types in kinds.items() if len(types - {pa.null()}) > 1}
    texts = [pa.schema([f.with_type(pa.string()) if f.name in mixed else f for f in table.schema]) for table in tables]
    table = pa.concat_tables(
        [table.cast(schema) for table, schema in zip(tables, texts, strict=True)], promote_options="permissive"
    )
    try:
        _once(table[URI].to_pylist(), table)
    except ValueError as error:
        raise SourceError(f"source.path: two lists do not agree, {error}") from error
    return table


def as_text(uri: str) -> str:
    """A path as text that everything can hold: bytes that are no UTF-8 are written out."""
    return uri if uri.isascii() else uri.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _placed(name: str, uri: str) -> str:
    """A path of a list, from the list's folder on."""
    if uris.is_remote(name):
        return name.removeprefix("file://")
    if uris.is_remote(uri):
        return f"{uri.rpartition('/')[0]}/{name}"
    return os.path.normpath(os.path.join(os.path.dirname(uri), os.path.expanduser(name)))  # noqa: PTH111, PTH118, PTH120
