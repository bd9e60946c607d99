"""The verb `query`: finds clips by words, by likeness, by a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.cli import arguments
from vbuild.cli.printer import document, table

if TYPE_CHECKING:
    import pyarrow as pa

    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "finds clips by words in their captions, by likeness, by a condition"

BRIEF = ("clip_id", "file", "start_s", "end_s", "dropped_by")
"""What a table on the screen shows, beside scores and captions."""

SHORT = 12
"""Characters of a clip id that a table shows: enough for --like, and one clip in a million has a namesake."""


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("name", metavar="NAME", help="a dataset that was built")
    parser.add_argument("words", nargs="*", metavar="WORDS", help="words to look for in the captions")
    parser.add_argument("--where", metavar="SQL", help="a condition in SQL, such as 'motion_mean > 0.01'")
    parser.add_argument(
        "--like", metavar="CLIP_ID", help="a clip, of whose id the beginning is enough; the nearest to it are shown"
    )
    parser.add_argument("--limit", type=arguments.positive, default=20, metavar="N", help="rows (default 20)")
    parser.add_argument("--all", action="store_true", help="clips that were dropped, too")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
    arguments.add_built(parser, name=False)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints a row a clip. Raises DatasetError."""
    from vbuild.dataset import read

    store = arguments.store_of(args) if args.store else None
    dataset = read.open(args.name, store=store, output=arguments.output_of(args))
    text = " ".join(args.words) or None
    rows = dataset.search(text, where=args.where, like=args.like, limit=args.limit, everything=args.all)
    if args.json or args.format == "json":
        print(document(_flat(rows)), end="")
    else:
        print(_as_csv(rows) if args.format == "csv" else _as_table(rows), end="")
    return 0


def _plain_names(rows: pa.Table) -> list[str]:
    """The columns without vectors and lists, which nobody reads."""
    import pyarrow as pa

    return [f.name for f in rows.schema if not pa.types.is_nested(f.type)]


def _flat(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows without vectors and lists."""
    records: list[dict[str, Any]] = rows.select(_plain_names(rows)).to_pylist()
    return records


def _as_csv(rows: pa.Table) -> str:
    """Comma-separated values under a line of names."""
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _plain_names(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(rows))
    return buffer.getvalue()


def _as_table(rows: pa.Table) -> str:
    """The columns that tell what a clip is: who, where, how near, and what is said of it."""
    from pathlib import Path

    from vbuild.dataset.search import SCORES

    flat = _flat(rows)
    if not flat:
        return "no clip\n"
    for row in flat:
        row["file"], row["clip_id"] = Path(row["uri"]).name, row["clip_id"][:SHORT]
    dropped = any(row["dropped_by"] for row in flat)
    heads = [name for name in (*BRIEF, *SCORES, "caption") if name in flat[0] and (name != "dropped_by" or dropped)]
    return table(heads, [[row[head] for head in heads] for row in flat])
