"""The verb `ls`: the datasets that were built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, size, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "the datasets that were built"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_built(parser, name=False)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints a line a dataset."""
    from vbuild.dataset.listing import built_datasets

    built = built_datasets(arguments.output_of(args))
    if args.json:
        print(document(built), end="")
    elif not built:
        print(f"no dataset in {arguments.output_of(args)}; vbuild +dataset=NAME builds one")
    else:
        heads = ["name", "declared by", "videos", "clips", "kept", "last change (UTC)", "size"]
        rows = [
            [d.name, d.declared, d.videos, d.clips, d.kept, f"{d.built:%Y-%m-%d %H:%M}", size(d.size)] for d in built
        ]
        print(table(heads, rows, right=["size"]), end="")
    return 0
