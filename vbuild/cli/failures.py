"""The verb `failures`: what failed of a dataset, on which footage, why, and where in the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.cli import arguments
from vbuild.cli.printer import document, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.dataset.read import Dataset

ABOUT = "what failed in a dataset, on which footage, why, and where in the code"

HEADS = ("stage", "file", "span", "attempts", "error", "message", "when")


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_built(parser)
    parser.add_argument("--trace", action="store_true", help="each with its traceback, and the versions of what ran")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints a line an action or file that failed, newest last. Raises DatasetError."""
    from vbuild.dataset import read

    rows = failed(read.open(args.name, output=arguments.output_of(args)))
    if args.json:
        print(document(rows), end="")
    elif not rows:
        print(f"nothing failed in {args.name}")
    elif args.trace:
        print("\n".join(map(traced, rows)), end="")
    else:
        print(table(HEADS, [[_brief(head, row) for head in HEADS] for row in rows], right=["attempts"]), end="")
    return 0


def failed(dataset: Dataset) -> list[dict[str, Any]]:
    """The failures of a dataset's last build: a row each, with the file and, for a clip, its span in seconds."""
    import json

    if "failures" not in dataset.build["tables"]:
        from vbuild.errors import DatasetError

        raise DatasetError(f"{dataset.name}: its last build told no failures; build it again")
    rows = dataset.table("failures").search().limit(None).to_list()
    rows.sort(key=lambda row: (row["created"] is not None, row["created"], row["failure_id"]))
    hidden = ("failure_id", "row_digest", "_rowid")
    return [
        {name: value for name, value in row.items() if name not in hidden}
        | {"versions": json.loads(row["versions"] or "{}")}
        for row in rows
    ]


def traced(row: dict[str, Any]) -> str:
    """A failure with its traceback, and the versions of what ran."""
    where = f"{row['uri']} {_brief('span', row)}".rstrip()
    program = ", the program's own fault" if row["kind"] == "program" else ""
    ran = ", ".join(f"{name} {version}" for name, version in row["versions"].items() if name != "code")
    told = [f"{row['stage']}: {where} (attempts {row['attempts'] or 1}{program})", f"  {ran}" if ran else ""]
    body = row["trace"] or row["message"]
    return "\n".join([line for line in told if line] + [f"  {line}" for line in body.rstrip().splitlines()]) + "\n"


def _brief(head: str, row: dict[str, Any]) -> str:
    from pathlib import Path

    if head == "span":
        return "" if row["start_s"] is None else f"{row['start_s']:.3f}-{row['end_s']:.3f}"
    if head == "when":
        return "" if row["created"] is None else f"{row['created']:%Y-%m-%d %H:%M}"
    if head == "message":
        return str(row["message"]).removeprefix(f"{row['error']}: ")
    if head == "attempts":
        return str(row["attempts"] or "")
    return Path(row["uri"]).name if head == "file" else str(row[head])
