"""The verbs of this room as people type them: what each is asked, and what it prints."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbuild.cli import arguments as verbs
from vbuild.cli import ask
from vbuild.cli.console import size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from vbuild.maintenance.gc import Swept
    from vbuild.maintenance.history import Difference, Entry


def gc(arguments: Sequence[str]) -> tuple[str, int]:
    """What `vbuild gc` prints, and its exit code."""
    from vbuild.maintenance.gc import AGE, BUILDS_KEPT
    from vbuild.maintenance.gc import gc as collect
    from vbuild.store import roots

    parser = verbs.parser("gc", "Takes out of the store what no kept build uses and what is old enough.")
    parser.add_argument("--keep-builds", type=int, default=BUILDS_KEPT, metavar="N", help="of each dataset (default 3)")
    parser.add_argument("--older-than", type=ask.age, default=AGE, metavar="30d", help="nothing younger goes")
    parser.add_argument("--dry-run", action="store_true", help="say it, and take nothing")
    parser.add_argument("--forget", metavar="PATH", help="give up a dataset that will not come back")
    parser.add_argument("--json", action="store_true")
    found = verbs.parsed(parser, arguments)
    store = ask.store(found)
    if found.forget:
        roots.forget(store, Path(found.forget).absolute())
    swept = collect(store, keep_builds=found.keep_builds, older_than=found.older_than, dry=found.dry_run)
    return (json.dumps(dataclasses.asdict(swept), indent=1) + "\n" if found.json else _swept(swept)), 0


def _swept(swept: Swept) -> str:
    rows = [
        [part.name, part.kept, size(part.kept_bytes), part.gone, size(part.gone_bytes)]
        for part in sorted(swept.parts.values(), key=lambda part: part.name)
        if part.kept or part.gone
    ]
    text = drawn(["", "kept", "bytes", "would go" if swept.dry else "gone", "bytes"], rows)
    if swept.running:
        text += f"{swept.running} running: what they use stays\n"
    return text + f"{size(swept.freed)} {'would be freed' if swept.dry else 'freed'}\n"


def verify(arguments: Sequence[str]) -> tuple[str, int]:
    """What `vbuild verify` prints; 1 if something is wrong."""
    from vbuild.maintenance.rerun import rerun
    from vbuild.maintenance.verify import SAMPLE
    from vbuild.maintenance.verify import verify as check

    parser = verbs.parser("verify", "Looks whether results, blobs and tables are what they say; drops what is not.")
    parser.add_argument(
        "--sample", type=ask.share, default=SAMPLE, metavar="1%", help="a share of each recipe's results"
    )
    parser.add_argument("--all", action="store_true", help="every result")
    parser.add_argument("--rerun", type=int, default=0, metavar="N", help="run N actions again and compare")
    parser.add_argument("--dry-run", action="store_true", help="say it, and drop nothing")
    parser.add_argument("--json", action="store_true")
    found = verbs.parsed(parser, arguments)
    store = ask.store(found)
    done = check(store, sample=1.0 if found.all else found.sample, repair=not found.dry_run)
    again, left = rerun(store, found.rerun) if found.rerun else ([], [])
    code = int(bool(done.problems) or not all(line.same for line in again))
    if found.json:
        said = {**dataclasses.asdict(done), "reruns": [dataclasses.asdict(line) for line in again], "not_rerun": left}
        return json.dumps(said, indent=1) + "\n", code
    lines = [f"{p.what}: {p.why} ({p.remedy})" for p in done.problems] + left
    lines += [f"{r.dataset}: {r.instance} {r.field} of {r.key}: {r.said}" for r in again if r.said != "equal"]
    lines.append(f"looked at {done.results} results, {done.blobs} blobs and {done.tables} tables of builds")
    if again:
        equal = sum(line.said == "equal" for line in again)
        actions = len({(line.instance, line.key) for line in again})
        lines.append(f"ran {actions} actions again: {equal} of {len(again)} values are equal")
    lines.append(f"{len(done.problems)} problems" if done.problems else "all is well" if not code else "see above")
    return "".join(line + "\n" for line in lines), code


def log(arguments: Sequence[str]) -> tuple[str, int]:
    """What `vbuild log` prints."""
    from vbuild.maintenance import history

    parser = _of_dataset("log", "The builds of a dataset, the newest first: when, what changed, counts, seconds.")
    found = verbs.parsed(parser, arguments)
    entries = history.log(_folder(found))
    if found.json:
        return json.dumps([dataclasses.asdict(entry) for entry in entries], indent=1) + "\n", 0
    heads = ["build", "when (UTC)", "seconds", *history.COUNTS, "ran", "what changed"]
    rows = [
        [e.build, e.time, round(e.seconds, 1), *e.counts.values(), _ran(e), "; ".join(e.changes) or "new results"]
        for e in entries
    ]
    return drawn(heads, rows), 0


def _ran(entry: Entry) -> str:
    return ", ".join(f"{name} {n}" for name, n in entry.ran.items())


def diff(arguments: Sequence[str]) -> tuple[str, int]:
    """What `vbuild diff` prints."""
    from vbuild.maintenance import history

    parser = _of_dataset("diff", "Which clips came, went, changed and flipped between two builds, and why.")
    parser.add_argument("a", nargs="?", help="a build of vbuild log, or the end of its id (default: previous)")
    parser.add_argument("b", nargs="?", default="last", help="default: the last")
    parser.add_argument("--limit", type=int, default=10, help="clips that are listed of each kind (default 10)")
    found = verbs.parsed(parser, arguments)
    folder = _folder(found)
    a = found.a or ("previous" if len(history.builds(folder)) > 1 else "last")
    difference = history.diff(folder, history.named(folder, a), history.named(folder, found.b))
    if found.json:
        return json.dumps(dataclasses.asdict(difference), indent=1) + "\n", 0
    return _difference(difference, found.limit), 0


def _difference(found: Difference, limit: int) -> str:
    from vbuild.maintenance.history import reasons

    lines = [f"{found.a} → {found.b}", *found.declared]
    lines += [f"columns of {name}: only in one of them" for name in found.columns]
    for sign, clips in (("+", found.added), ("-", found.removed)):
        lines.append(f"{sign}{len(clips)} clips")
        lines += [f"  {sign} {clip}" for clip in clips[:limit]]
    lines.append(f"~{len(found.changed)} clips with other values")
    lines += [f"  ~ {clip}: {', '.join(stages)}" for clip, stages in list(found.changed.items())[:limit]]
    for (kept, decision, reason), n in reasons(found.flips).most_common():
        lines.append(f"{n} clips {'kept again' if kept else 'dropped'} by {decision}: {reason}")
    lines += [f"  {'kept' if f.kept else 'dropped'} {f.clip_id}: {f.decision}: {f.reason}" for f in found.flips[:limit]]
    if any(found.failures):
        lines.append(f"failures {found.failures[0]} → {found.failures[1]}")
    return "".join(line + "\n" for line in lines)


def restore(arguments: Sequence[str]) -> tuple[str, int]:
    """What `vbuild restore` prints."""
    from vbuild.maintenance import history

    parser = _of_dataset("restore", "Brings a dataset back to what a build left; the next build brings it up to date.")
    parser.add_argument("build", help="a build of vbuild log, or the end of its id; previous: the last but one")
    found = verbs.parsed(parser, arguments)
    folder = _folder(found)
    done = history.restore(ask.store(found), folder, found.build)
    if found.json:
        return json.dumps(dataclasses.asdict(done), indent=1) + "\n", 0
    text = f"{folder.name} is as build {done.source} left it, under build {done.build}\n"
    if done.missing:
        text += f"{done.missing} clips name files that a gc took; a build with that configuration makes them again\n"
    return text + "the next build brings it up to date again\n", 0


def _of_dataset(verb: str, about: str) -> verbs.Parser:
    parser = verbs.dataset_parser(verb, about)
    parser.add_argument("name", help="the dataset")
    parser.add_argument("--json", action="store_true")
    return parser


def _folder(found: argparse.Namespace) -> Path:
    """The folder of the dataset that is named. Raises DatasetError if there is none."""
    from vbuild.dataset.listing import find

    return find(found.name, verbs.output_of(found) if found.output else ask.store(found) / "datasets")


def drawn(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in plain text; numbers to the right."""
    cells = [[str(head) for head in heads], *([str(cell) for cell in row] for row in rows)]
    wide = [max(len(row[n]) for row in cells) for n in range(len(heads))]
    right = [all(isinstance(row[n], int | float) for row in rows) for n in range(len(heads))]
    lines = (
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, wide, right, strict=True)) for row in cells
    )
    return "".join(line.rstrip() + "\n" for line in lines)
