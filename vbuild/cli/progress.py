"""What a person sees while a build runs: bars on a terminal, else a line now and then, on standard error."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vbuild.cli.printer import is_terminal, terminal_width

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from vbuild.report import Progress

APPEAR = 0.3
"""Seconds until bars appear: a dataset that is up to date needs none."""

EVERY = 5.0
"""Seconds between lines where there is no terminal."""

SILENCE = 30.0
"""Seconds without a result after which a line says that the build is alive."""


class Watcher:
    """Shows how far the stages are. A thread of its own lets it appear, and say that nothing comes, on its own."""

    def __init__(self, label: str, *, quiet: bool = False, verbose: bool = False) -> None:
        self.label, self.quiet = label, quiet
        self.every = 0.0 if verbose else EVERY
        self.drawn = not quiet and is_terminal(sys.stderr)
        self.stages: dict[str, Progress] = {}
        self.oldest = ""
        self.bars: Bars | None = None
        self.tasks: dict[str, TaskID] = {}
        self.began = self.said = self.came = time.monotonic()
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Watcher:
        if not self.quiet:
            self.ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        if self.ticker.is_alive():
            self.ticker.join()
        if self.bars is not None:
            self.bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Takes the newest figures of one stage."""
        with self.lock:
            self.came = time.monotonic()
            self.stages[progress.stage] = progress
            self.oldest = progress.oldest
            if self.bars is not None:
                self._draw(progress)
            elif not self.drawn and not self.quiet:
                self._say(progress)

    def _tick(self) -> None:
        """Lets the bars appear, and says that nothing comes where nothing does."""
        wait = APPEAR if self.drawn else 1.0
        while not self.over.wait(wait):
            with self.lock:
                if self.drawn:
                    if self.bars is None:
                        self._appear()
                    self._draw_all()
                elif time.monotonic() - max(self.said, self.came) > SILENCE:
                    self.said = time.monotonic()
                    print(f"vbuild: {self.label}: {self._standing()}", file=sys.stderr)
            wait = 1.0

    def _standing(self) -> str:
        """How far all is, where nothing has come for a while."""
        quiet = self._quiet()
        going = [p for p in self.stages.values() if p.done + p.failed < p.known]
        if not going:
            return quiet
        return f"{', '.join(f'{p.stage} {p.done + p.failed} of {p.known}' for p in going)}; {quiet}"

    def _quiet(self) -> str:
        """For how long nothing has come, and which video has been at work longest."""
        at = f"; longest at {Path(self.oldest).name}" if self.oldest else ""
        return f"nothing new for {time.monotonic() - self.came:.0f} s{at}"

    # on a terminal

    def _appear(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self.bars = Bars(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True, width=terminal_width(sys.stderr)),
            transient=True,
            expand=True,
        )
        self.tasks[""] = self.bars.add_task(self.label, total=None, rate="", note="")
        for progress in self.stages.values():
            self._draw(progress)
        self.bars.start()

    def _draw(self, progress: Progress) -> None:
        """The bar of a stage, and that of all."""
        assert self.bars is not None
        if progress.stage not in self.tasks:
            self.tasks[progress.stage] = self.bars.add_task(
                f"  {progress.stage}", total=progress.known, rate="", note=""
            )
        note = f"{progress.failed} failed" if progress.failed else ""
        self._move(progress.stage, progress.done + progress.failed, progress.known, note)
        self._draw_all()

    def _draw_all(self) -> None:
        known = sum(p.known for p in self.stages.values())
        done = sum(p.done + p.failed for p in self.stages.values())
        still = time.monotonic() - self.came
        note = self._quiet() if still > EVERY else f"{time.monotonic() - self.began:.0f} s"
        self._move("", done, known or None, note)

    def _move(self, name: str, done: int, known: int | None, note: str) -> None:
        assert self.bars is not None
        task = self.bars.tasks[self.bars.task_ids.index(self.tasks[name])]
        rate = f"{task.speed:.1f}/s" if task.speed else ""
        self.bars.update(self.tasks[name], completed=done, total=known, note=note, rate=rate)

    # without one

    def _say(self, progress: Progress) -> None:
        finished = progress.done + progress.failed >= progress.known
        now = time.monotonic()
        if finished or now - self.said >= self.every:
            self.said = now
            failed = f", {progress.failed} failed" if progress.failed else ""
            print(f"vbuild: {progress.stage}: {progress.done} of {progress.known}{failed}", file=sys.stderr)
