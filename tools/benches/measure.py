"""What a benchmark measures, and how it is shown."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True)
class Measure:
    """One figure against a baseline taken in the same run."""

    name: str
    ours: float
    baseline: float
    goal: float | None
    """The most that ours / baseline may be; None for a figure that is reported only."""
    unit: str = "CPU s"

    @property
    def ratio(self) -> float:
        return self.ours / self.baseline

    @property
    def met(self) -> bool:
        return self.goal is None or self.ratio <= self.goal


def cpu(call: Callable[[], object]) -> float:
    """CPU seconds, user and system, of a call and of the processes that end in it."""

    def spent() -> float:
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in usage)

    before = spent()
    call()
    return spent() - before


def wall(call: Callable[[], object]) -> float:
    """Wall seconds of a call."""
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def report(measures: Iterable[Measure]) -> int:
    """Prints a line a measure as it comes; 1 if a goal is missed, else 0."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'measure':<58}{'ours':>11}{'baseline':>11} {'unit':<8}{'ratio':>8}{'goal':>8}")
    missed = 0
    for m in measures:
        goal = "" if m.goal is None else f"{m.goal:g}"
        verdict = "" if m.met else "  MISSED"
        print(
            f"{m.name:<58}{m.ours:>11.4g}{m.baseline:>11.4g} {m.unit:<8}{m.ratio:>8.3f}{goal:>8}{verdict}", flush=True
        )
        missed += not m.met
    return int(missed > 0)
