"""Drops the clips of which there are too many of one value."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild.decisions.predicate import ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbuild.decisions.balance import Balance
    from vbuild.plan.items import Items, Shelf
    from vbuild.plan.order import Placing


def cap(decision: Placing, rule: Balance, shards: Sequence[Items], shelf: Shelf) -> None:
    """Drops, over all shards, of the clips of each value those that come last in the order of keeping."""
    if not shards:
        return
    table = pa.concat_tables([shelf.columns(c, decision.reads) for c in shards])
    kept = np.concatenate([c.kept & c.sure for c in shards])
    codes = grouped([table[name] for name in rule.of])
    gone = over(np.where(kept, codes, -1), ranks(rule.keep, table), capacity(rule, int(kept.sum())))
    start = 0
    for c in shards:
        own = gone[start : start + len(c)]
        c.kept[own] = False
        c.dropped_by[own] = decision.name
        start += len(c)


def capacity(rule: Balance, clips: int) -> int:
    """How many clips of one value may stay, of so many that come to it. A share is taken as it is written: 0.29 of 100
    clips are 29."""
    shares = [] if rule.share is None else [max(1, int(Fraction(str(rule.share)) * clips))]
    return min([*shares, *([] if rule.most is None else [rule.most])])


def grouped(columns: Sequence[pa.ChunkedArray]) -> np.ndarray:
    """Rows of one value in all columns under one number, int64 (n,); -1 where one of them is null."""
    codes = np.zeros(len(columns[0]), np.int64)
    nothing = np.zeros(len(codes), bool)
    for column in columns:
        values = column.combine_chunks().dictionary_encode()
        nothing |= values.is_null().to_numpy(zero_copy_only=False)
        own = values.indices.fill_null(0).to_numpy().astype(np.int64)
        _, codes = np.unique(codes * (len(values.dictionary) + 1) + own, return_inverse=True)
    return np.where(nothing, -1, codes)


def over(codes: np.ndarray, rank: np.ndarray, most: int) -> np.ndarray:
    """(n,) bool: the rows before which, by rank, `most` others have their number; none of those with -1."""
    order = np.lexsort((rank, codes))
    sorted_ = codes[order]
    begins = np.concatenate([[True], sorted_[1:] != sorted_[:-1]])[: len(codes)]
    first = np.maximum.accumulate(np.where(begins, np.arange(len(codes)), 0))
    gone = np.zeros(len(codes), bool)
    gone[order] = (np.arange(len(codes)) - first >= most) & (sorted_ >= 0)
    return gone
