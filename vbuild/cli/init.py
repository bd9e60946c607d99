"""The verb `init`: writes the file of a new dataset."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document, is_terminal
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbuild.cli.arguments import Namespace, Parser

ABOUT = "writes ./conf/dataset/NAME.yaml, commented, from flags or a few answers; it overwrites nothing"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("name", metavar="NAME", help="what the dataset is called")
    parser.add_argument(
        "--source", action="append", metavar="PATH", help="a folder, a glob, a video, a list, a url; may be repeated"
    )
    parser.add_argument("--split", metavar="SPLITTER", help="how videos are cut (default: fixed_stride)")
    parser.add_argument("--length", type=float, metavar="S", help="seconds a clip, or of other splitters at most")
    parser.add_argument(
        "--stage", action="append", metavar="[NAME=]STAGE", help="a stage of vbuild stages; may be repeated"
    )
    parser.add_argument("--where", action="append", metavar="NAME=SQL", help="a condition; may be repeated")
    parser.add_argument("--about", default="", metavar="TEXT", help="its first line, which vbuild lists it with")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Writes the file, and says what comes next. Raises UsageError."""
    from vbuild.drafts import SPLIT, Wish, write_draft

    conditions = [condition.partition("=") for condition in args.where or ()]
    if bad := [name for name, _, sql in conditions if not sql.strip()]:
        raise UsageError(f"--where {bad[0]}: NAME=SQL is expected, such as still='motion_mean >= 0.001'")
    source, split, length, stages = args.source or [], args.split, args.length, args.stage or []
    if not (source or split or length or stages or conditions):
        source, split, length, stages = _asked(args.name)
    if not source:
        raise UsageError("init: where are the videos? give --source PATH")
    wish = Wish(
        args.name, source, split or SPLIT, length, stages, {name: sql for name, _, sql in conditions}, args.about
    )
    path = write_draft(wish)
    if args.json:
        print(document({"path": str(path), "next": f"vbuild plan {args.name}"}), end="")
    else:
        print(f"{path}\nnext: vbuild plan {args.name}, then vbuild build {args.name}")
    return 0


def _asked(name: str) -> tuple[list[str], str | None, float | None, list[str]]:
    """Source, splitter, length and stages, as a person answers. Raises UsageError where nobody can be asked."""
    from vbuild.described import shipped
    from vbuild.drafts import usual

    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return [], None, None, []
    known = shipped()
    splitters = [one.name for one in known.values() if one.kind == "splitter"]
    source = _answer(f"{name}: where are the videos (a folder, a glob, a list)?", "")
    split = _answer(f"How are they cut ({', '.join(splitters)})?", "fixed_stride", splitters)
    length = None
    if split == "fixed_stride":
        text = _answer("Seconds a clip?", "10")
        try:
            length = float(text)
        except ValueError:
            raise UsageError(f"{text}: a number of seconds is expected") from None
    stages = _answer("Which stages (names of vbuild stages, with commas)?", ", ".join(usual().values()))
    return [source] if source else [], split, length, [word for word in stages.replace(",", " ").split() if word]


def _answer(question: str, default: str, known: Sequence[str] = ()) -> str:
    """What a person answers; nothing means the default. A word that is not known is asked for again."""
    while True:
        print(f"{question}{f' [{default}]' if default else ''} ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        said = line.strip() or default
        if not line or not known or said in known:
            return said
        print(f"  there is no {said}", file=sys.stderr)
