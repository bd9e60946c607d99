"""Puts clips into folds by a hash of what they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild import digest
from vbuild.plan.wiring import column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbuild.decisions.folds import Folds
    from vbuild.plan.items import Items, Shelf
    from vbuild.plan.order import Placing


def fold(decision: Placing, rule: Folds, clips: Items, shelf: Shelf) -> None:
    """Gives clips the column of the decision, those that were dropped too."""
    assert clips.parent is not None
    groups = clips.parent.ids[clips.place]
    if rule.by != "video_id":
        values = shelf.columns(clips, [rule.by])[rule.by].combine_chunks().dictionary_encode()
        said = [digest.of("value", _plain(value)) for value in values.dictionary.to_pylist()]
        known = values.is_valid().to_numpy(zero_copy_only=False)
        each = np.frombuffer(b"".join(said), "V16")
        groups = groups.copy()
        groups[known] = each[values.indices.drop_null().to_numpy()]
    clips.placed[column(decision.name, "")] = pa.array(drawn(groups, rule.shares, rule.seed), pa.string())


def drawn(groups: np.ndarray, shares: Mapping[str, float | None], seed: int) -> np.ndarray:
    """The fold of each group, names (n,) of objects, of digests (n,) V16: that with the least -ln(u) / share."""
    weights = {name: share for name, share in sorted(shares.items()) if share}
    names = list(weights)
    scores = np.empty((len(names), len(groups)))
    for place, name in enumerate(names):
        bits = digest.inputs((f"fold {seed} {name}",), [groups]).view("<u8")[::2] >> np.uint64(11)
        scores[place] = -np.log((bits + 0.5) / (1 << 53)) / weights[name]
    return np.asarray(np.array(names, object)[scores.argmin(axis=0)])


def _plain(value: object) -> object:
    """A value that a digest can be made of: dates by their text."""
    return value if isinstance(value, bool | int | float | str) else str(value)
