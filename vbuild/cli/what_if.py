"""The verb `what-if`: which clips other conditions would keep, without a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, some, table
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.dataset.read import Dataset

ABOUT = "which clips other conditions would keep, by what is measured already; nothing is run"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("name", metavar="NAME", help="a dataset that was built")
    parser.add_argument(
        "keys", nargs="*", metavar="KEY=VALUE",
        help="where.still='motion_mean >= 0.002' (null takes it away), stages.dedup.eps=0.01",
    )  # fmt: skip
    parser.add_argument("--limit", type=arguments.positive, default=20, metavar="N", help="clips named (default 20)")
    arguments.add_built(parser, name=False)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints what would change. Raises DatasetError, UsageError."""
    from vbuild.dataset import read
    from vbuild.dataset.whatif import what_if

    keys = [word for word in args.keys if not word.startswith(("store=", "output="))]
    for word in args.keys:
        if word.startswith(("store=", "output=")):
            setattr(args, *word.split("=", 1))
    store = arguments.store_of(args) if args.store else None
    overrides: dict[str, str | float | None] = {}
    for word in keys:
        key, given, value = word.lstrip("+").partition("=")
        if not given:
            raise UsageError(f"{word}: KEY=VALUE is expected, such as where.still='motion_mean >= 0.002'")
        overrides[key] = None if value in ("null", "") else value
    if not overrides:
        raise UsageError("what-if: say what would be otherwise, such as where.still='motion_mean >= 0.002'")
    dataset = read.open(args.name, store=store, output=arguments.output_of(args))
    change = what_if(dataset, overrides)
    if args.json:
        print(document(change), end="")
        return 0
    print(f"{dataset.name}: {change.before} kept, {change.kept} would be", end="")
    print(
        f" (+{len(change.gained)} -{len(change.lost)})" + (f", {len(change.open)} cannot be told" * bool(change.open))
    )
    rows = [[name, count, change.unknown.get(name, 0)] for name, count in change.dropped.items()]
    print(table(["decision", "would drop", "cannot tell"], rows), end="")
    _clips(dataset, "gained", change.gained, args.limit)
    _clips(dataset, "lost", change.lost, args.limit)
    if change.open:
        print(f"\n{some(len(change.open), 'clip')}: what these need was not measured, for they were dropped before;")
        print("vbuild plan tells what that takes, and a build does it")
    return 0


def _clips(dataset: Dataset, what: str, ids: list[str], limit: int) -> None:
    """Names clips."""
    if not ids:
        return
    from pathlib import Path

    listed = ", ".join(f"'{one}'" for one in ids[:limit])
    found = dataset.to_arrow(["clip_id", "uri", "start_s", "end_s"], f"clip_id IN ({listed})", everything=True)
    rows = [[r["clip_id"][:12], Path(r["uri"]).name, r["start_s"], r["end_s"]] for r in found.to_pylist()]
    more = f", of {len(ids)}" if len(ids) > limit else ""
    print(f"\n{what}{more}:")
    print(table(["clip_id", "file", "start_s", "end_s"], rows), end="")
