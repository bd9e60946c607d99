"""Another store, which is only read: what it has is copied into the own one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa
from pyarrow import fs

from vbuild import digest
from vbuild.errors import StoreError, UsageError
from vbuild.store.actions import Results, mistaken
from vbuild.store.place import legal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vbuild.digest import Recipe
    from vbuild.fields import Kind
    from vbuild.store.blobs import Blobs

KINDS = ("file", "s3", "gs")
"""Schemes that both Lance and Arrow read."""

THREADS = 8
"""Blobs that are copied at once."""

BLOCK = 1 << 20


@dataclass(frozen=True)
class RemoteCache:
    """A folder, or a prefix in an object store, that holds a store."""

    url: str
    """As Lance reads it."""
    files: fs.FileSystem
    root: str
    """As `files` reads it."""
    held: dict[str, Results]
    """Recipe → its results."""

    def results(self, recipe: Recipe, writes: Mapping[str, Kind], keys: np.ndarray) -> pa.Table | None:
        """The results that it has of some keys (n,) V16, less those whose digests do not fit; None if it has none."""
        if recipe.id not in self.held:
            self.held[recipe.id] = Results(
                Path(recipe.stage, f"{recipe.id}.lance"), recipe, writes, opened=self._opened
            )
        there = self.held[recipe.id]
        if not there.holds(there.schema.names):
            return None
        places = there.lookup(keys)
        if not (places >= 0).any():
            return None
        table = there.take(places[places >= 0], there.schema.names)
        return table.filter(pa.array(~mistaken(table)))

    def _opened(self, path: Path) -> Any | None:
        """A recipe's dataset; None if it has none. Raises StoreError if it cannot be read."""
        name = f"actions/{path.as_posix()}"
        try:
            if self.files.get_file_info(f"{self.root}/{name}/_versions").type == fs.FileType.NotFound:
                return None
            return lance.dataset(f"{self.url}/{name}")
        except (OSError, ValueError) as error:
            line = " ".join(str(error).split())[:200]
            raise StoreError(f"upstream={self.url}: {name} cannot be read ({line}); build without upstream") from error

    def have(self, uris: Sequence[str]) -> np.ndarray:
        """(n,) bool: which blobs it has."""
        infos = self.files.get_file_info([f"{self.root}/blobs/{uri}" for uri in uris]) if uris else []
        files = [info.type == fs.FileType.File for info in infos]
        return np.array([legal(uri) and there for uri, there in zip(uris, files, strict=True)], bool)

    def fetch(self, uris: Sequence[str], digests: Sequence[bytes], blobs: Blobs) -> np.ndarray:
        """Copies blobs into a store; (n,) bool which came, and came with the bytes that their digests tell."""
        with ThreadPoolExecutor(THREADS) as pool:
            return np.fromiter(pool.map(self._fetch, uris, digests, [blobs] * len(uris)), bool, len(uris))

    def _fetch(self, uri: str, wanted: bytes, blobs: Blobs) -> bool:
        if not legal(uri):  # the row would name a file that is no blob of ours
            return False
        with blobs.scratch() as scratch:
            copy = scratch / "blob"
            try:
                with self.files.open_input_stream(f"{self.root}/blobs/{uri}") as source, copy.open("wb") as target:
                    while block := source.read(BLOCK):
                        target.write(block)
            except FileNotFoundError:
                return False
            same = digest.of_file(copy) == wanted
            if same:
                blobs.put(copy, Path(uri).suffix)
            return same


def remote_cache(where: str) -> RemoteCache:
    """The store at a folder or url. Raises UsageError for a kind of url that cannot be read, and for no store."""
    scheme, separator, _ = where.partition("://")
    if separator and scheme not in KINDS:
        raise UsageError(
            f"upstream={where}: {scheme}:// cannot be read, for Lance has to list it; "
            "give a folder, or a url that begins with file://, s3:// or gs://"
        )
    url = where.rstrip("/") if separator else str(Path(where).expanduser().absolute())
    try:
        files, root = fs.FileSystem.from_uri(url) if separator else (fs.LocalFileSystem(), url)
        there = files.get_file_info(f"{root}/actions").type == fs.FileType.Directory
    except (OSError, ValueError) as error:
        raise UsageError(f"upstream={where}: it cannot be read ({' '.join(str(error).split())[:200]})") from error
    if not there:
        raise UsageError(f"upstream={where}: there is no store; give the folder that holds actions/ and blobs/")
    return RemoteCache(url, files, root, {})
