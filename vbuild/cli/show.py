"""The verb `show`: what a built dataset holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, some, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "what a built dataset holds: columns, types, units, nulls, and where each comes from"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_built(parser)
    parser.add_argument("--table", metavar="TABLE", help="another than clips: videos, captions, …; all for all of them")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints the tables, and the columns of one. Raises DatasetError, and UsageError for a table that is not there."""
    from vbuild.check import hint
    from vbuild.dataset import read
    from vbuild.dataset.columns import tables
    from vbuild.errors import UsageError

    store = arguments.store_of(args) if args.store else None
    dataset = read.open(args.name, store=store, output=arguments.output_of(args))
    known = [*dataset.build["tables"]]
    wanted = known if args.table == "all" or (args.json and not args.table) else [args.table or "clips"]
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"--table {unknown[0]}: {dataset.name} has no such table{hint(unknown[0], known)}")
    told = tables(dataset, wanted)
    build = dataset.build
    if args.json:
        declared = build["config"].get("declared")
        said = {"name": dataset.name, "declared": declared, "folder": str(dataset.folder), "store": str(dataset.store)}
        print(document({**said, "build": build["id"], "time": build["time"], "tables": told}), end="")
        return 0
    counts = build["counts"]
    print(f"{dataset.name}: {counts.get('clips', 0)} clips of {some(counts.get('videos', 0), 'video')}, ", end="")
    print(f"{counts.get('kept', 0)} kept, {some(counts.get('failures', 0), 'failure')}")
    print(f"build {build['id']} of {build['time']:%Y-%m-%d %H:%M} UTC, in {dataset.folder}")
    for one in told:
        rows = [[c.name, c.type, c.unit, c.nulls, c.source] for c in one.columns]
        print(f"\n{one.name}: {some(one.rows, 'row')}")
        print(table(["column", "type", "unit", "nulls", "from"], rows), end="")
    return 0
