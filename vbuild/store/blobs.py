"""Bytes by their digest: clip media, previews, frames."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from vbuild import digest
from vbuild.store.place import legal, place_at
from vbuild.values import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from vbuild.store.place import Look, Place

FOLDER = "blobs"
TMP = "tmp"
"""What of that folder holds no blobs."""

SHARD = re.compile(rb"[0-9a-f]{2}/")
"""The folder of a blob."""

BATCH = 100
"""Blobs that go at once: few, for one that is made young since it was looked at shall stay."""


def blob_of_path(path: str) -> str:
    """The blob that a dataset names."""
    return "/".join(path.rsplit("/", 2)[1:])


def blob_columns(schema: pa.Schema) -> list[str]:
    """The columns of a dataset's table that name blobs."""
    return [n for n in schema.names if n.endswith("_uri") and f"{n.removesuffix('_uri')}_digest" in schema.names]


def cited(cell: str | Sequence[str] | None) -> list[str]:
    """The blobs that a value of a `_uri` column names: one, a list of them, or none."""
    return [cell] if isinstance(cell, str) else list(cell or ())


def flat(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """A column of blobs, one a row or a list, as the row of each blob and its value; null cells have none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = column.combine_chunks()
    if pa.types.is_list(cells.type):
        return pc.list_parent_indices(cells).to_numpy(), pc.list_flatten(cells)
    return pc.indices_nonzero(cells.is_valid()).to_numpy(), cells.drop_null()


@dataclass(frozen=True)
class Blobs:
    """The blobs of a store; cheap to make, and to send to a worker."""

    root: Path
    """The store."""

    @property
    def place(self) -> Place:
        """That of the store."""
        return place_at(self.root)

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.root / FOLDER

    def put(self, data: Path | bytes, suffix: str) -> Stored:
        """Puts bytes, or a file of `scratch`, into the store, durably: it is there whole or not at all.

        A file is moved. The same bytes put twice are stored once, and are as young as the last time: gc goes by that.
        """
        if isinstance(data, bytes):
            with self.scratch() as scratch:  # where gc finds what a killed worker left
                file = scratch / "blob"
                file.write_bytes(data)
                return self.put(file, suffix)
        content, size = digest.of_file(data), data.stat().st_size
        uri = f"{content.hex()[:2]}/{content.hex()[2:]}{suffix}"
        self.place.put(f"{FOLDER}/{uri}", data, once=True)
        return Stored(uri, size, content)

    def path(self, uri: str) -> Path:
        """Where a blob lies."""
        return self.folder / uri

    def looks(self) -> Iterator[tuple[str, Look]]:
        """Every blob, and how it looks."""
        for shard in self.place.names(FOLDER):
            for name, look in self.place.looks(f"{FOLDER}/{shard}") if shard != TMP else ():
                yield f"{shard}/{name}", look

    def delete(self, uris: Iterable[str]) -> None:
        """Takes blobs away, a few at once, as they come."""
        uris = iter(uris)
        while some := [f"{FOLDER}/{uri}" for uri in islice(uris, BATCH)]:
            self.place.delete(*some)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder on the store's file system, gone at the end."""
        folder = self.folder / TMP / f"{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def missing(self, uris: Sequence[str]) -> np.ndarray:
        """(n,) bool: which of these blobs are not there."""
        import pyarrow as pa

        return Present(self.place).missing(pa.array(uris, pa.string()))


@dataclass(frozen=True)
class Present:
    """Which blobs are there: each folder is listed once, and only what is not listed is looked for by itself."""

    place: Place
    listed: dict[bytes, pa.Array] = field(default_factory=dict)
    """Folder, as `ab/` → the names in it."""
    added: set[str] = field(default_factory=set)
    """Blobs that are as good as there."""

    def missing(self, uris: pa.Array) -> np.ndarray:
        """(n,) bool: which of these blobs are not there. Folder by folder, for one set of millions is slow to ask."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        uris = uris.fill_null("")
        shards = pc.utf8_slice_codeunits(uris, 0, 3).cast(pa.binary()).dictionary_encode()
        codes = shards.indices.to_numpy().astype(np.min_scalar_type(len(shards.dictionary)))
        order = np.argsort(codes, kind="stable")
        names = pc.utf8_slice_codeunits(uris, 3).cast(pa.binary()).take(pa.array(order))
        gone = np.zeros(len(uris), bool)
        ends = np.cumsum(np.bincount(codes, minlength=len(shards.dictionary))).tolist()
        for shard, start, end in zip(shards.dictionary.to_pylist(), [0, *ends], ends, strict=False):
            if shard not in self.listed:
                self.listed[shard] = self._names(shard)
            there = pc.is_in(names[start:end], value_set=self.listed[shard])
            gone[order[start:end]] = ~there.to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(gone).tolist():
            uri = uris[row].as_py()
            gone[row] = uri not in self.added and not self._is_there(uri)
        return gone

    def _names(self, shard: bytes) -> pa.Array:
        """The names in a folder, as bytes."""
        import pyarrow as pa

        names = self.place.names(f"{FOLDER}/{shard[:2].decode()}") if SHARD.fullmatch(shard) else []
        try:
            return pa.array(names, pa.string()).cast(pa.binary())
        except UnicodeEncodeError:  # a name that no blob has
            return pa.array([os.fsencode(name) for name in names], pa.binary())

    def _is_there(self, uri: str) -> bool:  # what a damaged row says may lead anywhere
        return legal(uri) and self.place.look(f"{FOLDER}/{uri}") is not None
