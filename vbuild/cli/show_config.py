"""The verb `show-config`: every key of a dataset, with its value and where that was set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "every key of a dataset, defaults too, with its value and where that was set"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_keys(parser)
    parser.add_argument("--set", action="store_true", help="only what is not at its default")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints a line a key."""
    words = arguments.overrides(args)
    from vbuild.origins import DEFAULT, settings

    told = [setting for setting in settings(words) if not args.set or setting.origin != DEFAULT]
    if args.json:
        print(document(told), end="")
    else:
        print(table(["key", "value", "set by"], [[s.key, s.value, s.origin] for s in told]), end="")
    return 0
