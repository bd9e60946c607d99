"""What the tables of a dataset shall hold after a build, as columns, digests and ways to fetch values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild import digest
from vbuild.dataset.target import Group, Index, Target
from vbuild.plan.items import (
    BASE_SCHEMA,
    NOBODY,
    Items,
    State,
    base_columns,
    hexed,
    readable,
)
from vbuild.plan.order import SPLIT, Instance, column, parts
from vbuild.plan.predicate import Predicate
from vbuild.source import shown
from vbuild.store.actions import BLOBS, arrow_type, value_column
from vbuild.store.actions import fields as stored_fields
from vbuild.store.blobs import cited

if TYPE_CHECKING:
    from vbuild.build.session import Session
    from vbuild.store.blobs import Blobs

Fetch = Callable[[np.ndarray], pa.Table]


@dataclass(frozen=True)
class Everything:
    """All clips of a build, shard behind shard, in the order of their videos."""

    session: Session

    @cached_property
    def shards(self) -> list[Items]:
        """The clips of each shard."""
        return [shard.clips for shard in self.session.shards if shard.clips is not None]

    @cached_property
    def starts(self) -> np.ndarray:
        """The first row of each shard, and behind the last."""
        return np.concatenate([[0], np.cumsum([len(c) for c in self.shards])]).astype(np.int64)

    def column(self, of: Callable[[Items], np.ndarray], empty: Any) -> np.ndarray:
        """One column over all shards."""
        return np.concatenate([np.empty(0, empty), *(of(c) for c in self.shards)])

    def gather(self, rows: np.ndarray, schema: pa.Schema, of: Callable[[Items, np.ndarray], pa.Table]) -> pa.Table:
        """Some rows of a table that each shard can give for its own rows, in the order asked for."""
        return _gather(self.starts, rows, schema, lambda n, own: of(self.shards[n], own))


def _gather(
    starts: np.ndarray, rows: np.ndarray, schema: pa.Schema, of: Callable[[int, np.ndarray], pa.Table]
) -> pa.Table:
    """Some rows of a table in parts, in the order asked for. `of` gives rows of the part of a number."""
    part = np.searchsorted(starts, rows, side="right") - 1
    order = np.argsort(part, kind="stable")
    tables = [of(n, rows[order][part[order] == n] - starts[n]).cast(schema) for n in np.unique(part).tolist()]
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    return table.take(pa.array(np.argsort(order, kind="stable")))


def targets(session: Session) -> list[Target]:
    """The tables of a session's dataset but `builds`."""
    clips = Everything(session)
    return [_videos(session), _clips(clips), _captions(clips), _duplicates(session)]


# clips


def _clips(clips: Everything) -> Target:
    session = clips.session
    ids = clips.column(lambda c: c.ids, "V16")
    groups = [_base(clips), *(_instance(clips, i) for i in session.order.clip_stages), _decisions(clips)]
    return Target("clips", "clip_id", hexed(ids).combine_chunks(), tuple(groups), _clip_indexes(session))


def _clip_indexes(session: Session) -> dict[str, Index]:
    """Text, vector and scalar indexes: on captions, on embeddings, and on what `where` uses."""
    kinds: dict[str, Index] = {"caption": "text", "vector": "vector"}
    indexes: dict[str, Index] = {
        name: "scalar" for d in session.order.decisions if isinstance(d, Predicate) for name in d.reads
    }
    for instance in session.order.clip_stages:
        for name, (_, kind) in instance.columns.items():
            if kind.partition("[")[0] in kinds:
                indexes[name] = kinds[kind.partition("[")[0]]
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
    """What one stage wrote. Blobs are shown as paths, so the store's place is part of the digest."""
    shelf, root = clips.session.shelf, str(clips.session.config.store)
    writes = instance.stage.writes
    schema = pa.schema(columns_of(instance))
    head = tuple(writes) if BLOBS.isdisjoint(writes.values()) else (root, *writes)

    def digests(c: Items) -> np.ndarray:
        found = digest.inputs(head, shelf.digests(c, instance.name, writes)).copy()
        found[c.states(instance.name) != State.DONE] = NOBODY[0]
        return found

    def values(c: Items, rows: np.ndarray) -> pa.Table:
        return written(clips.session, c, instance, rows)

    return Group(instance.name, schema, clips.column(digests, "V16"), lambda rows: clips.gather(rows, schema, values))


