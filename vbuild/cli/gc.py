"""The verb `gc`: takes out of a store what no kept build uses."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, size, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.maintenance.gc import Swept

ABOUT = "takes out of the store what no kept build uses and what is old enough"

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument(
        "--keep-builds", type=arguments.positive, metavar="N", help="builds of each dataset that are kept (default 3)"
    )
    parser.add_argument("--older-than", type=_age, metavar="AGE", help="nothing younger goes: 12h, 0d (default 30d)")
    parser.add_argument("--dry-run", action="store_true", help="say it, and take nothing")
    parser.add_argument("--forget", metavar="PATH", help="give up a dataset that will not come back")
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Takes it, and says what went and what stays."""
    from pathlib import Path

    from vbuild.maintenance import gc
    from vbuild.store import roots

    store = arguments.existing_store(args)
    if args.forget:
        roots.forget(store, Path(args.forget).absolute())
    kept = gc.BUILDS_KEPT if args.keep_builds is None else args.keep_builds
    age = gc.AGE if args.older_than is None else args.older_than
    swept = gc.gc(store, keep_builds=kept, older_than=age, dry=args.dry_run)
    print(document(swept) if args.json else _swept(swept), end="")
    return 0


def _swept(swept: Swept) -> str:
    rows = [
        [part.name, part.kept, size(part.kept_bytes), part.gone, size(part.gone_bytes)]
        for part in sorted(swept.parts.values(), key=lambda part: part.name)
        if part.kept or part.gone
    ]
    heads = ["", "kept", "bytes", "would go" if swept.dry else "gone", "bytes"]
    text = table(heads, rows, right=heads[1:])
    if swept.running:
        text += f"{swept.running} running: what they use stays\n"
    return text + f"{size(swept.freed)} {'would be freed' if swept.dry else 'freed'}\n"


def _age(text: str) -> object:
    """`30d`, `12h`, `0d` as a time."""
    import re
    from datetime import timedelta

    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text}: a time is expected, such as 30d, 12h or 0d")
    return timedelta(**{UNITS[match[2]]: float(match[1])})
