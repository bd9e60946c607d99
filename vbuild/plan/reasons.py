"""Why actions have to run: what their keys were compared with, and in what that differed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vbuild.stage import defaults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbuild.digest import Recipe
    from vbuild.plan.items import Shelf
    from vbuild.plan.order import Instance
    from vbuild.stage import Stage
    from vbuild.store.failures import Failures

SIBLINGS = 16
"""Older recipes of a stage that a miss is compared with."""

Kind = Literal["first build", "new input", "parameters", "new version", "new model", "evicted", "failed before"]


@dataclass(frozen=True)
class Reason:
    """Why an action has to run."""

    kind: Kind
    detail: str = ""
    """What changed, from what to what."""
    recipe: str | None = None
    """The id of the recipe that holds a result for the same input."""

    def __str__(self) -> str:
        return self.detail or self.kind


@dataclass
class Why:
    """The reasons of n actions."""

    codes: np.ndarray
    """(n,) int64: which of the reasons each has."""
    reasons: list[Reason] = field(default_factory=list)

    def note(self, rows: np.ndarray, reason: Reason) -> None:
        """Gives some rows a reason."""
        self.codes[rows] = len(self.reasons)
        self.reasons.append(reason)

    def counts(self) -> Counter[str]:
        """Reason, for people → how many actions have it."""
        found: Counter[str] = Counter()
        for code, n in zip(*np.unique(self.codes, return_counts=True), strict=True):
            found[str(self.reasons[code])] += int(n)
        return found


def why(shelf: Shelf, failures: Failures, instance: Instance, keys: np.ndarray, gone: np.ndarray) -> Why:
    """Why the actions of keys (n,) V16 have to run; `gone` (n,) bool says which had a result whose blob is gone."""
    found = Why(np.full(len(keys), -1, np.int64))
    if not len(keys):
        return found
    found.note(gone, Reason("evicted"))
    again = failures.lookup(instance.recipe.id, keys)
    if again:
        failed = np.fromiter((key in again for key in keys.tolist()), bool, len(keys))
        found.note(failed & (found.codes < 0), Reason("failed before"))
    siblings = near(shelf, instance)
    for sibling in siblings[:SIBLINGS]:
        left = np.flatnonzero(found.codes < 0)
        held = shelf.actions.results(sibling, instance.stage.writes).lookup(keys[left]) >= 0
        if held.any():
            found.note(left[held], difference(sibling, instance.recipe, type(instance.stage)))
    known = bool(siblings) or len(shelf.results(instance.name)) > 0
    found.note(found.codes < 0, Reason("new input" if known else "first build"))
    return found


def near(shelf: Shelf, instance: Instance) -> list[Recipe]:
    """The other recipes of an instance's stage that have results, the most alike first."""
    others = [r for r in shelf.actions.recipes(instance.recipe.stage) if r.id != instance.recipe.id]
    cls = type(instance.stage)
    return sorted(others, key=lambda r: (len(list(differences(r, instance.recipe, cls))), r.id))


def difference(old: Recipe, new: Recipe, cls: type[Stage]) -> Reason:
    """What changed from one recipe of a stage to another; of several kinds the first names it."""
    found = list(differences(old, new, cls)) or [("new version", "new version of the key")]
    return Reason(found[0][0], ", ".join(text for _, text in found), old.id)


def differences(old: Recipe, new: Recipe, cls: type[Stage]) -> Iterator[tuple[Kind, str]]:
    """Each place in which two recipes of a stage differ, with the values; what a recipe leaves out is the default."""
    if old.version != new.version:
        yield "new version", f"new version {old.version} → {new.version}"
    known = defaults(cls)
    for name, a, b in _changed({**known, **old.params}, {**known, **new.params}):
        yield "parameters", f"{name} {shown(a)} → {shown(b)}"
    for name, a, b in _changed(old.uses, new.uses):
        yield "new version", f"new version of {name} {shown(a)} → {shown(b)}"
    for name, a, b in _changed(old.models, new.models):
        yield "new model", f"new model {name} {(a or 'null')[:8]} → {(b or 'null')[:8]}"


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)


def shown(value: Any) -> str:
    """A value as people write it in a dataset's file."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(shown, value)) + "]"
    return repr(value)
