"""What a person reads of a plan or a build when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.cli.printer import size, some, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbuild.report import Decided, First, Report, StageCount


def count(known: int, unknown: int, unsplit: int = 0) -> str:
    """A count that may not be known to the end: `unknown` more at most, and any number from videos that are not split.

    What is behind a split that is not known has no bound but the videos.
    """
    text = f"{known} + up to {unknown}" if unknown else str(known)
    return f"{text} + clips of {some(unsplit, 'video')}" if unsplit else text


def show(report: Report, *, planned: bool = False) -> None:
    """Prints a report on standard output."""
    if report.up_to_date:
        what = f"{some(report.clips, 'clip')}, {report.kept} kept"
        failed = f", {some(report.failures, 'failure')}" if report.failures else ""
        state = "needs no action; its tables may be written anew" if report.stale else "is up to date"
        print(f"{report.dataset} {state}: {what}{failed} ({report.seconds:.1f} s)")
        for note in report.notes:
            print(f"note: {note}")
        return
    print(_table(report, planned), end="")
    unsplit = f" (of {some(report.videos_unsplit, 'video')} not known yet)" if report.videos_unsplit else ""
    bad = f" ({report.videos_failed} cannot be used: see the table `videos`)" if report.videos_failed else ""
    held = f"{some(report.videos, 'video')}{bad}, {some(report.clips, 'clip')}{unsplit}, {report.kept} kept"
    print(f"{held}, {some(report.failures, 'failure')}")
    for first in report.firsts:
        print(first_line(first))
    if report.firsts:
        print(f"vbuild failures {report.dataset} lists them; --trace tells where in the code")
    for note in report.notes:
        print(f"note: {note}")
    if planned:
        print(_cost(report))
    elif report.tables:
        changed = ", ".join(f"{name} {_changed(rows)}" for name, rows in report.changed.items()) or "nothing"
        print(f"changed: {changed}")
        print(f"{report.folder} ({report.seconds:.1f} s)")
        if report.kept:
            print(f"next: vbuild query {report.dataset}" + (' "words"' if report.captioned else ""))


def _table(report: Report, planned: bool) -> str:
    """A line a stage, and one a decision."""
    rows = [_planned(stage) if planned else _built(stage) for stage in report.stages]
    rows += [[decision.name, *[""] * 5, _decided(decision, planned=planned)] for decision in report.decisions]
    heads = PLAN if planned else BUILT
    return table(heads, rows, right=heads[1:-1])


FEW = 6
"""Places of a decision that are told one by one."""


def _decided(decision: Decided, *, planned: bool) -> str:
    """How many clips a decision dropped, or how many of those that are kept it put where."""
    if decision.places is None:
        unknown = f" (of {decision.unknown} not known yet)" if decision.unknown else ""
        if planned and decision.new:
            what = "new fingerprint" if decision.hashes else "new vector"
            unknown += f", after comparing {some(decision.new, what)} with {decision.known} known"
        return f"dropped {decision.dropped}{unknown}"
    counts = sorted(decision.places.items(), key=lambda place: (-place[1], place[0]))
    if not counts:
        return "not known yet"
    if len(counts) <= FEW:
        return ", ".join(f"{place}: {n}" for place, n in counts)
    return f"{len(counts)} values, of {counts[-1][1]} to {counts[0][1]} clips each"


def first_line(first: First) -> str:
    """One failure, and how many there are like it."""
    span = "" if first.start_s is None else f" {first.start_s:.3f}-{first.end_s:.3f}"
    more = f" (and {first.count - 1} more)" if first.count > 1 else ""
    fault = "the program's own fault: " if first.kind == "program" else ""
    return f"failed: {first.stage}: {fault}{first.message}: {first.uri}{span}{more}"


BUILT = ("stage", "hits", "ran", "failed", "seconds", "saved", "why")
PLAN = ("stage", "hits", "to run", "failed before", "seconds", "bytes", "why")


def _built(stage: StageCount) -> list[str]:
    why = ", ".join(f"{reason} ({n})" for reason, n in _reasons(stage))
    seconds = f"{stage.seconds:.1f}" if stage.seconds else ""
    saved = f"{stage.saved:.1f}" if stage.saved else ""
    return [stage.name, _hits(stage), str(stage.ran), str(stage.failed or ""), seconds, saved, why]


def _planned(stage: StageCount) -> list[str]:
    why = ", ".join(f"{reason} ({some(n, 'video' if stage.of_videos else 'clip')})" for reason, n in _reasons(stage))
    cost = ["", ""]
    if _work(stage):
        cost = [_upto(stage.seconds, stage.seconds_more, "{:.1f}".format), _upto(stage.bytes, stage.bytes_more, size)]
        cost = cost if stage.recorded else ["no record yet", ""]
    runs = count(stage.ran, stage.unknown, stage.unsplit)
    return [stage.name, _hits(stage), runs, str(stage.failed or ""), *cost, why]


def _reasons(stage: StageCount) -> list[tuple[str, int]]:
    return sorted(stage.reasons.items(), key=lambda reason: -reason[1])


def _work(stage: StageCount) -> bool:
    return bool(stage.ran or stage.unknown or stage.unsplit)


def _upto(known: Any, more: Any, text: Callable[[Any], str]) -> str:
    """An amount, and how much more there may be; empty for none."""
    both = f"{text(known)} + up to {text(more)}" if more else text(known)
    return both if known or more else ""


def _cost(report: Report) -> str:
    """What a plan costs in all, as far as it is recorded."""
    known = [stage for stage in report.stages if stage.recorded]
    seconds = _upto(sum(s.seconds for s in known), sum(s.seconds_more for s in known), "{:.1f}".format) or "0"
    bytes_ = _upto(sum(s.bytes for s in known), sum(s.bytes_more for s in known), size) or "0 B"
    untold = [stage.name for stage in report.stages if _work(stage) and not stage.recorded]
    missing = f"; no record yet: {', '.join(untold)}" if untold else ""
    open_ = f"; more for the clips of {some(report.videos_unsplit, 'video')}" if report.videos_unsplit else ""
    return f"expected: {seconds} worker seconds, {bytes_}{open_}{missing}"


def _hits(stage: StageCount) -> str:
    return f"{stage.hits} ({stage.fetched} fetched)" if stage.fetched else str(stage.hits)


def _changed(rows: dict[str, int]) -> str:
    signs = {"added": "+", "updated": "~", "deleted": "-"}
    return " ".join(f"{signs[kind]}{n}" for kind, n in rows.items() if n) or "anew"
