"""The verb `diff`: what a build changed, clip by clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.cli import arguments
from vbuild.cli.printer import document

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.maintenance.history import Difference

ABOUT = "which clips came, went, changed and flipped between two builds, and why"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_built(parser)
    parser.add_argument("a", nargs="?", help="a build of vbuild log, or the end of its id (default: previous)")
    parser.add_argument("b", nargs="?", default="last", help="another (default: the last)")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="clips that are listed of each kind (10)")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints the difference."""
    from vbuild.maintenance import history

    folder = arguments.folder_of(args)
    a = args.a or ("previous" if len(history.builds(folder)) > 1 else "last")
    difference = history.diff(folder, history.find_build(folder, a), history.find_build(folder, args.b))
    print(document(difference) if args.json else _told(difference, args.limit), end="")
    return 0


def _told(difference: Difference, limit: int) -> str:
    from vbuild.maintenance.history import reasons

    lines = [f"{difference.a} → {difference.b}", *difference.declared]
    lines += [f"columns of {name}: only in one of them" for name in difference.columns]
    for sign, clips in (("+", difference.added), ("-", difference.removed)):
        lines.append(f"{sign}{len(clips)} clips")
        lines += [f"  {sign} {clip}" for clip in clips[:limit]]
    lines.append(f"~{len(difference.changed)} clips with other values")
    lines += [f"  ~ {clip}: {', '.join(stages)}" for clip, stages in list(difference.changed.items())[:limit]]
    for (kept, decision, reason), n in reasons(difference.flips).most_common():
        lines.append(f"{n} clips {'kept again' if kept else 'dropped'} by {decision}: {reason}")
    lines += [
        f"  {'kept' if f.kept else 'dropped'} {f.clip_id}: {f.decision}: {f.reason}" for f in difference.flips[:limit]
    ]
    if any(difference.failures):
        lines.append(f"failures {difference.failures[0]} → {difference.failures[1]}")
    return "".join(line + "\n" for line in lines)
