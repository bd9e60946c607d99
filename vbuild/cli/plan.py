"""The verb `plan`: what a build would run, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "what a build would run, why, and what it would cost; nothing is run"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_keys(parser)
    parser.add_argument("--check", action="store_true", help="exit with 3 if there is work")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints a plan; 3 if there is work and that was asked."""
    from vbuild.cli.summary import show

    config = arguments.config_of(args)
    from vbuild.engine import plan

    report = plan(config)
    if args.json:
        print(document(report), end="")
    else:
        show(report, planned=True)
    return 3 if args.check and (report.stale or not report.up_to_date) else 0
