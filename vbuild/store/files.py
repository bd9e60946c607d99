"""The memo of file digests: a file whose size, times and inode are as they were has the content that it had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild import digest
from vbuild.digest import SIZE, column_of, keys_of
from vbuild.store import lance_io

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = pa.schema([pa.field("file", pa.binary(SIZE)), pa.field("video_id", pa.binary(SIZE))])


class Files:
    """What is known of files. `file` is a digest of path, size, times and inode, so a changed file is another."""

    def __init__(self, root: Path) -> None:
        self.path = root / "files.lance"

    def lookup(self, uris: Sequence[str], *looks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The video ids (n,) V16 of files as they look now, and (n,) bool which of them are known.

        `looks` are sizes, mtimes, ctimes and inodes, int64 (n,) each.
        """
        ids = np.zeros(len(uris), "V16")
        dataset = lance_io.open_dataset(self.path)
        if dataset is None or not len(uris):
            return ids, np.zeros(len(uris), bool)
        held = dataset.to_table()
        names, first = np.unique(keys_of(held["file"]), return_index=True)
        wanted = _names(uris, looks)
        spot = np.minimum(np.searchsorted(names.view("S16"), wanted.view("S16")), len(names) - 1)
        known = names[spot] == wanted if len(names) else np.zeros(len(uris), bool)
        ids[known] = keys_of(held["video_id"])[first[spot[known]]]
        return ids, known

    def add(self, uris: Sequence[str], *columns: np.ndarray) -> None:
        """Remembers files: how they look, as `lookup` has it, and behind it their video ids (n,) V16."""
        *looks, ids = columns
        names = _names(uris, looks)
        dataset = lance_io.append(self.path, pa.table([column_of(names), column_of(ids)], schema=SCHEMA))
        lance_io.compact(dataset)


def _names(uris: Sequence[str], looks: Sequence[np.ndarray]) -> np.ndarray:
    numbers = np.stack(looks, axis=1).astype("<i8")
    parts = zip(uris, numbers, strict=True)
    digests = (digest.of_bytes(row.tobytes() + uri.encode(errors="surrogateescape")) for uri, row in parts)
    return np.frombuffer(b"".join(digests), "V16")
