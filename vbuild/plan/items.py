"""Videos and clips as columns: who they are, what was found for each instance, and who is still kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild import digest, secrets
from vbuild.fields import kind_from
from vbuild.plan.order import BASE, VIDEO
from vbuild.plan.wiring import GIVEN, PROBE, SOURCE, SPAN, owner
from vbuild.rows import Rows
from vbuild.stage import Decode
from vbuild.store.blobs import Blobs
from vbuild.store.keyed import Index
from vbuild.values import DIGEST, digest_column, value_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vbuild.fields import Kind
    from vbuild.plan.wiring import Instance, Port
    from vbuild.store.actions import Actions, Results
    from vbuild.uris import Seen

NOBODY = np.zeros(1, "V16")
"""Stands where there is no digest."""

NULL = np.frombuffer(digest.of_value(None), "V16")
"""The digest of a null."""


class State(IntEnum):
    """What is known of one action."""

    UNWANTED = 0
    """The clip is not kept where the stage stands."""
    DONE = 1
    """Its result is in the store."""
    MISSING = 2
    """It has to run."""
    FAILED = 3
    """It failed, or what it reads did."""
    UNKNOWN = 4
    """In a plan: what it reads, or whether it is wanted, is not known yet."""


@dataclass
class ItemActions:
    """Where one instance stands with a number of items."""

    keys: np.ndarray
    """(n,) V16; zeros where the key is not known."""
    state: np.ndarray
    """(n,) uint8 of `State`."""
    own: np.ndarray
    """(n,) bool: those whose action no other item or instance has asked for before; they are what is counted."""


@dataclass
class Items:
    """n videos or n clips in columns."""

    ids: np.ndarray
    """(n,) V16: video ids, or clip ids."""
    parent: Items | None = None
    """For clips: their videos."""
    place: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """For clips: (n,) the row of each in `parent`."""
    start_pts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    end_pts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    uris: list[str] = field(default_factory=list)
    """For videos: the path from which each is read."""
    names: list[str] = field(default_factory=list)
    """For videos: what each is called in tables and messages."""
    seen: list[Seen | None] = field(default_factory=list)
    """For videos: what the file looked like whose content this is; None where it is out of reach."""
    listed: pa.Table | None = None
    """For videos: what lists say of each; None if no list says anything."""
    kept: np.ndarray = field(default_factory=lambda: np.empty(0, bool))
    sure: np.ndarray = field(default_factory=lambda: np.empty(0, bool))
    """In a plan: False for a clip of which it is not known whether it is still kept."""
    dropped_by: np.ndarray = field(default_factory=lambda: np.empty(0, object))
    """The name of the decision, with `: null` where it could not say; None for a clip that is kept."""
    duplicate_of: np.ndarray = field(default_factory=lambda: np.empty(0, "V16"))
    """The clip id of the keeper; zeros for none."""
    actions: dict[str, ItemActions] = field(default_factory=dict)
    """Instance → its keys and states."""
    placed: dict[str, pa.Array] = field(default_factory=dict)
    """Column that a decision makes → its values; none where the decision is open."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        self.names = self.names or secrets.display_names(self.uris)
        self.kept = np.ones(n, bool)
        self.sure = np.ones(n, bool)
        self.dropped_by = np.full(n, None, object)
        self.duplicate_of = np.zeros(n, "V16")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> Index:
        """Of the ids, which every stage that asks only for footage looks up."""
        return Index(self.ids)

    @cached_property
    def away(self) -> np.ndarray:
        """(n,) bool: those whose file is out of reach."""
        if self.parent is not None:
            return np.asarray(self.parent.away[self.place])
        return np.array([seen is None for seen in self.seen], bool)

    def holder(self, instance: str) -> tuple[Items, np.ndarray | None]:
        """The items for which an instance ran, and the way from a row here to a row there (None: the same rows)."""
        if instance in self.actions:
            return self, None
        if self.parent is None:
            raise KeyError(instance)
        return self.parent, self.place

    def states(self, instance: str) -> np.ndarray:
        """(n,) uint8: the state of an instance for each item, or for its video."""
        if instance in (SOURCE, SPAN):
            return np.full(len(self), State.DONE, np.uint8)
        items, way = self.holder(instance)
        state = items.actions[instance].state
        return state if way is None else state[way]

    def whence(self, columns: Sequence[str], rows: np.ndarray | None) -> pa.Table:
        """Stored columns of what is known of each item's video beside its stages: its path, and what lists say.

        Moments are texts, as people read them.
        """
        videos = self.parent or self
        place = self.place if self.parent is not None else np.arange(len(self))
        places = pa.array(place if rows is None else place[rows], pa.int64())
        found = {}
        for name in columns:
            f = name.removeprefix(DIGEST)
            said = pa.array(videos.uris, pa.string()) if f == "uri" else videos.said(f)
            made = said if name == f else _digests(f, said)
            found[name] = made.take(places)
        return pa.table(found)

    def said(self, column: str) -> pa.Array:
        """What lists say of each video in a column."""
        assert self.listed is not None
        found = self.listed[column].combine_chunks()
        return found.cast(pa.string()) if pa.types.is_temporal(found.type) else found


