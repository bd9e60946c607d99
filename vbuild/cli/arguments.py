"""How every verb reads its arguments: one parser, the same words for the same things, one line for a mistake."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NoReturn, Protocol

from vbuild.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vbuild.config import Config

Namespace = argparse.Namespace


class Verb(Protocol):
    """What the module of a verb holds; nothing heavy is imported with it."""

    ABOUT: str
    """What it does, in one line: its help, and its line in the help of the whole."""

    def declare(self, parser: Parser) -> None:
        """Adds its arguments."""

    def run(self, args: Namespace) -> int:
        """Does it and prints what there is to say; the exit code. Raises VbuildError."""


class Parser(argparse.ArgumentParser):
    """A parser of one verb, that raises UsageError where argparse would print its usage and exit."""

    def __init__(self, verb: str, about: str) -> None:
        from vbuild.cli.printer import NARROW, USUAL, terminal_width

        width = terminal_width() or USUAL
        super().__init__(
            prog=f"vbuild {verb}",
            description=about[0].upper() + about[1:] + ".",
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, width=width, max_help_position=NARROW // 2),
        )
        self.verb = verb

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        if message.startswith("the following arguments are required"):  # argparse counts those that may be left out
            may = [_name(a) for a in self._actions if a.nargs in ("*", "?")]
            head, _, names = message.partition(": ")
            message = f"{head}: {', '.join(n for n in names.split(', ') if n not in may)}"
        raise UsageError(f"{self.verb}: {message}; see {self.prog} --help")

    def flags(self) -> list[str]:
        """The flags that it knows."""
        return [flag for flag in self._option_string_actions if flag.startswith("--")]

    def usage_words(self) -> str:
        """What stands behind the verb on a command line, without its flags."""
        words = []
        for action in self._actions:
            if not action.option_strings and action.help != argparse.SUPPRESS:
                name = _name(action)
                words.append({"?": f"[{name}]", "*": f"[{name} …]"}.get(str(action.nargs), name))
        return " ".join(words)

    def read(self, arguments: Sequence[str]) -> Namespace:
        """Arguments read, flags anywhere among them. Raises UsageError, with the nearest flag for what is none.

        Where `--store` and `--output` are known, `store=` and `output=` are they too, as in a build's keys.
        """
        keys = tuple(f"{flag}=" for flag in ("store", "output") if f"--{flag}" in self._option_string_actions)
        if not any(action.dest == "keys" for action in self._actions):
            arguments = [f"--{a}" if keys and a.startswith(keys) else a for a in arguments]
        args, rest = self.parse_known_intermixed_args(list(arguments))
        for argument in rest:
            from vbuild.check import nearest

            if argument.startswith("-"):
                flag = argument.partition("=")[0]
                raise UsageError(f"{flag}: there is no such flag{nearest(flag, self.flags())}; see {self.prog} --help")
            self.error(f"unrecognized arguments: {argument}")
        return args


def _name(action: argparse.Action) -> str:
    """How an argument is called where its verb is told."""
    return action.metavar if isinstance(action.metavar, str) else str(action.dest).upper()


# what several verbs take


def add_store(parser: Parser) -> None:
    """The store, of verbs that look after it or read what was built."""
    parser.add_argument("--store", metavar="PATH", help="the cache (default ./cache, or $VBUILD_STORE); store=PATH too")


def add_built(parser: Parser, *, name: bool = True) -> None:
    """The name of a dataset that was built, and where it lies."""
    if name:
        parser.add_argument("name", metavar="NAME", help="a dataset that was built")
    add_store(parser)
    parser.add_argument("--output", metavar="PATH", help="the folder of the databases (default STORE/datasets)")


def add_json(parser: Parser) -> None:
    """The form for programs."""
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def add_keys(parser: Parser, what: str = "the dataset (NAME is +dataset=NAME), and keys as in its yaml") -> None:
    """A dataset as it is declared, with keys."""
    parser.add_argument("keys", nargs="*", metavar="NAME|KEY=VALUE", help=what)
    parser.add_argument("--store", metavar="PATH", help="the same as the key store=PATH")


# what was asked for


def overrides(args: Namespace) -> list[str]:
    """The keys of a command line; a bare name is that of the dataset. Raises UsageError for a second one."""
    made, named = [], ""
    for word in args.keys:
        bare = "=" not in word and not word.startswith(("~", "+"))
        if bare or word.startswith(("+dataset=", "dataset=")):
            if named:
                raise UsageError(f"{word}: the dataset is named already, by {named}; keys are KEY=VALUE")
            named = word
        made.append(f"+dataset={word}" if bare else word)
    return made + ([f"store={args.store}"] if args.store else [])


def config_of(args: Namespace, *, sourced: bool = True) -> Config:
    """The checked configuration that was asked for; `sourced` as in `compose.load`. Raises UsageError."""
    from vbuild.compose import load

    return load(overrides(args), sourced=sourced)


def store_of(args: Namespace) -> Path:
    """The store that was asked for, whether it is there or not."""
    from vbuild import uris

    return uris.folder(args.store or os.environ.get("VBUILD_STORE", "cache"), "store")


def existing_store(args: Namespace) -> Path:
    """The store. Raises StoreError if there is none."""
    path = store_of(args)
    if not path.is_dir():
        raise StoreError(f"{path}: there is no store; build a dataset first, or give --store PATH")
    return path


def output_of(args: Namespace) -> Path:
    """The folder of databases that was asked for."""
    from vbuild import uris

    return uris.folder(args.output, "output") if args.output else store_of(args) / "datasets"


def folder_of(args: Namespace) -> Path:
    """The folder of the dataset that is named. Raises DatasetError if there is none."""
    from vbuild.dataset.listing import find

    return find(args.name, output_of(args) if args.output else existing_store(args) / "datasets")


def positive(text: str) -> int:
    """A whole number of at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of 1 or more is expected")
    return int(text)
