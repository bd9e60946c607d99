"""The command: verbs, exit codes, and one line for every mistake."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from vbuild import stops
from vbuild.cli.printer import document, mute
from vbuild.errors import RAISED, Stopped, UsageError, VbuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main() -> None:
    """Entry point of the `vbuild` command."""
    signal.signal(signal.SIGTERM, stops.stop)
    signal.signal(signal.SIGINT, stops.stop)
    if sys.stdout is None:  # closed by who called: the next file that is opened must not become it
        mute()
    sys.exit(exit_code(lambda: run(sys.argv[1:])))


def exit_code(do: Callable[[], int]) -> int:
    """Does something, and turns what ends it early into a line and an exit code."""
    try:
        code = do()
        sys.stdout.flush()
    except BrokenPipeError:
        mute()
        return 0
    except (KeyboardInterrupt, *RAISED) as error:
        if stops.asked() or isinstance(error, KeyboardInterrupt):
            return _stopped(error)
        if not isinstance(error, VbuildError):
            if not (isinstance(error, OSError) and _unwritable()):
                raise
            mute()
            print(f"vbuild: stdout cannot be written: {error}", file=sys.stderr)
            return 1
        for line in str(error).splitlines():
            print(f"vbuild: {line}", file=sys.stderr)
        return error.exit_code
    return code


def _unwritable() -> bool:
    """Whether stdout refuses what it was given."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def _stopped(stop: BaseException) -> int:
    """Says how far a build came that a person stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # another one has nothing left to end
    if isinstance(stop, Stopped):
        from vbuild.cli.build import print_report

        with suppress(OSError):
            print_report(stop.report)
    print("vbuild: stopped; what was done is kept, the same command goes on from there", file=sys.stderr)
    return 130


def run(arguments: Sequence[str]) -> int:
    """Does what the arguments say and returns the exit code. Raises VbuildError."""
    from vbuild.cli import verbs

    if not arguments or list(arguments) == ["--json"]:
        return _list_datasets(json=bool(arguments))
    first, rest = arguments[0], arguments[1:]
    if first in ("-h", "--help") or (first == "help" and not rest):
        from vbuild.cli.helping import help_of_all

        print(help_of_all(), end="")
        return 0
    if first == "help":
        return run([*rest[:1], "--help"])
    if first == "--version":
        from vbuild import __version__

        print(f"vbuild {__version__}")
        return 0
    named = first in verbs.VERBS or first in verbs.HIDDEN
    if first == "build" or not named:
        from vbuild.cli import hydras

        if hydras.asks_hydra(arguments):
            return hydras.run(rest if named else arguments)
        if not named and not first.startswith(("-", "~", "+")) and "=" not in first:
            raise _unknown(first)
    return verbs.run(first, rest) if named else verbs.run("build", arguments)


def _unknown(word: str) -> UsageError:
    """What is to be said of a word that is no verb: most often it is a dataset, or nearly a verb."""
    from vbuild import declared
    from vbuild.check import nearest_name
    from vbuild.cli.verbs import VERBS

    if word in declared.names():
        return UsageError(
            f"{word}: it is a dataset, and no command; did you mean `vbuild +dataset={word}`, or `vbuild build {word}`?"
        )
    near = nearest_name(word, [*VERBS, *declared.names()])
    meant = f"; did you mean {near if near in VERBS else f'+dataset={near}'!r}?" if near else ""
    return UsageError(f"{word}: there is no such command{meant}; see vbuild --help")


def _list_datasets(*, json: bool) -> int:
    from vbuild.declared import datasets

    if json:
        print(document(datasets()), end="")
        return 0
    print("Datasets (vbuild +dataset=NAME builds one):")
    for declared in datasets():
        note = "  [vbuild's own; yours of that name is hidden: rename it]" if declared.hides else ""
        print(f"  {declared.name:<16}{declared.about}{note}")
    print("See vbuild --help.")
    return 0
