"""What actions cost: seconds and bytes that were recorded, scaled to those that would run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from vbuild.fields import BlobField
from vbuild.plan.items import seconds_of
from vbuild.values import value_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vbuild.plan.items import Items, Shelf
    from vbuild.plan.reasons import Match, Reasons
    from vbuild.plan.wiring import Instance
    from vbuild.report import StageCount
    from vbuild.store.actions import Results


@dataclass
class Amount:
    """Some actions: how many, of how many seconds of footage; and, where they ran, what they cost."""

    actions: int = 0
    footage: float = 0.0
    seconds: float = 0.0
    """Worker seconds."""
    bytes: int = 0
    """Of blobs."""


@dataclass
class Costs:
    """The recorded costs of a plan's hits and former results, and the extent of what would run, by instance."""

    shelf: Shelf
    recorded: dict[str, Amount] = field(default_factory=dict)
    wanted: dict[str, Amount] = field(default_factory=dict)
    possible: dict[str, Amount] = field(default_factory=dict)

    def see(self, items: Items, instance: Instance, hits: np.ndarray, matches: Iterable[Match]) -> None:
        """Takes the costs of actions that have run: rows that hit, and former results of rows that did not."""
        amount = self.recorded.setdefault(instance.name, Amount())
        if len(hits):
            keys = items.actions[instance.name].keys[hits]
            self._add(amount, items, instance, hits, self.shelf.results(instance.name), keys)
        for match in matches:
            if match.results is not None and match.keys is not None:
                self._add(amount, items, instance, match.rows, match.results, match.keys)

    def want(self, items: Items, instance: Instance, run: np.ndarray, unknown: np.ndarray) -> None:
        """Counts rows whose actions would run, and rows whose actions may."""
        for rows, amounts in ((run, self.wanted), (unknown, self.possible)):
            amount = amounts.setdefault(instance.name, Amount())
            if len(rows):
                amount.actions += len(rows)
                amount.footage += self._footage(items, instance, rows)

    def expect(self, instance: Instance, count: StageCount, reasons: Reasons) -> None:
        """Puts what an instance's actions would cost into its count; leaves it untold where nothing was recorded."""
        recorded = self.recorded.get(instance.name, Amount())
        wanted, possible = (amounts.get(instance.name, Amount()) for amounts in (self.wanted, self.possible))
        if not (recorded.actions or wanted.actions or possible.actions):
            count.recorded = any(map(len, self._nearest(instance, reasons)))
            return
        if not recorded.actions:
            recorded = self._whole(instance, reasons)
        if not recorded.actions:
            return
        count.recorded = True
        count.seconds, count.bytes = _scaled(recorded, wanted)
        if wanted.actions:
            known = [instance.recipe, *(recipe for recipe, _ in reasons.before(instance).former)]
            loads = (self.shelf.actions.notes(recipe).load_seconds for recipe in known)
            count.seconds += next((seconds for seconds in loads if seconds), 0.0)
        count.seconds_more, count.bytes_more = _scaled(recorded, possible)

    def _whole(self, instance: Instance, reasons: Reasons) -> Amount:
        """What the nearest recipe of the stage that has results cost, over all datasets."""
        amount = Amount()
        for results in self._nearest(instance, reasons):
            if len(results):
                _count(amount, results, np.arange(len(results)), instance)
                return amount
        return amount

    def _nearest(self, instance: Instance, reasons: Reasons) -> Iterator[Results]:
        """The results of an instance's recipe, and those of others of its stage, the nearest first."""
        yield self.shelf.results(instance.name)
        yield from (former for _, former in reasons.before(instance).former)

    def _add(
        self, amount: Amount, items: Items, instance: Instance, rows: np.ndarray, results: Results, keys: np.ndarray
    ) -> None:
        places = results.lookup(keys)
        held = places >= 0
        if held.any():
            amount.footage += self._footage(items, instance, rows[held])
            _count(amount, results, places[held], instance)

    def _footage(self, items: Items, instance: Instance, rows: np.ndarray) -> float:
        """Seconds of footage that a stage sees of rows; 0 for one that sees none."""
        return float(np.nansum(seconds_of(items, self.shelf, rows))) if instance.stage.asks() is not None else 0.0


def _count(amount: Amount, results: Results, places: np.ndarray, instance: Instance) -> None:
    sizes = [f"{value_column(f)}_bytes" for f, kind in instance.writes.items() if isinstance(kind, BlobField)]
    sizes = [name for name in sizes if results.holds([name])]
    table = results.take(places, ["seconds", *sizes])
    amount.actions += len(places)
    amount.seconds += float(pc.sum(table["seconds"]).as_py() or 0.0)
    amount.bytes += sum(int(pc.sum(table[name]).as_py() or 0) for name in sizes)


def _scaled(recorded: Amount, wanted: Amount) -> tuple[float, int]:
    """Seconds and bytes of actions, by the footage where it is known of both, else by their number."""
    if recorded.footage and wanted.footage:
        share = wanted.footage / recorded.footage
    else:
        share = wanted.actions / recorded.actions
    return recorded.seconds * share, round(recorded.bytes * share)
