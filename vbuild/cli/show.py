"""The verbs that read datasets: `query` and `ls`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vbuild.cli.arguments import dataset_parser, output_of, parsed, positive, store_of
from vbuild.dataset import query
from vbuild.dataset.listing import listing
from vbuild.dataset.query import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

BRIEF = ("clip_id", "file", "start_s", "end_s", "dropped_by", *SCORES)
"""What a table on the screen shows, beside the captions."""

SHORT = 12
"""Characters of a clip id that a table shows: enough for --like, and one clip in a million has a namesake."""


def search(arguments: Sequence[str]) -> str:
    """What `vbuild query` prints. Raises DatasetError."""
    parser = dataset_parser("query", "Finds clips by words in their captions, by likeness, by a condition.")
    parser.add_argument("name", help="the dataset")
    parser.add_argument("words", nargs="*", help="words to look for in the captions")
    parser.add_argument("--where", metavar="SQL", help="a condition in SQL, such as 'motion_mean > 0.01'")
    parser.add_argument(
        "--like", metavar="CLIP_ID", help="a clip, of whose id the beginning is enough; the nearest to it are shown"
    )
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="rows (default 20)")
    parser.add_argument("--all", action="store_true", help="clips that were dropped, too")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
    found = parsed(parser, arguments)
    store = store_of(found) if found.store else None
    dataset = query.open(found.name, store=store, output=output_of(found))
    text = " ".join(found.words) or None
    rows = dataset.search(text, where=found.where, like=found.like, limit=found.limit, everything=found.all)
    if found.format == "table":
        return as_table(rows)
    return as_json(rows) if found.format == "json" else as_csv(rows)


def ls(arguments: Sequence[str]) -> str:
    """What `vbuild ls` prints."""
    found = parsed(dataset_parser("ls", "The datasets that were built."), arguments)
    built = listing(output_of(found))
    if not built:
        return f"no dataset in {output_of(found)}; vbuild +dataset=NAME builds one\n"
    heads = ["name", "declared by", "videos", "clips", "kept", "last change (UTC)", "size"]
    rows = [
        [d.name, d.declared, d.videos, d.clips, d.kept, f"{d.built:%Y-%m-%d %H:%M}", f"{d.size / 1e6:.1f} MB"]
        for d in built
    ]
    return drawn(heads, rows)


def _flat(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows without vectors and lists, which nobody reads."""
    plain = [f.name for f in rows.schema if not pa.types.is_nested(f.type)]
    found: list[dict[str, Any]] = rows.select(plain).to_pylist()
    return found


def as_json(rows: pa.Table) -> str:
    """A JSON list with an object a clip."""
    return json.dumps(_flat(rows), indent=1, default=str) + "\n"


def as_csv(rows: pa.Table) -> str:
    """Comma-separated values under a line of names."""
    flat = _flat(rows)
    buffer = io.StringIO()
    names = list(flat[0]) if flat else [f.name for f in rows.schema if not pa.types.is_nested(f.type)]
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return buffer.getvalue()


def as_table(rows: pa.Table) -> str:
    """The columns that tell what a clip is: who, where, how near, and what is said of it."""
    flat = _flat(rows)
    if not flat:
        return "no clip\n"
    for row in flat:
        row["file"], row["clip_id"] = Path(row["uri"]).name, row["clip_id"][:SHORT]
    dropped = any(row["dropped_by"] for row in flat)
    heads = [name for name in BRIEF if name in flat[0] and (name != "dropped_by" or dropped)]
    heads += [name for name in ("caption",) if name in flat[0]]
    return drawn(heads, [[_brief(row[head]) for head in heads] for row in flat])


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


def drawn(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table as wide as the screen, or, where there is none, as wide as it is."""
    import sys

    from rich.console import Console
    from rich.table import Table

    table = Table(*heads, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(str, row))
    buffer = io.StringIO()
    wide = None if sys.stdout.isatty() else 200
    Console(file=buffer, width=wide, force_terminal=sys.stdout.isatty()).print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
