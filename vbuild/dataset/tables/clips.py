"""The table `clips`: where each comes from, what the stages wrote, and what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild import digest
from vbuild.dataset.tables.columns import columns_of, shown_results
from vbuild.dataset.tables.failures import failed_rows
from vbuild.dataset.target import Group, Index, Target
from vbuild.decisions.predicate import Predicate
from vbuild.plan.items import BASE_SCHEMA, NOBODY, State, base_columns, hexed
from vbuild.plan.order import BASE
from vbuild.plan.wiring import owner

if TYPE_CHECKING:
    from vbuild.dataset.tables.columns import Everything
    from vbuild.engine.session import Session
    from vbuild.plan.items import Items
    from vbuild.plan.order import Placing
    from vbuild.plan.wiring import Instance


def clips_of(clips: Everything) -> Target:
    """The table `clips`."""
    session = clips.session
    ids = clips.column(lambda c: c.ids, "V16")
    stages = [_instance(clips, i) for i in session.order.clip_stages]
    places = [_placing(clips, d) for d in session.order.placings]
    groups = [_base(clips), *stages, *places, _decisions(clips)]
    return Target("clips", "clip_id", hexed(ids).combine_chunks(), tuple(groups), _clip_indexes(session))


def _clip_indexes(session: Session) -> dict[str, Index]:
    """Text, vector and scalar indexes: on captions, on embeddings, and on what `where` uses."""
    indexes: dict[str, Index] = {
        name: "scalar"
        for d in session.order.decisions
        if isinstance(d, Predicate)
        for name in d.reads
        if name in BASE or owner(name, session.order.writers)
    }
    for instance in session.order.clip_stages:
        for name, (_, kind) in instance.columns.items():
            if kind.index is not None:
                indexes[name] = kind.index
    return {"clip_id": "scalar", "kept": "scalar", **indexes}


def _base(clips: Everything) -> Group:
    """The columns that every clip has. Times follow from the clip's id; path and shape from its video."""
    shelf = clips.session.shelf
    probed = ("width", "height", "fps")

    def digests(c: Items) -> np.ndarray:
        assert c.parent is not None
        path = np.array([np.void(digest.of("uri", uri)) for uri in c.parent.uris], "V16")
        return digest.inputs(("base", *probed), [c.ids, path[c.place], *shelf.digests(c, "probe", probed)])

    schema = pa.schema([f for f in BASE_SCHEMA if f.name != "clip_id"])
    return Group(
        "base",
        schema,
        clips.column(digests, "V16"),
        lambda rows: clips.gather(rows, schema, lambda c, r: base_columns(c, shelf, r).select(schema.names)),
    )


def _instance(clips: Everything, instance: Instance) -> Group:
    """What one stage wrote."""
    shelf = clips.session.shelf
    writes = instance.writes
    schema = pa.schema(columns_of(instance))

    def digests(c: Items) -> np.ndarray:
        keys = digest.inputs(tuple(writes), shelf.digests(c, instance.name, writes)).copy()
        keys[c.states(instance.name) != State.DONE] = NOBODY[0]
        return keys

    def values(c: Items, rows: np.ndarray) -> pa.Table:
        return shown_results(clips.session, c, instance, rows)

    return Group(instance.name, schema, clips.column(digests, "V16"), lambda rows: clips.gather(rows, schema, values))


def _placing(clips: Everything, decision: Placing) -> Group:
    """Where a decision put clips; null where it is open."""
    schema = pa.schema([pa.field(name, kind.stored()[""]) for name, (_, kind) in decision.columns.items()])
    columns = [
        pa.chunked_array([c.placed.get(f.name, pa.nulls(len(c), f.type)) for c in clips.shards], f.type) for f in schema
    ]
    table = pa.table(columns, schema=schema)
    digests = digest.inputs(schema.names, [_told(column) for column in table.columns])
    return Group(decision.name, schema, digests, lambda rows: table.take(pa.array(rows)))


def _told(column: pa.ChunkedArray) -> np.ndarray:
    """A digest, or what tells as much, of each value of a column, (n,) V16; zeros for null."""
    values = column.combine_chunks()
    told = np.zeros(len(values), "V16")
    known = values.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_string(values.type):
        coded = values.dictionary_encode()
        each = np.array([np.void(digest.of("place", text)) for text in coded.dictionary.to_pylist()], "V16")
        told[known] = each[coded.indices.drop_null().to_numpy()]
        return told
    record = np.ones((int(known.sum()), 2))
    record[:, 0] = values.drop_null().to_numpy()
    told[known] = record.view("V16").reshape(-1)
    return told


DECISIONS = pa.schema(
    [
        pa.field("kept", pa.bool_()),
        pa.field("dropped_by", pa.string()),
        pa.field("duplicate_of", pa.string()),
        pa.field("error", pa.string()),
        pa.field("warning", pa.string()),
    ]
)
"""What was decided of a clip, what failed on it, and what of it was lost in decoding."""


def _decisions(clips: Everything) -> Group:
    dropped = clips.column(lambda c: c.dropped_by, object)
    keeper = clips.column(lambda c: c.duplicate_of, "V16")
    errors, warnings = _remarks(clips)
    blank = digest.of("nothing")
    said = np.full(len(dropped), np.void(blank), "V16")
    for row in errors.keys() | warnings.keys():
        said[row] = np.void(digest.of("said", errors.get(row), warnings.get(row)))
    by = {name: np.void(digest.of("dropped", name)) for name in set(dropped.tolist())}
    why = np.array([by[name] for name in dropped.tolist()], "V16") if len(dropped) else np.empty(0, "V16")
    kept = clips.column(lambda c: c.kept, bool)

    def values(rows: np.ndarray) -> pa.Table:
        other = keeper[rows]
        names = hexed(other).combine_chunks().to_pylist()
        return pa.table(
            {
                "kept": pa.array(kept[rows]),
                "dropped_by": pa.array(dropped[rows].tolist(), pa.string()),
                "duplicate_of": pa.array(
                    [None if k else n for k, n in zip((other == NOBODY[0]).tolist(), names, strict=True)], pa.string()
                ),
                "error": pa.array([errors.get(r) for r in rows.tolist()], pa.string()),
                "warning": pa.array([warnings.get(r) for r in rows.tolist()], pa.string()),
            },
            schema=DECISIONS,
        )

    return Group("decisions", DECISIONS, digest.inputs(("dropped", "keeper", "said"), [why, keeper, said]), values)


def _remarks(clips: Everything) -> tuple[dict[int, str], dict[int, str]]:
    """Per row, what failed (`instance: message`), and what the passes lost of the clip."""
    session = clips.session
    errors: dict[int, list[str]] = {}
    warnings: dict[int, str] = {}
    for start, c in zip(clips.starts.tolist(), clips.shards, strict=False):
        for instance in session.order.clip_stages:
            actions = c.actions[instance.name]
            failed = failed_rows(session, instance, actions)
            known = session.failures.lookup(instance.recipe.id, actions.keys[failed]) if len(failed) else {}
            for row in failed.tolist():
                if (failure := known.get(bytes(actions.keys[row].item()))) is not None:
                    errors.setdefault(start + row, []).append(f"{instance.name}: {failure.message}")
            if instance.stage.asks() is not None:
                said = session.shelf.take(c, instance.name, ["warning"])["warning"]
                for row in np.flatnonzero(said.is_valid().to_numpy()).tolist():
                    warnings.setdefault(start + row, said[row].as_py())
    return {row: "; ".join(said) for row, said in errors.items()}, warnings
