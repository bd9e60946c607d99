"""The verb `models`: which models a dataset needs, whether they are here, and how they come here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.maintenance.weights import Needed

ABOUT = "the models of a dataset: which weights, whether they are here, bytes, licence; --download fetches them"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_keys(parser)
    parser.add_argument("--download", action="store_true", help="fetch what is not here, from the hub")
    arguments.add_json(parser)


def run(found: Namespace) -> int:
    """Says it; 1 if a model is not here."""
    config = arguments.config_of(found, sourced=False)
    from vbuild.maintenance.weights import fetch, needed

    every = [*needed(config)]
    if found.download:
        for one in {(one.model, one.revision): one for one in every if one.identity is None and one.model}.values():
            fetch(one)
        every = [*needed(config)]
    if found.json:
        print(document(every), end="")
    elif every:
        heads = ["instance", "role", "model", "identity", "MB", "licence"]
        print(table(heads, [_cells(one) for one in every]), end="")
        for why in dict.fromkeys(one.why for one in every if one.why):
            print(why)
    else:
        print(f"{config.name}: no stage of it has a model")
    return int(any(one.identity is None for one in every))


def _cells(one: Needed) -> list[str]:
    size = "" if one.bytes is None else f"{one.bytes / 1e6:.1f}"
    return [one.instance, one.role, one.model or "(a package's)", one.identity or "missing", size, one.licence or ""]
