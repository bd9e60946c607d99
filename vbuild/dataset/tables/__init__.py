"""What the tables of a dataset shall hold after a build, as columns, digests and ways to fetch values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild import digest
from vbuild.dataset.tables.captions import captions_of
from vbuild.dataset.tables.clips import clips_of
from vbuild.dataset.tables.columns import Everything
from vbuild.dataset.tables.failures import failures_of
from vbuild.dataset.tables.videos import videos_of
from vbuild.dataset.target import Group, Target
from vbuild.dataset.told import documented

if TYPE_CHECKING:
    from vbuild.engine.session import Session


def targets(session: Session, failing: pa.Table) -> list[Target]:
    """The tables of a session's dataset but `builds`."""
    clips = Everything(session)
    made = [videos_of(session), clips_of(clips), captions_of(clips), _duplicates(session), failures_of(failing)]
    instances = {i.name: i for i in session.order.clip_stages}
    return [documented(target, instances if target.table == "clips" else {}) for target in made]


PAIRS = pa.schema(
    [
        pa.field("dedup", pa.string()),
        pa.field("clip_a", pa.string()),
        pa.field("clip_b", pa.string()),
        pa.field("similarity", pa.float64()),
        pa.field("keeper", pa.string()),
    ]
)


def _duplicates(session: Session) -> Target:
    tables = [
        table.add_column(0, PAIRS.field("dedup"), pa.array([name] * len(table), pa.string())).cast(PAIRS)
        for name, table in sorted(session.duplicates.items())
    ]
    pairs = pa.concat_tables([PAIRS.empty_table(), *tables])
    keys = pc.binary_join_element_wise(pairs["dedup"], pairs["clip_a"], pairs["clip_b"], "/").combine_chunks()
    record = np.zeros((len(pairs), 2))
    record[:, 0] = pairs["similarity"].to_numpy()
    for n, side in enumerate(("clip_a", "clip_b"), 1):
        record[pc.equal(pairs["keeper"], pairs[side]).fill_null(False).to_numpy(), 1] = n
    digests = digest.inputs(("pair",), [record.view("V16").reshape(-1)])
    group = Group("duplicates", PAIRS, digests, lambda rows: pairs.take(pa.array(rows)))
    return Target("duplicates", "pair_id", keys, (group,), {})
