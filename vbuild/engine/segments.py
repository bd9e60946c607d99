"""Where all shards of a build wait for one another: at decisions over all clips, and where models make room."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vbuild.plan.order import Wave, together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vbuild.executor.protocol import Executor
    from vbuild.plan.order import Order
    from vbuild.plan.wiring import Instance


@dataclass
class Segment:
    """Waves through which shards move without waiting for one another."""

    waves: list[Wave] = field(default_factory=list)
    turn: bool = False
    """Whether the models of the segments before make room for its own."""


def segments(order: Order, workers: Executor | None) -> list[Segment]:
    """The waves of clips in runs that end at a decision that looks at all of them together, or where models take turns.

    Models that do not fit together are never held together, for whoever had to make room for another while both are
    wanted would come and go. A wave whose own do not fit is parted: its clips are decoded once for each part.
    """

    def fits(some: Sequence[Instance]) -> bool:
        return workers is None or workers.fits([instance.stage for instance in some])

    parts = [Segment()]
    held = [instance for wave in order.video for instance in _hosted(wave.stages)]
    for wave in order.waves:
        groups = _groups(wave.stages, fits)
        for number, stages in enumerate(groups):
            own = _hosted(stages)
            if own and held and not fits([*held, *own]):
                parts.append(Segment(turn=True))
                held = []
            held += own
            last = number == len(groups) - 1
            parts[-1].waves.append(Wave(stages, wave.decisions if last else ()))
        if any(map(together, wave.decisions)):
            parts.append(Segment())
    return parts


def _groups(stages: Sequence[Instance], fits: Callable[[Sequence[Instance]], bool]) -> list[tuple[Instance, ...]]:
    """Stages in groups whose models can be held together; in the first all that have none."""
    groups = [[instance for instance in stages if not instance.stage.hosted]]
    for instance in _hosted(stages):
        own = _hosted(groups[-1])
        if own and not fits([*own, instance]):
            groups.append([])
        groups[-1].append(instance)
    return [tuple(group) for group in groups]


def _hosted(stages: Sequence[Instance]) -> list[Instance]:
    return [instance for instance in stages if instance.stage.hosted]
