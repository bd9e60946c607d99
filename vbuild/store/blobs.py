"""Bytes by their digest: clip media, previews, frames."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vbuild import digest
from vbuild.values import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa


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
    def folder(self) -> Path:
        """Where they lie."""
        return self.root / "blobs"

    def put(self, data: Path | bytes, suffix: str) -> Stored:
        """Puts bytes, or a file of `scratch`, into the store, durably: it is there whole or not at all.

        A file is moved. The same bytes put twice are stored once, and are as young as the last time: gc goes by that.
        """
        if isinstance(data, Path):
            content, size = digest.of_file(data), data.stat().st_size
        else:
            content, size = digest.of_bytes(data), len(data)
        uri = f"{content.hex()[:2]}/{content.hex()[2:]}{suffix}"
        target = self.path(uri)
        if not _again(target, size):
            self._place(data, target)
        return Stored(uri, size, content)

    def _place(self, data: Path | bytes, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, bytes):
            source = self.folder / "tmp" / secrets.token_hex(8)
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(data)
        else:
            source = data
        for path, flags in ((source, os.O_RDONLY), (None, 0), (target.parent, os.O_RDONLY | os.O_DIRECTORY)):
            if path is None:
                source.replace(target)
                continue
            handle = os.open(path, flags)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def path(self, uri: str) -> Path:
        """Where a blob lies."""
        return self.folder / uri

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder on the store's file system, gone at the end."""
        folder = self.folder / "tmp" / f"{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def missing(self, uris: Sequence[str]) -> np.ndarray:
        """(n,) bool: which of these blobs are not there."""
        import pyarrow as pa

        return Present(self.folder).missing(pa.array(uris, pa.string()))


@dataclass(frozen=True)
class Present:
    """Which blobs are there: each folder is listed once, and only what is not listed is looked for by itself."""

    folder: Path
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
                self.listed[shard] = pa.array(_names(os.fsencode(self.folder) + b"/" + shard), pa.binary())
            there = pc.is_in(names[start:end], value_set=self.listed[shard])
            gone[order[start:end]] = ~there.to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(gone).tolist():
            uri = uris[row].as_py()
            gone[row] = uri not in self.added and not (self.folder / uri).is_file()
        return gone


def _again(path: Path, size: int) -> bool:
    """Makes a file of that size young; False if there is none, or none that is ours to touch."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except OSError:
        return False
    return True


def _names(folder: bytes) -> list[bytes]:
    try:
        return os.listdir(folder)  # noqa: PTH208  names are wanted, not paths
    except FileNotFoundError:
        return []
