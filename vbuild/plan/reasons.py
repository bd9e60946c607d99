"""Why actions are missing: a closed set of reasons, found by looking for what the store held under former keys."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from vbuild import digest
from vbuild.plan.wiring import SOURCE, SPAN
from vbuild.recipes import defaults
from vbuild.secrets import masked_data
from vbuild.values import digest_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbuild.digest import Recipe
    from vbuild.plan.items import Items, Shelf
    from vbuild.plan.wiring import Instance, Port
    from vbuild.store.actions import Results
    from vbuild.store.failures import Failures

ReasonKind = Literal[
    "first build", "new input", "new parameters", "new version", "new model", "evicted", "failed before"
]  # fmt: skip

FORMER = 16
"""Former recipes of a stage that a miss is compared with, the nearest first."""

DEPTH = 3
"""Stages before one that a new input is followed to."""

TRIES = 48
"""Former inputs that are tried for one instance; what is not found then is a new input, and no more is said."""

WIDTH = 32
"""Characters of a parameter's value that are shown."""


@dataclass(frozen=True)
class Reason:
    """Why an action has to run."""

    kind: ReasonKind
    text: str
    """For people: `crf 23 → 28`, `new input`, `new input: caption: prompt 'a' → 'b'`."""
    former: str | None = None
    """The recipe under which the result was found that is there instead."""


@dataclass(frozen=True)
class Match:
    """Actions with one reason, and the former results that gave it away."""

    reason: Reason
    rows: np.ndarray
    """Rows of the items."""
    results: Results | None = None
    keys: np.ndarray | None = None
    """The keys of the former results, one a row."""
    inputs: list[np.ndarray] | None = None
    """The input parts of the former results, where they are others than now: per part (rows,) V16."""


@dataclass(frozen=True)
class Before:
    """What the store held of a stage when it was first asked."""

    own: bool
    """Results of the very recipe."""
    evicted: bool
    """Such results were there, and were taken away as a whole."""
    former: list[tuple[Recipe, Results]]
    """Other recipes that no instance of this dataset has, the nearest first."""


@dataclass
class Reasons:
    """Finds reasons. What it compares with is what was there before this build wrote anything of an instance."""

    shelf: Shelf
    failures: Failures
    known: dict[str, Before] = field(default_factory=dict)

    def before(self, instance: Instance) -> Before:
        """What the store held of an instance's stage."""
        recipe = instance.recipe
        if recipe.id not in self.known:
            ours = {i.recipe.id for i in self.shelf.instances.values()}
            noted = self.shelf.actions.recipes(recipe.stage)
            others = sorted((r for r in noted if r.id not in ours), key=lambda r: distance(r, recipe))
            opened = ((r, self.shelf.actions.results(r, instance.writes)) for r in others)
            former = [(r, results) for r, results in opened if len(results)][:FORMER]
            own = len(self.shelf.results(instance.name)) > 0
            evicted = not own and any(r.id == recipe.id for r in noted)
            self.known[recipe.id] = Before(own, evicted, former)
        return self.known[recipe.id]

    def of(self, items: Items, instance: Instance, rows: np.ndarray, gone: np.ndarray) -> Iterator[Match]:
        """The reasons of the actions of some rows, which have to run; each row is in one match.

        `gone`, (rows,) bool: those whose result is there without its blob.
        """
        if not len(rows):
            return
        before, keys = self.before(instance), items.actions[instance.name].keys
        own = self.shelf.results(instance.name)
        evicted = gone | before.evicted | own.evicted(keys[rows])
        if evicted.any():
            yield Match(Reason("evicted", "evicted"), rows[evicted], own, keys[rows[evicted]])
        left = rows[~evicted]
        failed = self.failures.known(instance.recipe.id, keys[left])
        if failed.any():
            yield Match(Reason("failed before", "failed before"), left[failed])
        left = left[~failed]
        for recipe, results in before.former:
            held = results.lookup(keys[left]) >= 0
            if held.any():
                kind, text = difference(recipe, instance.recipe, given(instance))
                yield Match(Reason(kind, text, recipe.id), left[held], results, keys[left[held]])
                left = left[~held]
        if before.own or before.former:
            renewed = list(self._renewed(items, instance, left))
            yield from renewed
            left = left[~np.isin(left, np.concatenate([np.empty(0, np.int64), *(m.rows for m in renewed)]))]
        if len(left):
            seen = before.own or before.former
            yield Match(Reason("new input", "new input") if seen else Reason("first build", "first build"), left)

    def _renewed(self, items: Items, instance: Instance, left: np.ndarray) -> Iterator[Match]:
        """Actions whose result was there for what their input was before, with what changed it."""
        before = self.before(instance)
        places = [(instance.recipe, self.shelf.results(instance.name)), *before.former]
        tries, open_ = 0, np.ones(len(left), bool)
        for text, inputs, keys in self._inputs(items, instance, left, DEPTH) if len(left) else ():
            for recipe, results in places:
                held = open_ & (results.lookup(keys) >= 0)
                tries += 1
                if held.any():
                    also = "" if recipe is instance.recipe else f", {_text(recipe, instance)}"
                    reason = Reason("new input", f"new input: {text}{also}", recipe.id)
                    yield Match(reason, left[held], results, keys[held], [part[held] for part in inputs])
                    open_ &= ~held
            if tries >= TRIES or not open_.any():
                return

    def _inputs(
        self, items: Items, instance: Instance, rows: np.ndarray, depth: int
    ) -> Iterator[tuple[str, list[np.ndarray], np.ndarray]]:
        """What the inputs of some rows were before: what changed, the parts, and the keys; one port at a time."""
        names, parts = self.shelf.input_digests(items, instance, rows)
        for port in instance.ports if depth else ():
            place = [n for n, name in enumerate(names) if name.startswith(f"{port.name}.")]
            for text, digests in self._outputs(items, port, rows, depth):
                other = list(parts)
                for n, column in zip(place, digests, strict=True):
                    other[n] = column
                yield f"{port.source}: {text}", other, digest.inputs(names, other)

    def _outputs(
        self, items: Items, port: Port, rows: np.ndarray, depth: int
    ) -> Iterator[tuple[str, list[np.ndarray]]]:
        """What a port gave some rows before: what changed, and per field the digests; zeros where there was nothing.

        Of where a video is found, what lists say of it, and how long a clip is, nothing is known but what it is now.
        """
        if port.source in (SOURCE, SPAN):
            return
        holder, way = items.holder(port.source)
        rows = rows if way is None else way[rows]
        source = self.shelf.instances[port.source]
        keys = holder.actions[port.source].keys[rows]
        own = self.shelf.results(port.source)
        tried = [(_text(recipe, source), results, keys) for recipe, results in self.before(source).former]
        tried += [(text, own, other) for text, _, other in self._inputs(holder, source, rows, depth - 1)]
        names = [digest_column(f) for f in port.fields]
        for text, results, former in tried:
            places = results.lookup(former)
            if (places >= 0).any() and results.holds(names):
                table = results.take(places, names)
                blank = pa.scalar(bytes(digest.SIZE), pa.binary(digest.SIZE))
                yield text, [digest.keys_of(table[name].fill_null(blank)) for name in names]


