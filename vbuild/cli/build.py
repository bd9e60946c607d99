"""The verb `build`, which is meant where none is named: builds a dataset, or brings it up to date."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, muted

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.config import Config
    from vbuild.report import Report

ABOUT = "builds a dataset, or brings it up to date (vbuild +dataset=NAME is the same)"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_keys(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no summary, only what went wrong")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="every step, and each failure with where in the code"
    )
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Builds; 1 if the build failed."""
    return built(arguments.config_of(args), quiet=args.quiet, verbose=args.verbose, json=args.json)


def built(config: Config, *, quiet: bool = False, verbose: bool = False, json: bool = False) -> int:
    """Builds, shows what was done, and returns the exit code."""
    from vbuild.cli.progress import Watcher
    from vbuild.engine import build

    with Watcher(config.name, quiet=quiet, verbose=verbose) as watcher:
        report = build(config, watch=watcher)
    try:
        if json:
            print(document(report), end="", flush=True)
        elif not quiet:
            print_report(report)
        if verbose and not json:
            _tell_all(config, report)
    finally:
        for line in report.wrong:
            print(f"vbuild: {line}", file=sys.stderr)
    return 1 if report.wrong else 0


def print_report(report: Report) -> None:
    """Prints a report; nobody listening changes nothing."""
    from vbuild.cli import summary

    with muted():
        summary.show(report)
        sys.stdout.flush()


def _tell_all(config: Config, report: Report) -> None:
    """Where the build's record lies, and each failure in full."""
    from vbuild.cli.failures import failed, traced
    from vbuild.dataset import read

    with muted():
        if report.build:
            print(f"record: {config.store / 'runs' / report.build}")
        if report.failures and report.build:
            dataset = read.open(report.dataset, store=config.store, output=config.output)
            print("\n".join(map(traced, failed(dataset))), end="")
        sys.stdout.flush()
