"""The verb `stats`: how scores lie among the clips that were kept and those that were dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.cli import arguments
from vbuild.cli.printer import document, some, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.dataset.stats import Histogram

ABOUT = "histograms of every score, of the clips that were kept and of those that each decision dropped"

WIDE = 24
"""Letters of the longest bar."""


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("name", metavar="NAME", help="a dataset that was built")
    parser.add_argument("--columns", metavar="A,B", help="which columns (default all that stages measured)")
    parser.add_argument("--where", metavar="SQL", help="of which clips")
    parser.add_argument("--bins", type=arguments.positive, default=10, metavar="N", help="ranges (default 10)")
    arguments.add_built(parser, name=False)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints a histogram a column. Raises DatasetError."""
    from vbuild.dataset import read
    from vbuild.dataset.stats import histograms

    store = arguments.store_of(args) if args.store else None
    dataset = read.open(args.name, store=store, output=arguments.output_of(args))
    wanted = [name.strip() for name in args.columns.split(",")] if args.columns else None
    found = histograms(dataset, wanted, args.where, args.bins)
    if args.json:
        print(document(found), end="")
        return 0
    if not found:
        print(f"{dataset.name}: no column holds a number, a truth or few words")
    for n, one in enumerate(found):
        print("\n" * bool(n) + _told(one), end="")
    return 0


def _told(one: Histogram) -> str:
    """A histogram for the terminal: kept clips are full, dropped ones are hatched."""
    total = one.values + sum(one.nulls.values())
    unit = f" {one.unit}" if one.unit else ""
    head = f"{one.column}: {one.values} of {some(total, 'clip')}"
    if one.median is not None:
        head += f", {_number(one.least)} to {_number(one.most)}{unit}, median {_number(one.median)}"
    head += f"; read by {', '.join(one.read_by)}" if one.read_by else ""
    if not one.bins:
        return f"{head}\n"
    groups = list(one.nulls)
    most = max(sum(b.counts.values()) for b in one.bins)
    rows: list[list[Any]] = [
        [_range(b.low, b.high), _bar(b.counts, most), *(b.counts[group] or "" for group in groups)] for b in one.bins
    ]
    if any(one.nulls.values()):
        rows.append(["null", "", *(one.nulls[group] or "" for group in groups)])
    return f"{head}\n{table(['value', '', *groups], rows, right=['value', *groups])}"


def _bar(counts: dict[str, int], most: int) -> str:
    """Full for what was kept, hatched for what was dropped; nothing that is there has no letter."""
    total = sum(counts.values())
    long = max(round(WIDE * total / most), 1) if total else 0
    full = round(long * counts["kept"] / total) if total else 0
    return "█" * full + "░" * (long - full)


def _range(low: Any, high: Any) -> str:
    if isinstance(low, bool):
        return "yes" if low else "no"
    if low == high:
        return low if isinstance(low, str) else _number(low)
    return f"{_number(low)} … {_number(high)}"


def _number(value: float) -> str:
    return f"{value:.4g}"
