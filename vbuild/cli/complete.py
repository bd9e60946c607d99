"""The hidden verb `complete`: what may stand where a person is typing, a line each, for the script of `completion`."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vbuild.cli import verbs
from vbuild.errors import VbuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "what may stand where a person is typing"

BUILT = ("show", "query", "stats", "what-if", "export", "failures", "log", "diff", "restore", "rm")
"""Verbs that take the name of a dataset that was built."""

DECLARED = ("build", "plan", "explain", "models", "lock", "show-config", "stages")
"""Verbs that take a dataset as it is declared, and keys."""


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("line", help="what was typed")
    parser.add_argument("point", type=int, help="where the cursor stands in it")


def run(args: Namespace) -> int:
    """Prints what may stand there; nothing where nothing is known."""
    for word in candidates(args.line[: args.point]):
        print(word)
    return 0


def candidates(line: str) -> list[str]:
    """What the last word of a line may be; of a word with `=` what may stand behind it, as bash parts words there."""
    words = line.split()
    current = "" if not line or line[-1].isspace() else words.pop()
    fitting = sorted({word for word in _words(words[1:], current) if word.startswith(current)})
    head, equals, _ = current.rpartition("=")
    return [word[len(head) + 1 :] if equals else word for word in fitting]


def _words(before: Sequence[str], current: str) -> Iterator[str]:
    """All words that may follow others."""
    verb = before[0] if before and before[0] in verbs.VERBS else ""
    if current.startswith("-"):
        yield from _flags(verb, begins=not before)
    elif not before:
        yield from verbs.VERBS
        yield from (f"+dataset={name}" for name in _datasets())
    elif verb in BUILT:
        yield from _built(before) if not _bare(before[1:]) else ()
    elif verb == "completion":
        yield from ("bash", "zsh")
    elif verb == "try":
        yield from _stages("stage") if not _bare(before[1:]) else ()
    elif verb in DECLARED or not verb:
        yield from _keys(verb, before, current)


def _flags(verb: str, *, begins: bool) -> Iterator[str]:
    yield from ("--help", *verbs.parser_of(verb or "build").flags())
    if begins:
        yield from ("--version", "--cfg", "--info", "--multirun")


def _keys(verb: str, before: Sequence[str], current: str) -> Iterator[str]:
    """The dataset, if none is named yet, and then its keys with their values."""
    given = [word for word in before[1 if verb else 0 :] if not word.startswith("-")]
    named = [word for word in given if "=" not in word or word.startswith(("+dataset=", "dataset="))]
    if not named:
        yield from (f"{sign}{name}" for name in _datasets() for sign in (("", "+dataset=") if verb else ("+dataset=",)))
        yield from _stages("stage", "split") if verb == "stages" and "=" not in current else ()
        return
    keys = [word if "=" in word else f"+dataset={word}" for word in given]
    with suppress(VbuildError):
        yield from _values(keys, current) if "=" in current else _names(keys)


def _names(keys: Sequence[str]) -> Iterator[str]:
    from vbuild.origins import settings

    yield from (f"{one.key}=" for one in settings(keys) if not one.key.endswith("_target_"))
    yield "split="
    yield "stage@stages."


def _values(keys: Sequence[str], current: str) -> Iterator[str]:
    """What a key may be: one of a few words, or a file of its group."""
    from vbuild.compose import load
    from vbuild.described import parameters, shipped

    key = current.partition("=")[0]
    if key == "split" or key.startswith("stage@"):
        wanted = ("splitter",) if key == "split" else ("stage", "decision")
        yield from (f"{key}={name}" for name, one in shipped().items() if one.kind in wanted)
        return
    stages = load(keys).by_path()
    stage = stages.get(key.rpartition(".")[0])
    for parameter in parameters(type(stage)) if stage else ():
        if parameter.name == key.rpartition(".")[2] and " | " in parameter.kind:
            yield from (f"{key}={word}" for word in parameter.kind.split(" | ") if " " not in word)


def _datasets() -> list[str]:
    from vbuild.declared import names

    return names()


def _stages(*groups: str) -> Iterable[str]:
    """Names of stages, or splitters, by their files alone."""
    from vbuild.declared import CONF, user_conf

    confs = [conf for conf in (CONF, user_conf()) if conf]
    return {path.stem for conf in confs for group in groups for path in (conf / group).glob("*.yaml")}


def _built(before: Sequence[str]) -> Iterator[str]:
    """Names of datasets that were built, by their folders alone."""
    from pathlib import Path

    said = [word.partition("=")[2] for word in before if word.startswith(("--store=", "store="))]
    store = Path(said[-1] if said else os.environ.get("VBUILD_STORE", "cache"))
    yield from (path.parent.name for path in (store / "datasets").glob("[!.]*/builds.lance"))


def _bare(words: Sequence[str]) -> list[str]:
    """The words that are no flags and no keys."""
    return [word for word in words if not word.startswith("-") and "=" not in word]
