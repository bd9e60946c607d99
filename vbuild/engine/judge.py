"""Takes decisions: which clips a predicate, a dedup or a balance drops, and where others put clips."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild.decisions.balance import Balance
from vbuild.decisions.cluster import Cluster
from vbuild.decisions.folds import Folds
from vbuild.decisions.predicate import Predicate, verdicts
from vbuild.plan.items import Items, State
from vbuild.plan.order import Deduplication, Placing
from vbuild.plan.wiring import owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vbuild.engine.session import Session
    from vbuild.executor.protocol import Executor
    from vbuild.plan.order import Deciding


def judge(session: Session, clips: Items, decisions: Sequence[Deciding]) -> None:
    """Takes, in order, the decisions that look at one clip at a time; the others wait for all clips."""
    for kind, some in groupby(decisions, type):
        alike = list(some)
        if kind is Predicate:
            _drop(session, clips, [d for d in alike if isinstance(d, Predicate)])
        for decision in alike:
            if isinstance(decision, Placing) and isinstance(decision.rule, Folds):
                _fold(session, clips, decision, decision.rule)


def _fold(session: Session, clips: Items, decision: Placing, rule: Folds) -> None:
    """Puts clips into folds, unless what they go by is open."""
    from vbuild.decisions.folding import fold

    if not _open(session, clips, decision.reads).any():
        fold(decision, rule, clips, session.shelf)


def _drop(session: Session, clips: Items, predicates: Sequence[Predicate]) -> None:
    """Drops the clips of which a predicate is not TRUE; the first that drops a clip gives it its name."""
    if not predicates or not len(clips):
        return
    names = sorted({column for p in predicates for column in p.reads})
    table = session.shelf.columns(clips, names)
    for column in sorted(_unplaced(session, clips, names)):
        table = table.append_column(column, pa.nulls(len(clips)))  # what is said of it counts for nothing
    said = verdicts(predicates, table)
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
    for name in _written(session, columns):
        waits |= np.isin(clips.states(name), (State.MISSING, State.UNKNOWN))
    return waits | bool(_unplaced(session, clips, columns))


def _written(session: Session, columns: Iterable[str]) -> set[str]:
    """The instances that write these columns."""
    return {o.name for c in columns if (o := owner(c, session.order.clip_stages))}


def _unplaced(session: Session, clips: Items, columns: Iterable[str]) -> set[str]:
    """The columns, of these, of decisions that are open."""
    return {c for c in columns if owner(c, session.order.placings) and c not in clips.placed}


def decide(session: Session, decision: Deciding, workers: Executor | None) -> None:
    """Takes a decision that looks at all clips together; workers do what is worth it."""
    if isinstance(decision, Deduplication):
        deduplicate(session, decision, workers)
    elif isinstance(decision, Placing) and isinstance(decision.rule, Balance):
        _balance(session, decision, decision.rule)
    elif isinstance(decision, Placing) and isinstance(decision.rule, Cluster):
        _cluster(session, decision, decision.rule)


def deduplicate(session: Session, decision: Deduplication, workers: Executor | None) -> None:
    """Drops, over all shards, the clips that have a near-duplicate that is kept. Workers compare what is new."""
    clips = [shard.clips for shard in session.shards if shard.clips is not None]
    decided = session.decided[decision.name]
    if _undecidable(session, {decision.of, *decision.reads}, clips):
        _leave(session, decision.name, clips)
        return
    from vbuild.decisions.duplicates import decide

    run = None
    if workers is not None:
        from vbuild.engine.errands import errands  # which bring the decoders that a plan has no use for

        run = partial(errands, workers, decision.name)
    outcome = decide(decision, clips, session.shelf, session.config.store, run)
    decided.new, decided.known, decided.hashes = outcome.new, outcome.known, decision.hashes
    if outcome.pairs is None:
        _leave(session, decision.name, clips)
        return
    session.duplicates[decision.name] = outcome.pairs
    decided.dropped = sum(int((c.dropped_by == decision.name).sum()) for c in clips)


def _balance(session: Session, decision: Placing, rule: Balance) -> None:
    """Drops, over all shards, the clips of which there are too many of one value."""
    from vbuild.decisions.caps import cap

    clips = [shard.clips for shard in session.shards if shard.clips is not None]
    if _undecidable(session, decision.reads, clips):
        _leave(session, decision.name, clips)
        return
    cap(decision, rule, clips, session.shelf)
    session.decided[decision.name].dropped = sum(int((c.dropped_by == decision.name).sum()) for c in clips)


def _cluster(session: Session, decision: Placing, rule: Cluster) -> None:
    """Puts the clips of all shards into clusters, unless one of them is open."""
    from vbuild.contract import named
    from vbuild.decisions.clusters import place_in_clusters

    clips = [shard.clips for shard in session.shards if shard.clips is not None]
    if not _undecidable(session, decision.reads, clips):
        shelf, store, dry = session.shelf, session.config.store, session.build is None
        path = f"stages.{decision.name}"
        named(path, lambda: place_in_clusters(decision, rule, clips, shelf, store, dry=dry))


def _leave(session: Session, decision: str, clips: Sequence[Items]) -> None:
    """Leaves it open which of the clips a decision drops."""
    for c in clips:
        session.decided[decision].unknown += int(c.kept.sum())
        c.sure &= ~c.kept
        _undecided(session, c, decision)


def _undecidable(session: Session, columns: Iterable[str], clips: Sequence[Items]) -> bool:
    """Whether what goes by these columns of all clips is open: in a plan if one clip is, in a build if what writes them
    has stopped."""
    if any(_unplaced(session, c, columns) for c in clips):
        return True
    if session.build is not None:
        owners, undone = _written(session, columns), session.lookup.undone.stages
        return any(session.shelf.instances[name].recipe.id in undone for name in owners)
    return any(shard.unsplit for shard in session.shards) or any(
        (c.kept & (~c.sure | _open(session, c, columns))).any() for c in clips
    )


def count_places(session: Session) -> None:
    """Counts, of decisions that put clips somewhere, how many of the clips that are kept came where."""
    clips = [shard.clips for shard in session.shards if shard.clips is not None]
    for decision in session.order.placings:
        names = [c.placed[decision.name].filter(c.kept) for c in clips if decision.name in c.placed]
        places: dict[str, int] = {}
        for counted in (pc.value_counts(some.drop_null()).to_pylist() for some in names):
            for one in counted:
                places[str(one["values"])] = places.get(str(one["values"]), 0) + one["counts"]
        session.decided[decision.name].places = places if len(names) == len(clips) else {}
