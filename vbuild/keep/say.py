"""The verbs of this room as people type them: what each is asked, and what it prints."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbuild.keep import ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbuild.keep.gc import Swept


def gc(arguments: Sequence[str]) -> tuple[str, int]:
    """What `vbuild gc` prints, and its exit code."""
    from vbuild.keep.gc import AGE, BUILDS_KEPT
    from vbuild.keep.gc import gc as collect
    from vbuild.store import roots

    parser = ask.parser("gc", "Takes out of the store what no kept build uses and what is old enough.")
    parser.add_argument("--keep-builds", type=int, default=BUILDS_KEPT, metavar="N", help="of each dataset (default 3)")
    parser.add_argument("--older-than", type=ask.age, default=AGE, metavar="30d", help="nothing younger goes")
    parser.add_argument("--dry-run", action="store_true", help="say it, and take nothing")
    parser.add_argument("--forget", metavar="PATH", help="give up a dataset that will not come back")
    parser.add_argument("--json", action="store_true")
    found = ask.parsed(parser, arguments)
    store = ask.store(found)
    if found.forget:
        roots.forget(store, Path(found.forget).absolute())
    swept = collect(store, keep_builds=found.keep_builds, older_than=found.older_than, dry=found.dry_run)
    return (json.dumps(dataclasses.asdict(swept), indent=1) + "\n" if found.json else _swept(swept)), 0


def _swept(swept: Swept) -> str:
    rows = [
        [part.name, part.kept, ask.size(part.kept_bytes), part.gone, ask.size(part.gone_bytes)]
        for part in sorted(swept.parts.values(), key=lambda part: part.name)
        if part.kept or part.gone
    ]
    text = drawn(["", "kept", "bytes", "would go" if swept.dry else "gone", "bytes"], rows)
    if swept.running:
        text += f"{swept.running} running: what they use stays\n"
    return text + f"{ask.size(swept.freed)} {'would be freed' if swept.dry else 'freed'}\n"


def verify(arguments: Sequence[str]) -> tuple[str, int]:
    """What `vbuild verify` prints; 1 if something is wrong."""
    from vbuild.keep.rerun import rerun
    from vbuild.keep.verify import SAMPLE
    from vbuild.keep.verify import verify as check

    parser = ask.parser("verify", "Looks whether results, blobs and tables are what they say; drops what is not.")
    parser.add_argument(
        "--sample", type=ask.share, default=SAMPLE, metavar="1%", help="a share of each recipe's results"
    )
    parser.add_argument("--all", action="store_true", help="every result")
    parser.add_argument("--rerun", type=int, default=0, metavar="N", help="run N actions again and compare")
    parser.add_argument("--dry-run", action="store_true", help="say it, and drop nothing")
    parser.add_argument("--json", action="store_true")
    found = ask.parsed(parser, arguments)
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


def drawn(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in plain text; numbers to the right."""
    cells = [[str(head) for head in heads], *([str(cell) for cell in row] for row in rows)]
    wide = [max(len(row[n]) for row in cells) for n in range(len(heads))]
    right = [all(isinstance(row[n], int | float) for row in rows) for n in range(len(heads))]
    lines = (
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, wide, right, strict=True)) for row in cells
    )
    return "".join(line.rstrip() + "\n" for line in lines)
