"""Takes decisions: which clips a predicate drops, and which a dedup."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vbuild.decisions.predicate import Predicate, verdicts
from vbuild.plan.items import Items, State
from vbuild.plan.order import Deduplication, owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vbuild.engine.session import Session
    from vbuild.executor.protocol import Executor


def judge(session: Session, clips: Items, predicates: Sequence[Predicate]) -> None:
    """Drops the clips of which a predicate is not TRUE; the first that drops a clip gives it its name."""
    if not predicates or not len(clips):
        return
    names = sorted({column for p in predicates for column in p.reads})
    said = verdicts(predicates, session.shelf.columns(clips, names))
    for predicate, verdict in zip(predicates, said, strict=True):
        known = clips.sure & ~_open(session, clips, predicate.reads)
        judged = clips.kept & known
        drop = judged & (verdict != 1)
        clips.dropped_by[drop] = np.where(verdict[drop] == 0, predicate.name, f"{predicate.name}: null")
        decided = session.decided[predicate.name]
        decided.dropped += int(drop.sum())
        decided.unknown += int((clips.kept & ~known).sum())
        clips.kept &= ~drop
        clips.sure &= known | ~clips.kept
        _undecided(session, clips, predicate.name)


def _undecided(session: Session, clips: Items, decision: str) -> None:
    """In a build: gives clips that a decision could not judge its name."""
    open_ = clips.kept & ~clips.sure & (clips.dropped_by == None)  # noqa: E711  by element
    if session.build is not None:
        clips.dropped_by[open_] = f"{decision}: null"


def _open(session: Session, clips: Items, columns: Iterable[str]) -> np.ndarray:
    """In a plan: the clips of which some of these columns is not known yet."""
    waits = np.zeros(len(clips), bool)
    for name in {o.name for c in columns if (o := owner(c, session.order.clip_stages))}:
        waits |= np.isin(clips.states(name), (State.MISSING, State.UNKNOWN))
    return waits


def deduplicate(session: Session, decision: Deduplication, workers: Executor | None) -> None:
    """Drops, over all shards, the clips that have a near-duplicate that is kept. Workers compare what is new."""
    clips = [shard.clips for shard in session.shards if shard.clips is not None]
    decided = session.decided[decision.name]
    if _undecidable(session, decision, clips):
        _leave_open(session, decision, clips)
        return
    from vbuild.decisions.duplicates import decide

    run = None
    if workers is not None:
        from vbuild.engine.errands import errands  # which bring the decoders that a plan has no use for

        run = partial(errands, workers, decision.name)
    outcome = decide(decision, clips, session.shelf, session.config.store, run)
    decided.new, decided.known = outcome.new, outcome.known
    if outcome.pairs is None:
        _leave_open(session, decision, clips)
        return
    session.duplicates[decision.name] = outcome.pairs
    decided.dropped = sum(int((c.dropped_by == decision.name).sum()) for c in clips)


def _leave_open(session: Session, decision: Deduplication, clips: Sequence[Items]) -> None:
    """A dedup is not decided: whatever is kept may be dropped."""
    for c in clips:
        session.decided[decision.name].unknown += int(c.kept.sum())
        c.sure &= ~c.kept
        _undecided(session, c, decision.name)


def _undecidable(session: Session, decision: Deduplication, clips: Sequence[Items]) -> bool:
    """Whether a dedup cannot be decided: in a plan if a clip is open, in a build if what it reads has stopped."""
    if session.build is not None:
        owners = {decision.of, *(o.name for c in decision.reads if (o := owner(c, session.order.clip_stages)))}
        return any(session.shelf.instances[name].recipe.id in session.lookup.undone.stages for name in owners)
    return any(shard.unsplit for shard in session.shards) or any(
        (c.kept & (~c.sure | _open(session, c, {decision.of, *decision.reads}))).any() for c in clips
    )
