"""The verbs, each a module of this room, in the order in which the help tells them."""

from __future__ import annotations

import importlib
import keyword
from typing import TYPE_CHECKING, cast

from vbuild.cli.arguments import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbuild.cli.arguments import Verb

GROUPS = {
    "Make": ("init", "build", "plan", "explain", "models", "lock"),
    "Look up": ("stages", "show-config", "try", "doctor"),
    "Read": ("ls", "show", "query", "stats", "what-if", "export", "failures"),
    "Look after": ("log", "diff", "restore", "rm", "gc", "verify", "completion"),
}

VERBS = tuple(name for names in GROUPS.values() for name in names)

HIDDEN = ("complete",)
"""What scripts call, and no person."""


def verb(name: str) -> Verb:
    """The module of a verb."""
    module = name.replace("-", "_") + ("_" if keyword.iskeyword(name) else "")
    return cast("Verb", importlib.import_module(f"vbuild.cli.{module}"))


def parser_of(name: str) -> Parser:
    """The parser of a verb, with its arguments."""
    module = verb(name)
    parser = Parser(name, module.ABOUT)
    module.declare(parser)
    return parser


def run(name: str, arguments: Sequence[str]) -> int:
    """Does a verb; -h and --help, anywhere among its arguments, print its help. Returns the exit code."""
    parser = parser_of(name)
    if any(argument in ("-h", "--help") for argument in arguments):
        print(parser.format_help(), end="")
        return 0
    return verb(name).run(parser.read(arguments))
