"""What of a build went so wrong that its exit code says so, and what is undecided for it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from vbuild.dataset.commit import former
from vbuild.plan.items import NOBODY, State, hexed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.engine.session import Session
    from vbuild.report import Report


def wrong(session: Session, report: Report) -> Iterator[str]:
    """A line for each thing that makes a build one that failed."""
    policy = session.config.failures
    over = policy.exceeded(report.failures, report.actions)
    if over is not None:
        yield over
    if report.away:
        uri, why = next(iter(report.away.items()))
        more = f" and {len(report.away) - 1} more videos" if len(report.away) > 1 else ""
        yield (
            f"{uri}{more}: out of reach ({why}); the clips are kept, and the next build tries again; "
            "source.missing=drop lets them go"
        )
    unusable = report.videos_failed == report.videos > 0
    if unusable:
        yield f"none of {report.videos} videos can be used"
    for stage in report.stages if not unusable else ():
        tried = stage.hits + stage.ran + stage.failed
        if said := policy.untolerated(stage.failed, tried):
            yield f"{stage.name} failed on {said}"
    yield from _undone(session, report)


def _undone(session: Session, report: Report) -> Iterator[str]:
    """What was left for the next build, and why."""
    undone, unknown = session.lookup.undone, {stage.name: stage.unknown for stage in report.stages}
    for name, instance in session.shelf.instances.items():
        if (why := undone.stages.get(instance.recipe.id)) is not None:
            yield f"{name} stopped, and {unknown[name]} of its actions wait for the next build: {why.message}"
    lost = [failed for failed in undone.actions.values() if failed.kind == "source"]
    for message, count in Counter(failed.message for failed in lost).most_common():
        yield f"{count} actions wait for the next build, for what they read could not be read: {message}"


def blocked(session: Session) -> bool:
    """Whether videos were left whose clips the dataset has: written anew, it would lose them."""
    shards = [shard.videos for shard in session.shards if shard.unsplit]
    if not shards:
        return False
    left = [v.ids[v.states(session.order.split.name) == State.UNKNOWN] for v in shards]
    before = former(session.config.output / session.config.name)
    there = pc.is_in(hexed(np.concatenate(left)), value_set=before["video_id"].combine_chunks())
    return bool(pc.any(there).as_py())


def decide_as_before(session: Session) -> None:
    """Gives clips that a decision cannot judge for what was left undone the last build's word; none: they are not kept.

    A place that fails thus empties no dataset.
    """
    shards = [shard.clips for shard in session.shards if shard.clips is not None]
    if not any((c.kept & ~c.sure).any() for c in shards):
        return
    before = former(session.config.output / session.config.name)
    ids = before["clip_id"].combine_chunks()
    for c in shards:
        rows = np.flatnonzero(c.kept & ~c.sure)
        c.kept[rows] = False
        for row, place in zip(rows.tolist(), pc.index_in(hexed(c.ids[rows]), value_set=ids).to_pylist(), strict=True):
            if place is not None:
                keeper = before["duplicate_of"][place].as_py()
                c.kept[row], c.dropped_by[row] = (before[name][place].as_py() for name in ("kept", "dropped_by"))
                c.duplicate_of[row] = np.void(bytes.fromhex(keeper)) if keeper else NOBODY[0]
