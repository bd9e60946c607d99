"""The verb `log`: the builds of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.maintenance.history import Entry

ABOUT = "a dataset's builds, the newest first: when, what changed, counts, seconds"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_built(parser)
    parser.add_argument("--limit", type=arguments.positive, metavar="N", help="builds, the newest (default: all)")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints a line a build."""
    from vbuild.maintenance import history

    entries = history.log(arguments.folder_of(args))[: args.limit]
    if args.json:
        print(document(entries), end="")
        return 0
    heads = ["build", "when (UTC)", "seconds", *history.COUNTS, "ran", "what changed"]
    rows = [
        [e.build, e.time, f"{e.seconds:.1f}", *e.counts.values(), _ran(e), "; ".join(e.changes) or "new results"]
        for e in entries
    ]
    print(table(heads, rows, right=["seconds", *history.COUNTS]), end="")
    return 0


def _ran(entry: Entry) -> str:
    return ", ".join(f"{name} {n}" for name, n in entry.ran.items())
