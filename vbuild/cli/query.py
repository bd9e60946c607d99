"""The verb `query`: finds clips by words, by likeness, by a condition, or asks SQL of all tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.cli import arguments, rows
from vbuild.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.dataset.read import Dataset

ABOUT = "finds clips by words in their captions, by likeness, by a condition, or asks SQL of all tables"

USUAL = 20
"""Clips that are shown where no limit is given."""

FINDING = ("near", "like", "where", "by", "kept", "dropped", "all", "duplicates_of", "columns", "save")
"""Flags that look for clips, and have no place beside SQL."""


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("name", metavar="NAME", help="a dataset that was built")
    parser.add_argument("words", nargs="*", metavar="WORDS", help="words to look for in the captions")
    parser.add_argument(
        "--near", metavar="WORDS", help="what clips shall show, in words, by the model that made their vectors"
    )
    parser.add_argument(
        "--like",
        metavar="CLIP|FILE",
        help="a clip, of whose id the beginning is enough, a picture or a video; the nearest to it are shown",
    )
    parser.add_argument("--by", metavar="COLUMN", help="the embedding that --near and --like go by (default the first)")
    parser.add_argument(
        "--where", metavar="SQL", help="a condition such as 'motion_mean > 0.01'; columns of videos may be named too"
    )
    parser.add_argument(
        "--knob", action="append", default=[], metavar="KEY=VALUE", help="how its model runs, such as embed.device=cpu"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--kept", action="store_true", help="clips that were kept (the default)")
    which.add_argument("--dropped", action="store_true", help="clips that were dropped, instead")
    which.add_argument("--all", action="store_true", help="both")
    parser.add_argument("--duplicates-of", metavar="CLIP", help="the near-duplicates of a clip, dropped ones too")
    parser.add_argument(
        "--sql", metavar="SQL", help="a query over clips, kept, videos, captions, duplicates, failures, builds"
    )
    parser.add_argument("--columns", metavar="A,B", help="which columns; those of videos as videos.codec")
    parser.add_argument("--limit", type=arguments.positive, metavar="N", help=f"rows (default {USUAL}; of --sql all)")
    parser.add_argument(
        "--format",
        choices=rows.FORMATS,
        default="table",
        metavar="FORM",
        help=f"{', '.join(rows.FORMATS)}; parquet is for a file: > clips.parquet",
    )
    parser.add_argument("--save", metavar="DIR", help="the clips' files too, and a sheet of pictures, into a folder")
    parser.add_argument("--build", metavar="ID", help="as an earlier build left it, of those that vbuild log names")
    arguments.add_built(parser, name=False)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints a row a clip. Raises DatasetError, UsageError."""
    from vbuild.dataset import read

    store = arguments.store_of(args) if args.store else None
    _fits(args)
    dataset = read.open(args.name, store=store, output=arguments.output_of(args), build=args.build, knobs=_knobs(args))
    found = _asked(dataset, args) if args.sql else _found(dataset, args)
    told = "json" if args.json else args.format
    rows.write(found, told, columns=None if args.columns is None and not args.sql else found.column_names)
    return _saved(dataset, args, found) if args.save else 0


def _knobs(args: Namespace) -> dict[str, Any]:
    """The knobs that were given. Raises UsageError."""
    import yaml

    given = {}
    for word in args.knob:
        key, has_value, value = word.partition("=")
        if not has_value or "." not in key:
            raise UsageError(f"--knob {word}: STAGE.KNOB=VALUE is expected, such as embed.device=cpu")
        given[key] = yaml.safe_load(value)
    return given


def _fits(args: Namespace) -> None:
    """Raises UsageError for flags that do not go together."""
    if args.sql:
        beside = ["WORDS"] if args.words else []
        beside += [f"--{name.replace('_', '-')}" for name in FINDING if getattr(args, name)]
        if beside:
            raise UsageError(f"query: --sql says all by itself, and {beside[0]} has no place beside it")
    if args.near and args.like:
        raise UsageError("query: --near and --like both say what clips shall be like; give one")
    if args.duplicates_of and (args.words or args.near or args.like or args.where):
        raise UsageError("query: --duplicates-of finds by itself; narrow it by --sql over the table duplicates")


def _asked(dataset: Dataset, args: Namespace) -> pa.Table:
    found = dataset.sql(args.sql)
    return found if args.limit is None else found.slice(0, args.limit)


def _found(dataset: Dataset, args: Namespace) -> pa.Table:
    from vbuild.dataset.search import Question, answered, like

    wanted = [name.strip() for name in args.columns.split(",")] if args.columns else None
    if wanted is not None and args.save and "clip_id" not in wanted:
        wanted = [*wanted, "clip_id"]
    limit = args.limit or USUAL
    if args.duplicates_of:
        return dataset.duplicates_of(args.duplicates_of, wanted).slice(0, limit)
    kept = None if args.all else not args.dropped
    near = like(dataset, args.like) if args.like else args.near
    text = " ".join(args.words) or None
    return answered(dataset, Question(text, near, args.where, args.by, wanted, limit, kept))


def _saved(dataset: Dataset, args: Namespace, found: pa.Table) -> int:
    """Saves the clips that were found; 1 if one of them could not be had."""
    import sys
    from pathlib import Path

    from vbuild.cli.printer import some
    from vbuild.dataset.saved import save

    saved = save(map(dataset.clip, found["clip_id"].to_pylist()), Path(args.save))
    print(f"saved {some(len(saved.files), 'file')} in {args.save}", file=sys.stderr)
    for clip, why in saved.lost.items():
        print(f"not saved: {_told(clip, why)}", file=sys.stderr)
    return int(bool(saved.lost))


def _told(clip: str, why: Any) -> str:
    return f"{clip[: rows.SHORT]}: {why}"
