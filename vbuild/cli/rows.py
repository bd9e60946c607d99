"""Rows that were found, as people and programs read them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from vbuild.cli.printer import document, is_terminal, table
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

FORMATS = ("table", "json", "jsonl", "csv", "parquet")

BRIEF = ("clip_id", "file", "start_s", "end_s", "dropped_by")
"""What a table on the screen shows of clips, beside scores and captions."""

SHORT = 12
"""Characters of a clip id that a table shows: enough for --like, and one clip in a million has a namesake."""


def write(rows: pa.Table, form: str, columns: Sequence[str] | None = None) -> None:
    """Writes rows to stdout. `columns`: those that were asked for; by default those that somebody reads: of clips, in a
    table, what tells what they are, else all but vectors and lists, but in parquet everything."""
    if form == "parquet":
        _parquet(rows)
    elif form == "table":
        print(_brief(rows) if columns is None else _whole(rows.select(list(columns))), end="")
    else:
        shown = rows.select(plain(rows) if columns is None else list(columns))
        print(
            document(shown.to_pylist()) if form == "json" else _csv(shown) if form == "csv" else _lines(shown), end=""
        )


def plain(rows: pa.Table) -> list[str]:
    """The columns without vectors and lists."""
    import pyarrow as pa

    return [f.name for f in rows.schema if not pa.types.is_nested(f.type)]


def _parquet(rows: pa.Table) -> None:
    import pyarrow.parquet as pq

    if is_terminal(sys.stdout):
        raise UsageError("--format parquet: it is no text; send it to a file, as in > clips.parquet")
    sys.stdout.flush()
    pq.write_table(rows, sys.stdout.buffer)


def _lines(rows: pa.Table) -> str:
    from vbuild.secrets import masked_data

    return "".join(json.dumps(masked_data(row), default=str, ensure_ascii=False) + "\n" for row in rows.to_pylist())


def _csv(rows: pa.Table) -> str:
    """Comma-separated values under a line of names; lists as JSON."""
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows.column_names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows.to_pylist())
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    return json.dumps(value, default=str) if isinstance(value, list | dict) else value


def _whole(rows: pa.Table) -> str:
    """Every column."""
    shown = [[_cell(value) for value in row.values()] for row in rows.to_pylist()]
    return table(rows.column_names, shown) if shown else "no row\n"


def _brief(rows: pa.Table) -> str:
    """The columns that tell what a clip is: who, where, how near, and what is said of it."""
    from pathlib import Path

    from vbuild.dataset.search import SCORES

    flat: list[dict[str, Any]] = rows.select(plain(rows)).to_pylist()
    if not flat:
        return "no clip\n"
    for row in flat:
        row["file"], row["clip_id"] = Path(row["uri"]).name, row["clip_id"][:SHORT]
    dropped = any(row["dropped_by"] for row in flat)
    known = (*BRIEF, *SCORES, "similarity", "caption")
    heads = [name for name in known if name in flat[0] and (name != "dropped_by" or dropped)]
    return table(heads, [[row[head] for head in heads] for row in flat])
