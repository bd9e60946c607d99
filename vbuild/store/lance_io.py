"""Lance datasets that only grow: created without a race, appended to, read as columns."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance

from vbuild.errors import StoreError
from vbuild.store import repair

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

FRAGMENTS = 64
"""A dataset with more of them is compacted at the end of a build."""

ROWS = 1 << 17
"""Rows of a fragment that is written at once: what changes some columns of it holds them whole."""


def open_dataset(path: Path) -> Any | None:
    """The newest version of a dataset that can be read; None if there is none.

    What was torn by a power cut is put aside and said (`repair`). Raises StoreError for a dataset that may not be read,
    or that is none of this Lance's.
    """
    if not (path / "_versions").is_dir():
        return None
    try:
        if repair.torn(path) and not repair.roll_back(path):
            return None
        dataset = lance.dataset(str(path))
        fragments = repair.lost(path, dataset)
        return repair.without(path, dataset, fragments) if fragments else dataset
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: it cannot be read ({_line(error)}); move it away and build again") from error


def damaged(path: Path) -> bool:
    """Whether `open_dataset` would lose rows."""
    if not (path / "_versions").is_dir():
        return False
    return repair.torn(path) or bool(repair.lost(path, lance.dataset(str(path))))


def is_newest(dataset: Any) -> bool:
    """Whether nobody has written to a dataset since it was opened."""
    try:
        return bool(dataset.latest_version == dataset.version)
    except (OSError, ValueError):
        return False


def append(path: Path, rows: pa.Table | pa.RecordBatchReader, dataset: Any | None = None) -> Any:
    """Appends rows and returns the dataset's newest version; creates it first if need be.

    `dataset`: the same as it was opened a moment ago, where it was.

    Both ways to create a dataset in place lose the rows of a process that creates it at the same time, so one is made
    under a private name and renamed: of two processes one loses, sees the other's, and appends to it.
    """
    try:
        dataset = dataset or open_dataset(path)
        if dataset is None:
            return _created(path, rows)
        return whole(path, lance.write_dataset(rows, dataset, mode="append", max_rows_per_file=ROWS))
    except OSError as error:
        raise StoreError(f"{path}: it cannot be written ({_line(error)}); free space or fix its rights") from error


def _created(path: Path, rows: pa.Table | pa.RecordBatchReader) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    private = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        made = whole(private, lance.write_dataset(rows, str(private), mode="create", max_rows_per_file=ROWS))
        private.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return whole(path, lance.write_dataset(made.scanner().to_reader(), str(path), mode="append"))
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return lance.dataset(str(path))


def whole(path: Path, dataset: Any) -> Any:
    """The dataset that was written. Raises StoreError if a data file was cut short.

    Lance commits such a file without a word when a disk is full; the next to open the dataset takes its rows out.
    """
    if repair.lost(path, dataset):
        raise StoreError(f"{path}: it cannot be written (a file was cut short: the disk is full); free space")
    return dataset


def compact(dataset: Any, *, forget: bool = True) -> bool:
    """Joins fragments, in order, where there are many of them; True if it did. A race with another build is let be.

    With `forget`, versions of more than an hour ago go.
    """
    if len(dataset.get_fragments()) <= FRAGMENTS:
        return False
    before = dataset.version
    try:
        dataset.optimize.compact_files()
        if repair.lost(Path(dataset.uri), dataset):
            dataset.checkout_version(before).restore()
            return False
        if forget:
            dataset.cleanup_old_versions(older_than=timedelta(hours=1))
    except OSError as error:
        if "conflict" not in str(error).lower():
            raise
    return True


def index_keys(path: Path, column: str, many: int) -> None:
    """Has rows found by a column of keys, where there are so many; of rows that came since, where they are a tenth."""
    dataset = lance.dataset(str(path))
    rows = dataset.count_rows()
    if rows < many:
        return
    known = [index.name for index in dataset.describe_indices() if column in index.field_names]
    try:
        if not known:
            dataset.create_scalar_index(column, "BTREE")
        elif dataset.stats.index_stats(known[0])["num_unindexed_rows"] * 10 > rows:
            dataset.optimize.optimize_indices()
    except OSError as error:
        if "conflict" not in str(error).lower():
            raise


def tag(path: Path, name: str, version: int, *, move: bool = False) -> None:
    """Gives a version of a dataset a name; one that is taken is an error, or is moved.

    By a link: Lance makes the folder of tags a second time, under the path as an address of the web would spell it.
    """
    with tempfile.TemporaryDirectory(prefix="vbuild-") as place:
        link = Path(place, "dataset")
        link.symlink_to(path.absolute())
        tags = lance.dataset(str(link)).tags
        if move and name in tags.list():
            tags.update(name, version)
        else:
            tags.create(name, version)


def lacking(path: Path, dataset: Any) -> bool:
    """Whether data files of a version are gone, or cut short."""
    return bool(repair.lost(path, dataset))


def delete_keys(dataset: Any, keys: np.ndarray, column: str = "key", also: str = "true") -> None:
    """Takes the rows with some keys, (n,) V16, out; of those the ones that meet another condition."""
    for start in range(0, len(keys), 1000):
        listed = ", ".join(f"X'{bytes(key).hex()}'" for key in keys[start : start + 1000].tolist())
        dataset.delete(f"{also} AND {column} IN ({listed})")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
