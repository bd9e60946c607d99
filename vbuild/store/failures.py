"""Actions that failed: what they were, why, and how often they were tried."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild.digest import SIZE
from vbuild.store import lances
from vbuild.versions import versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TRANSIENT = frozenset(
    {
        "WorkerDied", "OutOfTime", "MemoryError", "OSError", "TimeoutError", "InterruptedError", "BlockingIOError",
        "ConnectionError", "ConnectionResetError", "ConnectionRefusedError", "ConnectionAbortedError",
        "BrokenPipeError",
    }
)  # fmt: skip
"""Classes of errors that may pass by themselves."""

SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(SIZE)),
        pa.field("stage", pa.string()),
        pa.field("recipe", pa.string()),
        pa.field("error", pa.string()),
        pa.field("message", pa.string()),
        pa.field("item", pa.binary(SIZE)),
        pa.field("attempts", pa.int64()),
        pa.field("versions", pa.string()),
        pa.field("created", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class Failed:
    """One action that failed."""

    key: bytes
    stage: str
    recipe: str
    error: str
    """The class of the error."""
    message: str
    item: bytes
    """The id of the clip or video that it was for."""
    attempts: int = 1
    versions: str = ""
    """Of the libraries, as JSON; filled in when it is recorded."""

    @property
    def transient(self) -> bool:
        """Whether it may pass by itself."""
        return self.error in TRANSIENT


class Failures:
    """The failures of a store. The last record of a recipe and key counts."""

    def __init__(self, root: Path) -> None:
        self.path = root / "failures.lance"
        self.refresh()

    def refresh(self) -> None:
        """Takes what other builds have recorded."""
        dataset = lances.opened(self.path)
        self.table = SCHEMA.empty_table() if dataset is None else dataset.to_table()
        self.held: dict[str, dict[bytes, Failed]] = {}

    def all(self) -> pa.Table:
        """Every record, oldest first."""
        return self.table

    def of(self, recipe: str) -> dict[bytes, Failed]:
        """The failures of a recipe by key."""
        if recipe not in self.held:
            rows = self.table.filter(pc.equal(self.table["recipe"], recipe)).drop_columns("created").to_pylist()
            self.held[recipe] = {row["key"]: Failed(**row) for row in rows}
        return self.held[recipe]

    def known(self, recipe: str, keys: np.ndarray, retry: str = "never") -> np.ndarray:
        """(n,) bool: which of the keys (n,) V16 have failed under a recipe, less those that `retry` tries again.

        `changed`: those that failed under other versions of the libraries; `transient`: those that may pass; `always`.
        """
        held = self.of(recipe)
        if not held or retry == "always":
            return np.zeros(len(keys), bool)
        now = _now()
        stays = {
            key
            for key, failed in held.items()
            if not (retry == "transient" and failed.transient) and not (retry == "changed" and failed.versions != now)
        }
        return np.fromiter((key in stays for key in keys.tolist()), bool, len(keys))

    def lookup(self, recipe: str, keys: np.ndarray) -> dict[bytes, Failed]:
        """The failures of those of the keys (n,) V16 that have failed under a recipe."""
        held = self.of(recipe)
        return {key: held[key] for key in keys.tolist() if key in held}

    def append(self, failed: Sequence[Failed]) -> None:
        """Records failures; one more attempt for those that failed before."""
        self.refresh()
        before = {recipe: self.of(recipe) for recipe in {f.recipe for f in failed}}
        now = datetime.now(UTC)
        rows = []
        for f in failed:
            old = before[f.recipe].get(f.key)
            rows.append(
                {**vars(f), "versions": _now(), "attempts": f.attempts + (old.attempts if old else 0), "created": now}
            )
        lances.append(self.path, pa.Table.from_pylist(rows, schema=SCHEMA))
        self.refresh()

    def delete(self, recipe: str, keys: np.ndarray) -> None:
        """Forgets failures of actions that have a result now."""
        gone = self.lookup(recipe, keys)
        dataset = lances.opened(self.path)
        if dataset is not None and gone:
            listed = ", ".join(f"X'{key.hex()}'" for key in gone)
            dataset.delete(f"recipe = '{recipe}' AND key IN ({listed})")
            self.refresh()


def _now() -> str:
    """The versions of the libraries, as they are recorded."""
    return json.dumps(versions(), sort_keys=True)
