"""The verb `export`: a dataset in a form that other tools read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.cli import arguments
from vbuild.cli.printer import document, size, some, table

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "writes the kept clips in a form that other tools read; again, only what changed"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("name", metavar="NAME", help="a dataset that was built")
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE", help="options of the form")
    parser.add_argument("--format", metavar="FORM", help="the form; without one, the forms and their options are told")
    parser.add_argument("--out", metavar="DIR", help="the folder that it fills; one that it filled before is updated")
    parser.add_argument("--where", metavar="SQL", help="a condition in SQL that kept clips have to meet")
    parser.add_argument("--media", metavar="NAME", help="the stage whose files are the clips' (default: the first)")
    parser.add_argument("--build", metavar="ID", help="another build than the last")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    arguments.add_built(parser, name=False)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Writes it. Raises UsageError, and what `export` raises."""
    from contextlib import ExitStack
    from pathlib import Path

    from vbuild.dataset import read
    from vbuild.dataset.export.export import export
    from vbuild.dataset.export.selection import Selection
    from vbuild.errors import UsageError
    from vbuild.maintenance.dropped import with_files_of_dropped

    if args.format is None:
        print(_forms(), end="")
        return 0
    if args.out is None:
        raise UsageError(f"export: --out DIR is missing: the folder that --format {args.format} shall fill")
    options = _options(args.options)
    store = arguments.store_of(args) if args.store else None
    dataset = read.open(args.name, store=store, output=arguments.output_of(args), build=args.build)
    out = Path(args.out)
    with ExitStack() as made:
        media = Selection(dataset, media=args.media).instance
        if options.get("filtered_clips") and media and not args.dry_run:
            dataset = made.enter_context(with_files_of_dropped(dataset, media))
        done = export(dataset, args.format, out, where=args.where, media=args.media, options=options, dry=args.dry_run)
    files = done.files
    if args.json:
        said = {"format": args.format, "out": str(out.absolute()), "clips": done.clips, "remarks": done.remarks}
        print(document({**said, "written": files.written, "kept": files.kept, "removed": files.removed}), end="")
        return 0
    for remark in done.remarks:
        print(f"note: {remark}")
    would = "would be " if args.dry_run else ""
    amount = "" if args.dry_run else f" ({size(files.bytes)})"
    print(f"{some(done.clips, 'clip')}: {some(files.written, 'file')} {would}written{amount}, ", end="")
    print(f"{files.kept} as they were, {files.removed} {would}removed")
    print(out.absolute())
    return 0


def _options(words: list[str]) -> dict[str, Any]:
    """The options of the form, read as yaml is."""
    import yaml

    from vbuild.errors import UsageError

    options: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{word}: an option of the form is given as name=value")
        options[name] = yaml.safe_load(value)
    return options


def _forms() -> str:
    """All forms with their options."""
    import typing
    from dataclasses import fields

    from vbuild.dataset.export.form import FORMS, class_of
    from vbuild.described import as_yaml, docs, spelled_type

    lines = []
    for name, about in FORMS.items():
        cls = class_of(name)
        told, hints = docs(cls), typing.get_type_hints(cls)
        rows = [[f.name, spelled_type(hints[f.name]), as_yaml(f.default), told.get(f.name, "")] for f in fields(cls)]
        lines.append(f"{name}: {about}\n")
        lines.append((table(["option", "values", "default", "what it is"], rows) if rows else "") + "\n")
    return "".join(lines)
