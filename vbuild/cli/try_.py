"""The verb `try`: one stage alone on one video."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from vbuild.cli import arguments
from vbuild.cli.printer import document, is_terminal, size, some, table
from vbuild.errors import VbuildError

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.trial import Trial

ABOUT = "runs one stage, vbuild's or your own, on one video alone: its rows, seconds and bytes; no store is touched"

LENGTH = 10.0

FEW = 4
"""Numbers of a list that a table shows."""


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("stage", metavar="STAGE", help="a stage of vbuild stages, or mypkg.MyStage")
    parser.add_argument("video", metavar="VIDEO", help="a file, or a url")
    parser.add_argument("parameters", nargs="*", metavar="KEY=VALUE", help="its parameters; keys of a dataset too")
    spans = parser.add_mutually_exclusive_group()
    spans.add_argument("--length", type=float, default=LENGTH, metavar="S", help=f"seconds a clip ({LENGTH:g})")
    spans.add_argument("--whole", action="store_true", help="the whole video is one clip")
    parser.add_argument("--limit", type=arguments.positive, metavar="N", help="the first N clips (default: all)")
    parser.add_argument("--files", metavar="FOLDER", help="a folder that takes the files which the stage makes")
    parser.add_argument("--trace", action="store_true", help="of what fails, where in the code")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Tries it; 1 if anything failed."""
    from pathlib import Path

    from vbuild.cli.progress import Watcher
    from vbuild.trial import Wanted, try_stage

    length = None if args.whole else args.length
    wanted = Wanted(args.stage, args.video, args.parameters, length, args.limit)
    try:
        with Watcher(args.stage, quiet=not is_terminal(sys.stderr)) as watcher:
            trial = try_stage(wanted, watcher, Path(args.files) if args.files else None)
    except VbuildError as error:
        if args.trace and error.__cause__ is not None:
            import traceback

            traceback.print_exception(error.__cause__)
        raise
    return _said(trial, args)


def _said(trial: Trial, args: Namespace) -> int:
    assert trial.report is not None
    if args.json:
        said = {"stage": trial.stage, "target": trial.target, "rows": trial.rows, "seconds": trial.seconds}
        print(
            document(
                {
                    **said,
                    "value_bytes": trial.value_bytes,
                    "file_bytes": trial.bytes,
                    "failures": trial.failures,
                    "wrong": trial.report.wrong,
                }
            ),
            end="",
        )
    else:
        _tell(trial, trace=args.trace)
    for line in trial.report.wrong:
        print(f"vbuild: {line}", file=sys.stderr)
    return int(bool(trial.failures or trial.report.wrong))


def _tell(trial: Trial, *, trace: bool) -> None:
    """The rows, what they cost, and what failed."""
    from vbuild.cli.failures import traced
    from vbuild.cli.summary import first_line

    heads = [n for n in (trial.rows[0] if trial.rows else ()) if not n.endswith("digest")]
    heads = [n for n in heads if n != "error" or any(row[n] for row in trial.rows)]
    if trial.rows:
        print(table(heads, [[_brief(row[head]) for head in heads] for row in trial.rows]), end="")
    rows, report = len(trial.rows), trial.report
    assert report is not None
    each = f", {trial.seconds / rows:.3f} s each" if rows else ""
    print(f"{trial.stage}: {some(rows, 'row')} in {trial.seconds:.3f} s of a worker{each}; ", end="")
    print(f"{size(trial.value_bytes)} of values, {size(trial.bytes)} of files")
    if trace:
        kinds = {row["trace"]: row for row in reversed(trial.failures)}
        print("\n".join(map(traced, kinds.values())), end="")
    else:
        for first in report.firsts:
            print(first_line(first))
        if report.firsts:
            print("--trace tells where in the code")


def _brief(value: Any) -> Any:
    """A value that fits a table: of a list its first ones."""
    if not isinstance(value, list):
        return value
    shown = ", ".join(f"{item:.3g}" if isinstance(item, float) else str(item) for item in value[:FEW])
    return f"{len(value)}: {shown}, …" if len(value) > FEW else shown
