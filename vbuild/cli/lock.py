"""The verb `lock`: writes down what a dataset is made of, so that builds can be held to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, some

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "writes down a dataset's models, encoders and videos; locked=true refuses others"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_keys(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Writes the lock, and says what it holds and what the one before held otherwise."""
    config = arguments.config_of(args)
    from vbuild.maintenance import lock

    path, held, changed = lock.make(config)
    if args.json:
        print(document({"path": str(path), "lock": held, "changed": changed}), end="")
        return 0
    roles = [*(r for roles in (held.models, held.encoders) for stage in roles.values() for r in stage)]
    print(f"{path}: {', '.join([some(held.videos.count, 'video'), *roles])}")
    for difference in changed:
        print(f"  {difference.replace('the lock holds', 'it held')}")
    return 0
