"""The table `captions`: every window of every captioner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild import digest
from vbuild.dataset.tables.columns import gather
from vbuild.dataset.target import Group, Target
from vbuild.fields import Caption
from vbuild.plan.items import base_columns, hexed
from vbuild.values import value_column

if TYPE_CHECKING:
    from vbuild.dataset.tables.columns import Everything
    from vbuild.engine.session import Session
    from vbuild.plan.items import Items


CAPTIONS = pa.schema(
    [
        pa.field("clip_id", pa.string()),
        pa.field("captioner", pa.string()),
        pa.field("window", pa.int64()),
        pa.field("start_s", pa.float64()),
        pa.field("end_s", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("enhanced", pa.string()),
        pa.field("status", pa.string()),
        pa.field("tokens", pa.int64()),
        pa.field("model", pa.string()),
    ]
)
"""Times are seconds from the clip's start."""


@dataclass(frozen=True)
class WindowRows:
    """The captions that one instance gave a shard's clips, a row a window."""

    session: Session
    clips: Items
    instance: str
    captioner: str
    """The column of `clips` that shows them."""
    stored: str
    counts: np.ndarray
    """int64 (clips,): windows a clip."""

    @cached_property
    def rows(self) -> np.ndarray:
        """int64 (n,): the clip of each."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def numbers(self) -> np.ndarray:
        """int64 (n,): the place of each in its clip."""
        first = np.cumsum(self.counts) - self.counts
        return np.asarray(np.arange(len(self.rows)) - first[self.rows])

    def keys(self) -> pa.Array:
        """Clip, captioner and number of each, as text."""
        ids = hexed(self.clips.ids).combine_chunks().take(pa.array(self.rows))
        numbers = pa.array(self.numbers).cast(pa.string())
        return pc.binary_join_element_wise(ids, self.captioner, numbers, "/")

    def digests(self, field: str) -> np.ndarray:
        """(n,) V16: that of all captions of its clip."""
        (stored,) = self.session.shelf.digests(self.clips, self.instance, [field])
        return np.asarray(digest.inputs(("windows",), [stored])[self.rows])

    def table(self, wanted: np.ndarray) -> pa.Table:
        """The rows of `captions` for some of them."""
        rows, back = np.unique(self.rows[wanted], return_inverse=True)
        lists = self.session.shelf.take(self.clips, self.instance, [self.stored], rows)[self.stored].combine_chunks()
        flat = lists.flatten()
        first = np.cumsum(self.counts[rows]) - self.counts[rows]
        window = flat.take(pa.array(first[back] + self.numbers[wanted]))
        base = base_columns(self.clips, self.session.shelf, self.rows[wanted])
        columns = {
            "clip_id": base["clip_id"],
            "captioner": pa.array([self.captioner] * len(wanted), pa.string()),
            "window": pa.array(self.numbers[wanted]),
            "start_s": pc.fill_null(window.field("start"), 0.0),
            "end_s": pc.coalesce(window.field("end"), base["duration_s"].combine_chunks()),
        }
        shown = {name: window.field(name) for name in CAPTIONS.names if name not in columns}
        return pa.table({name: (columns | shown)[name] for name in CAPTIONS.names}, schema=CAPTIONS)


def captions_of(clips: Everything) -> Target:
    """The table `captions`."""
    parts: list[WindowRows] = []
    digests = []
    for instance in clips.session.order.clip_stages:
        for name, (f, kind) in instance.columns.items():
            for c in clips.shards if isinstance(kind, Caption) else ():
                lists = clips.session.shelf.take(c, instance.name, [value_column(f)])[value_column(f)]
                counts = pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)
                parts.append(WindowRows(clips.session, c, instance.name, name, value_column(f), counts))
                digests.append(parts[-1].digests(f))
    starts = np.concatenate([[0], np.cumsum([len(part.rows) for part in parts])]).astype(np.int64)
    group = Group(
        "captions",
        CAPTIONS,
        np.concatenate([np.empty(0, "V16"), *digests]),
        lambda rows: gather(starts, rows, CAPTIONS, lambda n, own: parts[n].table(own)),
    )
    keys = pa.chunked_array([part.keys() for part in parts], pa.string()).combine_chunks()
    return Target("captions", "caption_id", keys, (group,), {"text": "text", "clip_id": "scalar"})