def columns_of(instance: Instance) -> list[pa.Field]:
    """The columns of the dataset for what a stage wrote."""
    writes = instance.stage.writes.items()
    return [f for name, kind in writes for f in dataset_fields(column(instance.name, name), kind)]


def written(session: Session, items: Items, instance: Instance, rows: np.ndarray | None = None) -> pa.Table:
    """What a stage wrote for items, as the dataset shows it."""
    stored = {f.name: kind for name, kind in instance.stage.writes.items() for f in stored_fields(name, kind)}
    table = session.shelf.take(items, instance.name, list(stored), rows)
    columns = []
    for name, kind in stored.items():
        part = name[name.rfind("_") :] if kind in BLOBS else ""
        values = table[name]
        columns.append(located(values, session.blobs) if part == "_uri" else readable(values, kind, part))
    return pa.table(columns, names=[f.name for f in columns_of(instance)])


def located(uris: pa.ChunkedArray, blobs: Blobs) -> pa.ChunkedArray:
    """Blobs as the paths of their files."""
    cells = [None if cell is None else [str(blobs.path(uri)) for uri in cited(cell)] for cell in uris.to_pylist()]
    if pa.types.is_list(uris.type):
        return pa.chunked_array([pa.array(cells, uris.type)])
    return pa.chunked_array([pa.array([cell and cell[0] for cell in cells], uris.type)])


def dataset_fields(name: str, kind: str) -> list[pa.Field]:
    """The columns of the dataset for a field of a stage."""
    if kind == "caption":
        return [pa.field(name, pa.string())]
    if kind in BLOBS:
        return [pa.field(name + part, arrow_type(of)) for part, of in parts(kind).items()]
    return [pa.field(name, stored_fields("", kind)[0].type)]


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
            found = c.found[instance.name]
            failed = np.flatnonzero((found.state == State.FAILED) & (found.keys != NOBODY[0]))
            known = session.failures.lookup(instance.recipe.id, found.keys[failed]) if len(failed) else {}
            for row in failed.tolist():
                if (failure := known.get(bytes(found.keys[row].item()))) is not None:
                    errors.setdefault(start + row, []).append(f"{instance.name}: {failure.message}")
            if instance.stage.asks() is not None:
                said = session.shelf.take(c, instance.name, ["warning"])["warning"]
                for row in np.flatnonzero(said.is_valid().to_numpy()).tolist():
                    warnings.setdefault(start + row, said[row].as_py())
    return {row: "; ".join(said) for row, said in errors.items()}, warnings


# videos

