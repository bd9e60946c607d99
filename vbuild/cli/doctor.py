"""The verb `doctor`: whether this machine has what vbuild needs, and whether the store is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "whether this machine has what vbuild needs: versions, extras, devices, encoders, the store's health"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Says it; 1 if something has to be mended."""
    from vbuild.maintenance.doctor import examine

    told = list(examine(arguments.store_of(args).absolute()))
    wrong = [one for one in told if one.state == "wrong"]
    if args.json:
        print(document(told), end="")
    else:
        print(table(["", "", "state", "found", "remedy"], [[o.part, o.what, o.state, o.found, o.remedy] for o in told]))
        print(f"{len(wrong)} to be mended" if wrong else "all is well; what is absent, not everybody needs")
    return int(bool(wrong))
