"""What of the videos became no clip, and by which rule of the splitter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vbuild.plan.items import State
from vbuild.plan.wiring import SPLIT
from vbuild.values import value_column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbuild.engine.session import Session
    from vbuild.stage import Stage

WORDS = {
    "min": "shorter than",
    "min_frames": "of fewer frames than",
    "crop": "taken off the ends by",
    "max": "beyond",
    "limit": "behind",
    "stride": "between clips by",
}
"""How a rule of a splitter takes footage."""

LOST = ("lost_by", "lost")


def why_empty(split: Stage, row: Mapping[str, Any]) -> str:
    """Why a video has no clip. `row` holds its `duration`, and what its splitter says was lost, if it says so."""
    lost = sorted(zip(row.get("lost_by") or (), row.get("lost") or (), strict=True), key=lambda rule: -rule[1])
    said = ", ".join(said_of(split, rule) + (f" ({seconds:.2f} s)" if len(lost) > 1 else "") for rule, seconds in lost)
    return f"{SPLIT} found no clip in {row['duration']:.2f} s" + (f": {said}" if said else "")


def said_of(split: Stage, rule: str) -> str:
    """A rule in words, with its key."""
    if not rule:
        return "in no scene"
    value = getattr(split, rule, None)
    shown = f"{value:g}" if isinstance(value, float) else value
    return f"{WORDS.get(rule, 'by')} split.{rule}={shown}"


def unclipped(session: Session) -> list[str]:
    """What a person should know of footage that became no clip: whole videos, then parts of others."""
    split = session.order.split.stage
    if not set(LOST) <= session.order.split.writes.keys():
        return []
    videos, rules, seconds, empty = _lost(session)
    if not len(seconds):
        return []
    order = np.lexsort((-seconds, videos))
    _, first = np.unique(videos[order], return_index=True)
    main = dict(zip(videos[order][first].tolist(), rules[order][first].tolist(), strict=True))
    lines = []
    for rule in dict.fromkeys(rules.tolist()):
        own = {video for video, by in main.items() if by == rule and video in empty}
        if own:
            total = seconds[np.isin(videos, list(own))].sum()
            count = f"{len(own)} video{'s' * (len(own) > 1)}"
            lines.append(f"{count}, {total:.1f} s became no clip: {said_of(split, rule)}")
    others = ~np.isin(videos, list(empty))
    parts = {rule: seconds[others & (rules == rule)].sum() for rule in dict.fromkeys(rules[others].tolist())}
    if parts:
        said = ", ".join(f"{said_of(split, rule)} ({total:.1f} s)" for rule, total in parts.items())
        lines.append(f"{sum(parts.values()):.1f} s of videos that have clips are in none: {said}")
    return lines


def _lost(session: Session) -> tuple[np.ndarray, np.ndarray, np.ndarray, set[int]]:
    """Of each loss its video, its rule and its seconds; and the videos that have no clip. Videos by number."""
    columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    empty: set[int] = set()
    start = 0
    for shard in session.shards:
        if shard.clips is None:
            continue
        rows = np.flatnonzero(shard.videos.states(SPLIT) == State.DONE)
        table = session.shelf.take(shard.videos, SPLIT, [value_column(name) for name in LOST], rows)
        by, lost = (table[name].combine_chunks() for name in table.column_names)
        counts = lost.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        rules = by.flatten().cast(pa.string()).to_numpy(zero_copy_only=False)
        columns.append((np.repeat(rows + start, counts), rules, lost.flatten().to_numpy()))
        clips = np.bincount(shard.clips.place, minlength=len(shard.videos))
        empty |= set((rows[clips[rows] == 0] + start).tolist())
        start += len(shard.videos)
    joined = [np.concatenate(parts) for parts in zip(*columns, strict=True)] if columns else [np.empty(0)] * 3
    return joined[0], joined[1], joined[2], empty
