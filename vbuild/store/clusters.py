"""Centroids of an embedding recipe, and which vectors belong to each, remembered: only what is new is computed."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import feather

from vbuild.digest import SIZE, column_of, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = pa.schema(
    [pa.field("vector", pa.binary(SIZE)), pa.field("cluster", pa.int32()), pa.field("distance", pa.float32())]
)

KEPT = 8
"""Sets of centroids of one recipe that are kept, those that were used last."""


@dataclass(frozen=True)
class Clusters:
    """What is remembered of one set of centroids. Whatever cannot be read is as if it were not there."""

    folder: Path
    id: str
    """What the centroids follow from, as a digest."""

    @property
    def path(self) -> Path:
        """The file of the centroids."""
        return self.folder / f"{self.id}.npy"

    def centroids(self) -> np.ndarray | None:
        """The centroids (k, d) float32; None if they are not known."""
        with suppress(OSError, ValueError, EOFError):
            found = np.load(self.path)
            if found.ndim == 2 and found.dtype == np.float32:
                return np.asarray(found)
        return None

    def assigned(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vectors by digest (n,) V16, each once; the cluster (n,) int32 and the distance (n,) float32."""
        with suppress(OSError, ValueError):
            table = feather.read_table(self.folder / f"{self.id}.arrow", memory_map=False)
            if table.schema == SCHEMA:
                return keys_of(table["vector"]), table["cluster"].to_numpy(), table["distance"].to_numpy()
        return np.empty(0, "V16"), np.empty(0, np.int32), np.empty(0, np.float32)

    def keep(self, centroids: np.ndarray, vectors: np.ndarray, cluster: np.ndarray, distance: np.ndarray) -> None:
        """Remembers all of it in place of what was; of the recipe's other centroids, those that were used last stay."""
        self.folder.mkdir(parents=True, exist_ok=True)
        table = pa.table([column_of(vectors), pa.array(cluster), pa.array(distance)], schema=SCHEMA)
        self._write(self.path, lambda path: np.save(path, centroids))
        self._write(self.folder / f"{self.id}.arrow", lambda path: feather.write_feather(table, path))
        files = sorted(self.folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[KEPT:]:
            path.unlink(missing_ok=True)
            path.with_suffix(".arrow").unlink(missing_ok=True)

    def used(self) -> None:
        """Notes that they were used now."""
        with suppress(OSError):
            os.utime(self.path)

    def _write(self, path: Path, write: Callable[[str], object]) -> None:
        """A file that is there whole or not at all."""
        private = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
        write(str(private))
        private.replace(path)


def clusters(store: Path, recipe: str, id_: str) -> Clusters:
    """What is remembered of centroids of an embedding recipe in a store."""
    return Clusters(store / "clusters" / recipe, id_)
