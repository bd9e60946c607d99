"""How the verbs that build nothing read their arguments: the same store for all, and one line for a mistake."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NoReturn

from vbuild import uris
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(f"{self.prog.partition(' ')[2]}: {message}; see {self.prog} --help")


def parser(verb: str, about: str) -> Parser:
    """A parser with what every verb takes."""
    made = Parser(prog=f"vbuild {verb}", description=about, allow_abbrev=False)
    made.add_argument("--store", help="the cache (default ./cache, or $VBUILD_STORE); store=PATH too")
    return made


def dataset_parser(verb: str, about: str) -> Parser:
    """A parser with what every verb takes that reads datasets."""
    made = parser(verb, about)
    made.add_argument("--output", help="the folder of the databases (default STORE/datasets)")
    return made


def parsed(found: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """Arguments read; `store=` and `output=` may be written as in a build. Raises UsageError."""
    return found.parse_args([f"--{a}" if a.startswith(("store=", "output=")) else a for a in arguments])


def store_of(found: argparse.Namespace) -> Path:
    """The store that was asked for, whether it is there or not."""
    return uris.folder(found.store or os.environ.get("VBUILD_STORE", "cache"), "store")


def output_of(found: argparse.Namespace) -> Path:
    """The folder of databases that was asked for."""
    return uris.folder(found.output, "output") if found.output else store_of(found) / "datasets"


def positive(text: str) -> int:
    """A whole number of at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of 1 or more is expected")
    return int(text)
