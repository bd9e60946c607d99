"""The verb `restore`: brings a dataset back to what a build left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "brings a dataset back to what a build left; the next build brings it up to date"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_built(parser)
    parser.add_argument(
        "build", metavar="BUILD", help="a build of vbuild log, or the end of its id; previous: the last but one"
    )
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Restores it, and says as what."""
    from vbuild.maintenance import history

    folder = arguments.folder_of(args)
    done = history.restore(arguments.existing_store(args), folder, args.build)
    if args.json:
        print(document(done), end="")
        return 0
    print(f"{folder.name} is as build {done.source} left it, under build {done.build}")
    if done.missing:
        print(f"{done.missing} clips name files that a gc took; a build with that configuration makes them again")
    print("the next build brings it up to date again")
    return 0
