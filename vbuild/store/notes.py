"""What stands beside a recipe's results: the recipe in words, and the keys whose results were taken out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vbuild.digest import SIZE, Recipe
from vbuild.errors import StoreError
from vbuild.store.place import change, place_at

if TYPE_CHECKING:
    from pathlib import Path

    from vbuild.store.place import Place

RECIPE = ".json"
EVICTED = ".evicted"


@dataclass(frozen=True)
class Notes:
    """The notes of one recipe."""

    place: Place
    stem: str
    """The name of its results in the store, without an ending."""

    @property
    def recipe(self) -> Recipe | None:
        """The recipe that the note tells of; None where there is no note, or a torn one."""
        try:
            text = self.text()
            return None if text is None else Recipe.from_json(text)
        except (StoreError, ValueError, KeyError, TypeError):
            return None

    def text(self) -> str | None:
        """The note as it stands; None if there is none. Raises StoreError and ValueError for one that is no text."""
        held = self.place.get(self.stem + RECIPE)
        return None if held is None else held.data.decode()

    def write(self, recipe: Recipe) -> None:
        """Notes a recipe, in place of what was there."""
        self.place.put(self.stem + RECIPE, recipe.to_json().encode())

    def delete(self) -> None:
        """Takes the note of the recipe away."""
        self.place.delete(self.stem + RECIPE)

    def loaded(self, seconds: float) -> None:
        """Notes beside the recipe how long what it needs took to load; of a recipe without a note, nothing."""

        def with_seconds(data: bytes | None) -> bytes | None:
            try:
                said = None if data is None else {**json.loads(data), "load_seconds": round(seconds, 3)}
            except (ValueError, TypeError):
                return None
            shown = json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False)
            return None if said is None else shown.encode()

        change(self.place, self.stem + RECIPE, with_seconds)

    @property
    def load_seconds(self) -> float:
        """What was noted last; 0 if nothing was."""
        try:
            return float(json.loads(self.text() or "{}").get("load_seconds", 0.0))
        except (StoreError, ValueError, AttributeError):
            return 0.0

    def evicted(self) -> np.ndarray:
        """The keys (n,) V16 whose results were taken out."""
        held = self.place.get(self.stem + EVICTED)
        data = b"" if held is None else held.data
        return np.frombuffer(data[: len(data) // SIZE * SIZE], "V16")

    def evict(self, keys: np.ndarray) -> None:
        """Notes keys (n,) V16 whose results were taken out."""
        change(self.place, self.stem + EVICTED, lambda data: (data or b"") + keys.tobytes())


def notes_beside(results: Path) -> Notes:
    """The notes of the recipe whose results lie in a folder: `<store>/actions/<stage>/<recipe id>.lance`."""
    return Notes(place_at(results.parents[2]), f"{'/'.join(results.parts[-3:-1])}/{results.stem}")


def noted(place: Place, folder: str) -> list[Recipe]:
    """Every recipe of which there is a note in a folder of a place; the newest first."""
    found = [(-look.seconds, name) for name, look in place.looks(folder) if name.endswith(RECIPE)]
    read = (Notes(place, f"{folder}/{name.removesuffix(RECIPE)}").recipe for _, name in sorted(found))
    return [recipe for recipe in read if recipe is not None]
