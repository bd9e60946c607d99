"""What a person sees: progress while a build runs, tables when it is done."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from vbuild.plan.explain import Action, Explanation, Stands
    from vbuild.report import First, Progress, Report, StageCount

EVERY = 5.0
"""Seconds between lines where there is no terminal."""


class Watcher:
    """Shows how far the stages are: bars on a terminal, else a line now and then, on standard error."""

    def __init__(self) -> None:
        self.bars: Bars | None = None
        self.tasks: dict[str, TaskID] = {}
        self.said = time.monotonic()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Takes the newest figures of one stage."""
        if sys.stderr.isatty():
            self._draw(progress)
        else:
            self._say(progress)

    def _draw(self, progress: Progress) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        if self.bars is None:
            columns = (
                TextColumn("{task.description:<14}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("[red]{task.fields[failed]}"),
            )
            self.bars = Bars(*columns, console=Console(stderr=True), transient=True)
            self.bars.start()
        if progress.stage not in self.tasks:
            self.tasks[progress.stage] = self.bars.add_task(progress.stage, total=progress.known, failed="")
        failed = f"{progress.failed} failed" if progress.failed else ""
        done = progress.done + progress.failed
        self.bars.update(self.tasks[progress.stage], completed=done, total=progress.known, failed=failed)

    def _say(self, progress: Progress) -> None:
        finished = progress.done + progress.failed >= progress.known
        now = time.monotonic()
        if finished or now - self.said >= EVERY:
            self.said = now
            failed = f", {progress.failed} failed" if progress.failed else ""
            print(f"vbuild: {progress.stage}: {progress.done} of {progress.known}{failed}", file=sys.stderr)


def count(known: int, unknown: int, unsplit: int = 0) -> str:
    """A count that may not be known to the end: `unknown` more at most, and any number from videos that are not split.

    What is behind a split that is not known has no bound but the videos.
    """
    text = f"{known} + up to {unknown}" if unknown else str(known)
    return f"{text} + clips of {some(unsplit, 'video')}" if unsplit else text


def some(n: int, what: str) -> str:
    """A number of things."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def size(count: int) -> str:
    """Bytes as people read them."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


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
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in PLAN if planned else BUILT:
        table.add_column(head, justify="left" if head in ("stage", "why") else "right")
    for stage in report.stages:
        table.add_row(*(_planned(stage) if planned else _built(stage)))
    for decision in report.decisions:
        unknown = f" (of {decision.unknown} not known yet)" if decision.unknown else ""
        table.add_row(decision.name, "", "", "", "", "", f"dropped {decision.dropped}{unknown}")
    wide = Console(
        soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 160, highlight=False, markup=False
    )
    wide.print(table)
    unsplit = f" (of {some(report.videos_unsplit, 'video')} not known yet)" if report.videos_unsplit else ""
    bad = f" ({report.videos_failed} cannot be used: see the table `videos`)" if report.videos_failed else ""
    held = f"{some(report.videos, 'video')}{bad}, {some(report.clips, 'clip')}{unsplit}, {report.kept} kept"
    print(f"{held}, {some(report.failures, 'failure')}")
    for first in report.firsts:
        print(_first(first))
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
            print(f'next: vbuild query {report.dataset} "words"')


def _first(first: First) -> str:
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


def explained(explanation: Explanation) -> str:
    """What people read of an explanation."""
    lines = [explanation.subject] if explanation.subject else []
    for stage in explanation.stages:
        lines += _stage_lines(stage)
    for action in explanation.actions:
        lines += _action_lines(action)
    return "\n".join(lines)


def _stage_lines(stage: Stands) -> list[str]:
    made = {name: value for name, value in stage.manifest.items() if not isinstance(value, dict)}
    fields = [f"{name} {value}" for name, value in made.items()]
    for name, values in stage.manifest.items():
        fields += [f"{name}: {_values(values)}"] if isinstance(values, dict) and values else []
    counts = f"{stage.hits} hit, {stage.to_run} to run, {stage.unknown} not known yet, {stage.failed} failed before"
    lines = [f"{stage.stage}: {counts}", f"  recipe {stage.recipe}: {', '.join(fields)}"]
    lines += [f"  by default, so left out: {_values(stage.defaults)}"] if stage.defaults else []
    lines += [f"  in no key: {_values(stage.unkeyed)}"] if stage.unkeyed else []
    lines.append(f"  input: {', '.join(stage.inputs)}")
    lines += [f"  since recipe {former[:8]}: {what}" for former, what in stage.former]
    return lines + [f"  to run: {reason} ({n})" for reason, n in sorted(stage.reasons.items(), key=lambda r: -r[1])]


def _action_lines(action: Action) -> list[str]:
    lines = [f"{action.stage}: {action.state}: {action.text}"]
    lines.append(f"  key {action.key or 'not known yet'} under recipe {action.recipe}")
    for part in action.inputs:
        was = f", was {part.was}" if part.was else ""
        lines.append(f"  {part.name} ({part.source}) {part.digest or 'not known yet'}{was}")
    return lines + ([f"  compared with the result under recipe {action.former}"] if action.former else [])


def _values(values: Mapping[str, Any]) -> str:
    from vbuild.plan.reasons import shown

    return ", ".join(f"{name} {shown(value)}" for name, value in values.items())
