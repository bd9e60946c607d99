"""The verb `verify`: looks whether a store holds what it says."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, some

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.maintenance.rerun import Rerun
    from vbuild.maintenance.verify import Verified

ABOUT = "looks whether results, blobs and tables are what they say, and drops what is not"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("--sample", type=_share, metavar="SHARE", help="a share of each recipe's results (default 1%%)")
    parser.add_argument("--all", action="store_true", help="every result")
    parser.add_argument("--rerun", type=int, default=0, metavar="N", help="run N actions again and compare")
    parser.add_argument("--dry-run", action="store_true", help="say it, and drop nothing")
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Says what is wrong; 1 if something is."""
    from vbuild.maintenance.rerun import rerun
    from vbuild.maintenance.verify import SAMPLE, verify

    store = arguments.existing_store(args)
    sample = 1.0 if args.all else SAMPLE if args.sample is None else args.sample
    done = verify(store, sample=sample, repair=not args.dry_run)
    again, left = rerun(store, args.rerun) if args.rerun else ([], [])
    code = int(bool(done.problems) or not all(line.same for line in again))
    if args.json:
        import dataclasses

        said = {**dataclasses.asdict(done), "reruns": [dataclasses.asdict(line) for line in again], "not_rerun": left}
        print(document(said), end="")
    else:
        print(_told(done, again, left, well=not code), end="")
    return code


def _told(done: Verified, again: list[Rerun], left: list[str], *, well: bool) -> str:
    lines = [f"{p.what}: {p.why} ({p.remedy})" for p in done.problems] + left
    lines += [f"{r.dataset}: {r.instance} {r.field} of {r.key}: {r.said}" for r in again if r.said != "equal"]
    seen = {"result": done.results, "blob": done.blobs, "table": done.tables}
    results, blobs, tables = (some(count, what) for what, count in seen.items())
    lines.append(f"looked at {results}, {blobs} and {tables} of builds")
    if again:
        equal = sum(line.said == "equal" for line in again)
        actions = len({(line.instance, line.key) for line in again})
        lines.append(f"ran {actions} actions again: {equal} of {len(again)} values are equal")
    lines.append(f"{len(done.problems)} problems" if done.problems else "all is well" if well else "see above")
    return "".join(line + "\n" for line in lines)


def _share(text: str) -> float:
    """`1%` or `0.01` as a share of one."""
    import re

    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text.strip())
    value = float(match[1]) / (100 if match[2] else 1) if match else 2.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: a share is expected, such as 1% or 0.01")
    return value