VIDEOS = pa.schema(
    [
        pa.field("video_id", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("container", pa.string()),
        pa.field("codec", pa.string()),
        pa.field("pixel_format", pa.string()),
        pa.field("w", pa.int64()),
        pa.field("h", pa.int64()),
        pa.field("rotation", pa.int64()),
        pa.field("fps", pa.float64()),
        pa.field("vfr", pa.bool_()),
        pa.field("duration", pa.float64()),
        pa.field("frames", pa.int64()),
        pa.field("audio", pa.string()),
        pa.field("clips", pa.int64()),
        pa.field("status", pa.string()),
        pa.field("error", pa.string()),
    ]
)
"""`status`: ok, warning (what was lost stands in `error`), empty (no clip came of it), or failed."""

SAME = ("container", "codec", "pixel_format", "rotation", "fps", "vfr", "duration", "frames", "audio")
"""Columns that are the probe's own fields."""


def _kept(session: Session) -> list[Instance]:
    """The stages of whole videos that keep files: their columns stand in `videos`."""
    return [i for w in session.order.video for i in w.stages if not BLOBS.isdisjoint(i.stage.writes.values())]


def _videos(session: Session) -> Target:
    schema = pa.schema([*VIDEOS, *(f for i in _kept(session) for f in columns_of(i))])
    rows = [_video(session, n, found) for n, found in enumerate(_probed(session))]
    digests = [np.void(digest.of("video", row)) for row in rows]

    def values(wanted: np.ndarray) -> pa.Table:
        return pa.Table.from_pylist([rows[n] for n in wanted.tolist()], schema=schema)

    group = Group("video", schema, np.array(digests, "V16"), values)
    groups = (group, *_listed(session))
    return Target("videos", "uri", pa.array(map(shown, session.files.uris), pa.string()), groups, {"uri": "scalar"})


def _listed(session: Session) -> Iterator[Group]:
    """The columns that lists have beside the paths; one that is called as another of the table is `list_<name>`."""
    table = session.files.columns()
    if table is None:
        return
    names = [re.sub(r"\W+", "_", name) or "_" for name in table.column_names]
    taken = {"uri", "row_digest", *VIDEOS.names, *(f.name for i in _kept(session) for f in columns_of(i))}
    table = table.rename_columns([f"list_{name}" if name in taken else name for name in names])
    for place, f in enumerate(table.schema):
        if pa.types.is_null(f.type):
            table = table.set_column(place, f.name, table[f.name].cast(pa.string()))
    said = (json.dumps(row, default=str) for row in table.to_pylist())
    digests = np.array([np.void(digest.of("listed", row)) for row in said], "V16")
    yield Group("list", table.schema, digests, lambda rows: table.take(pa.array(rows)))


def _probed(session: Session) -> list[dict[str, Any] | str]:
    """Per file of the listing, what its probe found with its number of clips, or why there is nothing."""
    known: dict[bytes, dict[str, Any] | str] = {}
    for shard in session.shards:
        videos = shard.videos
        names = [*SAME, "width", "height", "remark"]
        table = session.shelf.take(videos, "probe", [value_column(n) for n in names])
        clips = np.bincount(shard.clips.place, minlength=len(videos)) if shard.clips else np.zeros(len(videos))
        split = videos.states(session.order.split.name) == State.DONE
        for instance in _kept(session):
            kept = written(session, videos, instance)
            table = pa.table([*table.columns, *kept.columns], names=[*table.column_names, *kept.column_names])
        for n, row in enumerate(table.to_pylist()):
            why = _failure(session, videos, n)
            found = {**row, "remark": row["remark"] or why, "clips": int(clips[n])}
            known[bytes(videos.ids[n].item())] = found if split[n] else why or f"{SPLIT} was not reached"
    errors = session.identified.errors
    ids = session.identified.ids.tolist()
    return [errors[n] if n in errors else known[bytes(ids[n])] for n in range(len(ids))]


def _failure(session: Session, videos: Items, row: int) -> str | None:
    """Why a video came to nothing: what its probe, a stage of whole videos, or its split said."""
    for instance in session.order.video_stages:
        found = videos.found[instance.name]
        if found.state[row] == State.FAILED:
            known = session.failures.lookup(instance.recipe.id, found.keys[row : row + 1])
            for failure in known.values():
                return failure.message if instance.name == "probe" else f"{instance.name}: {failure.message}"
    return None


def _video(session: Session, n: int, found: dict[str, Any] | str) -> dict[str, Any]:
    """One row of `videos`."""
    row: dict[str, Any] = dict.fromkeys(VIDEOS.names)
    row["size"] = max(session.files.sizes[n], 0)
    if n not in session.identified.errors:
        row["video_id"] = bytes(session.identified.ids[n].item()).hex()
    if isinstance(found, str):
        return {**row, "clips": 0, "status": "failed", "error": found}
    row |= {name: found[name] for name in (*SAME, *(f.name for i in _kept(session) for f in columns_of(i)))}
    row |= {"w": found["width"], "h": found["height"], "clips": found["clips"], "error": found["remark"]}
    row["status"] = "warning" if found["remark"] else "ok"
    if not found["clips"]:
        row["status"] = "empty"
        row["error"] = row["error"] or f"{SPLIT} found no clip in {found['duration']:.2f} s"
    return row


# captions and duplicates

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
class Windows:
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
        (found,) = self.session.shelf.digests(self.clips, self.instance, [field])
        return np.asarray(digest.inputs(("windows",), [found])[self.rows])

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


def _captions(clips: Everything) -> Target:
    parts: list[Windows] = []
    digests = []
    for instance in clips.session.order.clip_stages:
        for name, (f, kind) in instance.columns.items():
            for c in clips.shards if kind == "caption" else ():
                lists = clips.session.shelf.take(c, instance.name, [value_column(f)])[value_column(f)]
                counts = pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)
                parts.append(Windows(clips.session, c, instance.name, name, value_column(f), counts))
                digests.append(parts[-1].digests(f))
    starts = np.concatenate([[0], np.cumsum([len(part.rows) for part in parts])]).astype(np.int64)
    group = Group(
        "captions",
        CAPTIONS,
        np.concatenate([np.empty(0, "V16"), *digests]),
        lambda rows: _gather(starts, rows, CAPTIONS, lambda n, own: parts[n].table(own)),
    )
    keys = pa.chunked_array([part.keys() for part in parts], pa.string()).combine_chunks()
    return Target("captions", "caption_id", keys, (group,), {"text": "text", "clip_id": "scalar"})


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
