"""What a person sees: progress while a build runs, tables when it is done."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from vbuild.report import Progress, Report, StageCount

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


def count(known: int, unknown: int, *, unsplit: bool = False) -> str:
    """A count that may not be known to the end; `?` stands for clips that no split has made yet."""
    more = [f"up to {unknown}"] * bool(unknown) + ["?"] * unsplit
    return " + ".join([str(known), *more])


def some(n: int, what: str) -> str:
    """A number of things."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def show(report: Report, *, planned: bool = False) -> None:
    """Prints a report on standard output."""
    if report.up_to_date:
        what = f"{some(report.clips, 'clip')}, {report.kept} kept"
        failed = f", {some(report.failures, 'failure')}" if report.failures else ""
        print(f"{report.dataset} is up to date: {what}{failed} ({report.seconds:.1f} s)")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    heads = ["stage", "hits", "to run" if planned else "ran", "failed", "seconds", "saved", "why"]
    for head in heads:
        table.add_column(head, justify="left" if head in ("stage", "why") else "right")
    names = [stage.name for stage in report.stages]
    of_clips = names[names.index("split") + 1 :] if report.videos_unsplit else []
    for stage in report.stages:
        table.add_row(*_row(stage, unsplit=stage.name in of_clips))
    for decision in report.decisions:
        unknown = f" (of {decision.unknown} not known yet)" if decision.unknown else ""
        table.add_row(decision.name, "", "", "", "", "", f"dropped {decision.dropped}{unknown}")
    wide = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 160)
    wide.print(table)
    unsplit = f" (of {some(report.videos_unsplit, 'video')} not known yet)" if report.videos_unsplit else ""
    bad = f" ({report.videos_failed} cannot be used: see the table `videos`)" if report.videos_failed else ""
    held = f"{some(report.videos, 'video')}{bad}, {some(report.clips, 'clip')}{unsplit}, {report.kept} kept"
    print(f"{held}, {some(report.failures, 'failure')}")
    if not planned:
        changed = ", ".join(f"{name} {_changed(rows)}" for name, rows in report.changed.items()) or "nothing"
        print(f"changed: {changed}")
        print(f"{report.folder} ({report.seconds:.1f} s)")
        print(f'next: vbuild query {report.dataset} "words"')


def _row(stage: StageCount, *, unsplit: bool) -> list[str]:
    why = ", ".join(f"{reason} ({n})" for reason, n in sorted(stage.reasons.items(), key=lambda r: -r[1]))
    seconds = f"{stage.seconds:.1f}" if stage.seconds else ""
    saved = f"{stage.saved:.1f}" if stage.saved else ""
    ran = count(stage.ran, stage.unknown, unsplit=unsplit)
    return [stage.name, str(stage.hits), ran, str(stage.failed or ""), seconds, saved, why]


def _changed(rows: dict[str, int]) -> str:
    signs = {"added": "+", "updated": "~", "deleted": "-"}
    return " ".join(f"{signs[kind]}{n}" for kind, n in rows.items() if n) or "anew"