def given(instance: Instance) -> dict[str, Any]:
    """What the parameters of an instance are where nothing is said."""
    return {name: value for name, value in defaults(type(instance.stage)).items() if value is not dataclasses.MISSING}


def distance(a: Recipe, b: Recipe) -> int:
    """In how many places two recipes of a stage differ."""
    return sum(
        sum(1 for _ in _changed(getattr(a, part), getattr(b, part))) for part in ("params", "uses", "models")
    ) + (a.version != b.version)


def difference(old: Recipe, new: Recipe, default: Mapping[str, Any]) -> tuple[ReasonKind, str]:
    """What changed from one recipe of a stage to another. `default`: the new one's parameters that it leaves out."""
    versions = [] if old.version == new.version else [f"new version {old.version} → {new.version}"]
    versions += [
        f"new version of {name} {shown_value(a)} → {shown_value(b)}" for name, a, b in _changed(old.uses, new.uses)
    ]
    models = [
        f"new model {name} {(a or 'null')[:8]} → {(b or 'null')[:8]}" for name, a, b in _changed(old.models, new.models)
    ]
    params = []
    for name, _, _ in _changed(old.params, new.params):
        gone = "gone" if name not in default else "default"
        a = old.params.get(name, old.defaults.get(name, _Word("default")))
        b = new.params.get(name, default.get(name, _Word(gone)))
        params.append(f"{name} {' → '.join(_pair(a, b))}")
    kind: ReasonKind = "new version" if versions else "new model" if models else "new parameters"
    return kind, ", ".join(versions + params + models) or "same recipe"


def _text(recipe: Recipe, instance: Instance) -> str:
    return difference(recipe, instance.recipe, given(instance))[1]


class _Word(str):
    """A word that stands for a value."""

    __slots__ = ()


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, old and new value of what differs; None for what is not there."""
    for name in sorted(old.keys() | new.keys()):
        if masked_data(old.get(name)) != masked_data(new.get(name)):
            yield name, old.get(name), new.get(name)


def _pair(a: Any, b: Any) -> tuple[str, str]:
    """Two values as one line can hold them; of long texts the part where they part."""
    if isinstance(a, str) and isinstance(b, str) and not isinstance(a, _Word) and max(len(a), len(b)) > WIDTH:
        same = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        start = max(same - WIDTH // 3, 0)
        a, b = ("…" * bool(start) + text[start:] for text in (a, b))
    return shown_value(a), shown_value(b)


def shown_value(value: Any) -> str:
    """A parameter's value as people write it in yaml, cut where it is long."""
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    if isinstance(value, _Word):
        return str(value)
    value = masked_data(value)
    text = " ".join(value.split()) if isinstance(value, str) else str(value)
    text = text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
    return f"'{text}'" if isinstance(value, str) else text
