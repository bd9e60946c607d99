"""The anti-join: which actions of an instance are in the store, which have to run, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild.plan.costs import Costs
from vbuild.plan.items import ItemActions, State
from vbuild.plan.reasons import Reasons
from vbuild.plan.undone import Undone
from vbuild.report import StageCount
from vbuild.store.blobs import Present, flat
from vbuild.values import value_column
from vbuild.versions import recorded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vbuild.plan.items import Items, Shelf
    from vbuild.plan.wiring import Instance
    from vbuild.store.blobs import Blobs
    from vbuild.store.failures import Failures
    from vbuild.store.keyed import Index
    from vbuild.store.remote_cache import RemoteCache


@dataclass
class Lookup:
    """Looks actions up and counts what it finds."""

    shelf: Shelf
    blobs: Blobs
    failures: Failures
    retry: str
    """Which actions that failed before are tried again: `failures.retry`."""
    dry: bool
    """Nothing is repaired, and clips may be unsure."""
    counts: dict[str, StageCount] = field(default_factory=dict)
    asked: dict[str, dict[bytes, str]] = field(default_factory=dict)
    """Recipe → the key of each action that had to run → the instance that asked for it first."""
    reasons: Reasons = field(init=False)
    costs: Costs = field(init=False)
    present: Present = field(init=False)
    undone: Undone = field(default_factory=Undone)
    remote: RemoteCache | None = None
    """Where results are looked for that the store does not have."""

    def __post_init__(self) -> None:
        self.present = Present(self.blobs.place)
        self.reasons, self.costs = Reasons(self.shelf, self.failures), Costs(self.shelf)

    def count(self, instance: str) -> StageCount:
        """The count of one instance, made when it is first asked for."""
        return self.counts.setdefault(instance, StageCount(instance))

    def look(self, items: Items, instance: Instance) -> np.ndarray:
        """Finds an instance's actions for items, notes their states, and returns the rows that have to run."""
        keys, state = self.shelf.keys(items, instance)
        wanted = items.kept if instance.stage.clips == "kept" else np.ones(len(items), bool)
        state[~wanted] = State.UNWANTED
        actions = items.actions[instance.name] = ItemActions(keys, state, np.zeros(len(items), bool))
        count = self.count(instance.name)
        ready = np.flatnonzero(state == State.MISSING)
        asked = keys if len(ready) == len(keys) else keys[ready]
        self._pull(instance, asked)
        places, gone = self.stored(instance, asked, items.index if asked is items.ids else None)
        stored, failed_parts = places >= 0, 0
        if instance.stage.partial:
            stored[stored], failed_parts = self._left_so(instance, keys[ready[stored]])
        results = self.shelf.results(instance.name)
        if stored.any():
            count.saved += float(np.nansum(results.take(places[stored], ["seconds"])["seconds"]))
        if gone.any() and not self.dry:
            results.delete(keys[ready[gone]])
        actions.state[ready[stored]] = State.DONE
        missing = ready[~stored]
        failed = self._failed(instance, keys[missing])
        actions.state[missing[failed]] = State.FAILED
        if instance.stage.asks() is not None or not instance.ports:
            actions.state[missing[items.away[missing] & ~failed]] = State.FAILED
        if instance.recipe.id in self.undone.stages:
            actions.state[missing[~failed]] = State.UNKNOWN
        if instance.stage.clips == "kept":
            unsure = missing[~items.sure[missing] & (actions.state[missing] == State.MISSING)]
            actions.state[unsure] = State.UNKNOWN
        run = np.flatnonzero(actions.state == State.MISSING)
        actions.own[run] = self._unasked(instance, keys[run])
        count.hits += int(stored.sum())
        count.failed += int(failed.sum()) + failed_parts
        count.unknown += int((actions.state == State.UNKNOWN).sum())
        own = run[actions.own[run]]
        matches = list(self.reasons.of(items, instance, own, np.isin(own, ready[gone])))
        for match in matches:
            text = match.reason.text
            count.reasons[text] = count.reasons.get(text, 0) + len(match.rows)
        if self.dry:
            count.ran += len(own)
            count.hits += len(run) - len(own)
            if len(own) or count.unknown:
                self.costs.see(items, instance, ready[stored], matches)
                self.costs.want(items, instance, own, np.flatnonzero(actions.state == State.UNKNOWN))
        return run

    def settle(self, items: Items, instance: Instance) -> None:
        """Takes what the store answers now for the actions that had to run; what is missing failed or was left."""
        actions = items.actions[instance.name]
        rows = np.flatnonzero(actions.state == State.MISSING)
        stored = self.shelf.results(instance.name).lookup(actions.keys[rows]) >= 0
        left = [(instance.recipe.id, bytes(key)) in self.undone.actions for key in actions.keys[rows].tolist()]
        actions.state[rows] = np.where(stored, State.DONE, np.where(left, State.UNKNOWN, State.FAILED))
        count = self.count(instance.name)
        count.hits += int((stored & ~actions.own[rows]).sum())
        count.failed += int((actions.state[rows] == State.FAILED).sum())
        count.failed += int(self.beside(instance, actions.keys[rows[stored]]).sum())
        count.unknown += int((actions.state[rows] == State.UNKNOWN).sum())

    def askers(self, recipe: str, keys: Iterable[bytes]) -> Counter[str]:
        """How many of some actions that had to run each instance asked for."""
        return Counter(self.asked[recipe][key] for key in keys)

    def _pull(self, instance: Instance, keys: np.ndarray) -> None:
        """Copies what the remote cache has of these actions: rows and, unless this is a plan, their blobs.

        What cannot be copied is missing, as if there were none.
        """
        if self.remote is None:
            return
        results, writes = self.shelf.results(instance.name), instance.writes
        table = self.remote.results(instance.recipe, writes, keys[results.lookup(keys) < 0])
        if table is not None:
            results.append(table)
            self.count(instance.name).fetched += len(table)
        places = results.lookup(keys)
        for name in (value_column(f) for f, kind in writes.items() if kind.blob):
            table = results.take(places[places >= 0], [f"{name}_uri", f"{name}_digest"])
            (_, uris), (_, digests) = map(flat, table.columns)
            here = pa.array(np.flatnonzero(self.present.missing(uris)))
            wanted = uris.take(here).to_pylist()
            if self.dry:
                fetched = self.remote.have(wanted)
            else:
                fetched = self.remote.fetch(wanted, digests.take(here).to_pylist(), self.blobs)
            self.present.added.update(uri for uri, came in zip(wanted, fetched, strict=True) if came)

    def _unasked(self, instance: Instance, keys: np.ndarray) -> np.ndarray:
        """Which keys stand for an action that has not been asked for before, in this build; notes that it has now."""
        asked = self.asked.setdefault(instance.recipe.id, {})
        new = np.zeros(len(keys), bool)
        for row, key in enumerate(keys.tolist()):
            new[row] = key not in asked
            asked.setdefault(key, instance.name)
        return new

    def stored(self, instance: Instance, keys: np.ndarray, index: Index | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The places of results whose blobs are all there, -1 for none; and which keys had one whose blob is gone.

        `index` is that of the keys, where there is one.
        """
        results = self.shelf.results(instance.name)
        places = results.lookup(keys, index)
        held = places >= 0
        names = [f"{value_column(f)}_uri" for f, kind in instance.writes.items() if kind.blob]
        if not names or not held.any():
            return places, np.zeros(len(keys), bool)
        asked, torn = np.zeros((2, len(results)), bool)
        asked[places[held]] = True
        order = np.flatnonzero(asked)  # as they are stored, for so they are read fastest
        for rows, uris in map(flat, results.take(order, names).columns):
            torn[order[rows[self.present.missing(uris)]]] = True
        gone = held & torn[places]
        return np.where(gone, -1, places), gone

    def beside(self, instance: Instance, keys: np.ndarray) -> np.ndarray:
        """Which keys, of those that have a result, have a failure beside it."""
        return instance.stage.partial & self.failures.known(instance.recipe.id, keys)

    def _left_so(self, instance: Instance, keys: np.ndarray) -> tuple[np.ndarray, int]:
        """Which results are taken as they are; not those of which parts failed that are tried again. How many did."""
        failed, stay = self.beside(instance, keys), self._failed(instance, keys)
        return ~failed | stay, int(stay.sum())

    def _failed(self, instance: Instance, keys: np.ndarray) -> np.ndarray:
        """Which keys failed before and are not tried again."""
        if not len(keys):
            return np.zeros(0, bool)
        return self.failures.known(instance.recipe.id, keys, self.retry, recorded(instance.stage.__module__))