@dataclass(frozen=True)
class Shelf:
    """The stored results of a dataset's instances."""

    actions: Actions
    instances: Mapping[str, Instance]
    decode: Decode = Decode()
    """How the footage of what is missing is decoded."""

    def results(self, instance: str) -> Results:
        """Those of one instance."""
        wired = self.instances[instance]
        return self.actions.results(wired.recipe, wired.writes)

    def take(self, items: Items, instance: str, columns: Sequence[str], rows: np.ndarray | None = None) -> pa.Table:
        """Stored columns of an instance for items (or some rows of them); null where there is no result."""
        if instance == SOURCE:
            return items.whence(columns, rows)
        if instance == SPAN:
            return self._lasting(items, rows).select(list(columns))
        holder, way = items.holder(instance)
        actions, results = holder.actions[instance], self.results(instance)
        if way is not None:  # many clips are of one video, which is looked up once
            rows = way if rows is None else way[rows]
            return results.take(self._places(actions, results)[rows], list(columns))
        return results.take(self._places(actions, results, rows), list(columns))

    def _lasting(self, items: Items, rows: np.ndarray | None) -> pa.Table:
        """How many seconds each item lasts, with a digest."""
        seconds = seconds_of(items, self, np.arange(len(items)) if rows is None else rows)
        each, back = np.unique(seconds, return_inverse=True)
        digests = np.array([np.void(digest.of("span", value)) for value in each.tolist()], "V16")[back]
        values = pa.array(seconds, pa.float64())
        return pa.table({value_column("duration"): values, digest_column("duration"): digest.column_of(digests)})

    def _places(self, actions: ItemActions, results: Results, rows: np.ndarray | None = None) -> np.ndarray:
        """Where the results of items, or of some rows of them, stand; -1 where there is none."""
        keys, state = (actions.keys, actions.state) if rows is None else (actions.keys[rows], actions.state[rows])
        places = np.full(len(keys), -1, np.int64)
        done = state == State.DONE
        if done.all():
            return results.lookup(keys)
        places[done] = results.lookup(keys[done])
        return places

    def digests(
        self, items: Items, instance: str, fields: Iterable[str], rows: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """Per field, (n,) V16: the stored digests of what an instance wrote; zeros where it wrote nothing."""
        names = [digest_column(f) for f in fields]
        table = self.take(items, instance, names, rows)
        blank = pa.scalar(bytes(digest.SIZE), pa.binary(digest.SIZE))
        return [digest.keys_of(table[name].fill_null(blank)) for name in names]

    def judged(self, shards: Sequence[Items], instance: str) -> tuple[np.ndarray, np.ndarray]:
        """What a decision over an instance's values judges: their digests, (n,) V16, shard behind shard; and the rows,
        int64, of the clips that are kept where it stands and have a value that is not null."""
        values = np.concatenate([np.empty(0, "V16"), *(self.digests(each, instance, [""])[0] for each in shards)])
        kept = np.concatenate([np.empty(0, bool), *(each.kept & each.sure for each in shards)])
        return values, np.flatnonzero(kept & (values != NOBODY[0]) & (values != NULL[0]))

    def keys(self, items: Items, instance: Instance) -> tuple[np.ndarray, np.ndarray]:
        """The keys (n,) V16 of an instance's actions, and (n,) uint8 the state that their inputs leave them.

        A stage that asks only for footage has the item's id itself as its key.
        """
        ready = np.full(len(items), State.MISSING, np.uint8)
        states = [items.states(port.source) for port in instance.ports]
        for left, comes in (
            ((State.MISSING, State.UNKNOWN), State.UNKNOWN),
            ((State.UNWANTED,), State.UNWANTED),
            ((State.FAILED,), State.FAILED),
        ):
            for state in states:
                ready[np.isin(state, left)] = comes
        if not instance.ports:
            return items.ids, ready
        names, columns = self.input_digests(items, instance)
        keys = digest.inputs(names, columns)
        keys[ready != State.MISSING] = NOBODY[0]
        return keys, ready

    def input_digests(
        self, items: Items, instance: Instance, rows: np.ndarray | None = None
    ) -> tuple[list[str], list[np.ndarray]]:
        """What the inputs of an instance's actions are made of: names, and per name the digests (n,) V16, in order."""
        footage = instance.stage.asks() is not None or not instance.ports
        ids = items.ids if rows is None else items.ids[rows]
        names, columns = (["footage"], [ids]) if footage else ([], [])
        for port in instance.ports:
            names += [f"{port.name}.{f}" for f in port.fields]
            columns += self.digests(items, port.source, port.fields, rows)
        return names, columns

    def values(self, items: Items, ports: Sequence[Port], rows: np.ndarray) -> dict[str, Rows]:
        """What the actions of some rows read, by port."""
        by_port = {}
        for port in ports:
            kinds = self._kinds(items, port)
            names = [value_column(f) + kind.handed for f, kind in kinds.items()]
            table = self.take(items, port.source, names, rows).combine_chunks().rename_columns(list(kinds))
            by_port[port.name] = Rows(kinds, table, Blobs(self.actions.folder.parent).folder)
        return by_port

    def _kinds(self, items: Items, port: Port) -> dict[str, Kind]:
        """The types of what a port reads."""
        if port.source == SPAN:
            return {f: GIVEN[SPAN][f] for f in port.fields}
        if port.source != SOURCE:
            return {f: self.instances[port.source].writes[f] for f in port.fields}
        videos = items.parent or items
        return {f: GIVEN[SOURCE].get(f) or kind_from(videos.said(f).type) for f in port.fields}

    def columns(self, items: Items, names: Iterable[str]) -> pa.Table:
        """Columns of the dataset for clips, by the names that predicates use; one row a clip, whatever is asked."""
        wanted: dict[str, pa.ChunkedArray] = {"clip_id": hexed(items.ids)}
        base = [name for name in names if name in BASE]
        if base:
            table = base_columns(items, self)
            wanted.update((name, table[name]) for name in base)
        for name in names:
            instance = owner(name, (self.instances[i] for i in items.actions))
            if name in items.placed:
                wanted[name] = pa.chunked_array([items.placed[name]])
            elif instance is not None:
                stored, part, kind = stored_column(instance, name)
                values = self.take(items, instance.name, [stored])[stored]
                wanted[name] = kind.shown(part, values)
            elif name not in wanted and name in VIDEO:
                stored = value_column(VIDEO[name])
                wanted[name] = self.take(items, PROBE, [stored])[stored]
            elif name not in wanted and items.parent is not None and items.parent.listed is not None:
                wanted[name] = items.parent.listed[name].take(pa.array(items.place))
        return pa.table(wanted)


def _digests(f: str, said: pa.Array) -> pa.Array:
    """Digests of paths, or of what lists say in a column."""
    values = said.to_pylist()
    return pa.array([digest.of("uri" if f == "uri" else "listed", one) for one in values], pa.binary(digest.SIZE))


def stored_column(instance: Instance, name: str) -> tuple[str, str, Kind]:
    """For a column of the dataset: the stored column, and what part of which type it is."""
    for written, (f, kind) in instance.columns.items():
        for part in kind.columns():
            if name == written + part:
                return value_column(f) + part, part, kind
    raise KeyError(name)


def hexed(digests: np.ndarray) -> pa.ChunkedArray:
    """Digests (n,) V16 as 32 hex characters."""
    text = digests.tobytes().hex().encode()
    ends = np.arange(0, len(text) + 1, 2 * digest.SIZE, dtype=np.int32)
    parts = [None, pa.py_buffer(ends), pa.py_buffer(text)]
    return pa.chunked_array([pa.Array.from_buffers(pa.string(), len(digests), parts)])


def seconds_of(items: Items, shelf: Shelf, rows: np.ndarray) -> np.ndarray:
    """Seconds of footage of clips, or of videos; NaN where they are not known."""
    if items.parent is None:
        return np.asarray(shelf.take(items, "probe", ["duration"], rows)["duration"].to_numpy(), np.float64)
    probed = shelf.take(items, "probe", ["time_base_num", "time_base_den"], rows)
    tick = probed["time_base_num"].to_numpy() / probed["time_base_den"].to_numpy()
    return np.asarray((items.end_pts[rows] - items.start_pts[rows]) * tick, np.float64)


PROBED = ("width", "height", "fps", "time_base_num", "time_base_den", "start_pts", "stream")
"""What the clips take from the probe of their video."""


BASE_SCHEMA = pa.schema([pa.field(name, kind.stored()[""]) for name, kind in BASE.items()])
"""The columns that every clip has, as Arrow types."""


def base_columns(items: Items, shelf: Shelf, rows: np.ndarray | None = None) -> pa.Table:
    """The columns that every clip has, whatever its stages.

    Times are of the source's own clock: seconds, and ticks of its time base.
    """
    assert items.parent is not None
    rows = np.arange(len(items)) if rows is None else rows
    video = items.place[rows]
    probed = shelf.take(items, "probe", PROBED, rows)
    tick = probed["time_base_num"].to_numpy() / probed["time_base_den"].to_numpy()
    start, end = items.start_pts[rows] * tick, items.end_pts[rows] * tick
    return pa.table(
        {
            "clip_id": hexed(items.ids[rows]),
            "video_id": hexed(items.parent.ids[video]),
            "uri": pa.array([items.parent.names[v] for v in video.tolist()], pa.string()),
            "start_s": pa.array(start, pa.float64()),
            "end_s": pa.array(end, pa.float64()),
            "duration_s": pa.array((items.end_pts[rows] - items.start_pts[rows]) * tick, pa.float64()),
            "start_pts": pa.array(items.start_pts[rows], pa.int64()),
            "end_pts": pa.array(items.end_pts[rows], pa.int64()),
            "source_w": probed["width"],
            "source_h": probed["height"],
            "source_fps": probed["fps"],
        },
        schema=BASE_SCHEMA,
    )
