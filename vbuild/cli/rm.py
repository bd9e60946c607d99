"""The verb `rm`: takes a built dataset away."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, is_terminal, size

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "removes a built dataset's tables; its results stay in the store until a gc takes them"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_built(parser)
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Removes it; 1 if a person says no. Raises UsageError where nobody can be asked."""
    from vbuild.dataset import read
    from vbuild.maintenance.remove import remove

    folder = arguments.folder_of(args)
    output = folder.parent
    dataset = read.open(folder.name, output=output)
    store = arguments.store_of(args) if args.store else dataset.store
    bytes_ = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    what = f"{folder.name}: {dataset.build['counts'].get('clips', 0)} clips, {size(bytes_)} of tables in {folder}"
    if not args.yes and not _agreed(what):
        print("nothing was removed", file=sys.stderr)
        return 1
    remove(store, folder)
    if args.json:
        print(document({"removed": str(folder), "bytes": bytes_}), end="")
    else:
        print(f"removed {what}")
        print(
            "its results are still in the store: vbuild +dataset=… makes it again, vbuild gc --older-than 0d frees them"
        )
    return 0


def _agreed(what: str) -> bool:
    """Whether a person wants that. Raises UsageError where nobody can be asked."""
    if not is_terminal(sys.stdin):
        from vbuild.errors import UsageError

        raise UsageError(f"rm: {what}; give --yes to remove it")
    print(f"remove {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
