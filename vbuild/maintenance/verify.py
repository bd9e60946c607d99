"""Looks whether what a store says is so: results, blobs, and the tables of its datasets."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa

from vbuild import digest
from vbuild.dataset.commit import BUILDS, read_build
from vbuild.digest import Recipe, keys_of
from vbuild.errors import StoreError
from vbuild.media.whole import SUFFIXES, flaw
from vbuild.store import lance_io, roots, stamps
from vbuild.store.actions import blob_fields, evict, mistaken
from vbuild.store.blobs import Blobs
from vbuild.store.notes import notes_beside
from vbuild.store.place import legal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLE = 0.01

BROKEN = (OSError, ValueError, RuntimeError, pa.ArrowException)
"""What Lance raises for files that are damaged or gone."""


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be."""

    what: str
    """Where it lies: a recipe, a blob, a table."""
    why: str
    remedy: str
    """What was done about it, or what a person can do."""


@dataclass
class Verified:
    """What a verify looked at and found."""

    results: int = 0
    blobs: int = 0
    tables: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, what: str, why: str, remedy: str) -> None:
        """Adds a problem."""
        self.problems.append(Problem(what, why, remedy))


def verify(store: Path, *, sample: float = SAMPLE, repair: bool = True) -> Verified:
    """Checks a share of the results of every recipe, their blobs, and every table of every dataset.

    A result whose digests do not fit its values, or whose blob is missing, of another size, of other bytes or cannot
    be decoded, is dropped, with the blob, unless `repair` is False: the next build makes it again.
    """
    done = Verified()
    for path in sorted((store / "actions").glob("*/*.lance")):
        if not path.name.startswith("."):
            _verify_recipe(store, path, sample, repair, done)
    for known in roots.known_datasets(store):
        _verify_dataset(known.folder, sample, done)
    if repair and done.problems:
        stamps.bump(store)
    return done


# results and blobs


def _verify_recipe(store: Path, path: Path, sample: float, repair: bool, done: Verified) -> None:
    name = f"{path.parent.name}/{path.stem[:8]}"
    _verify_note(path, name, repair, done)
    try:
        dataset = lance.dataset(str(path))
        rows = _sampled(dataset.count_rows(), sample)
        table = dataset.take(rows) if rows else dataset.schema.empty_table()
    except (StoreError, *BROKEN) as error:
        done.add(f"results {name}", _line(error), f"delete {path}; the next build makes them again")
        return
    done.results += len(table)
    doomed = mistaken(table)
    for row in np.flatnonzero(doomed).tolist():
        key = table["key"][row].as_py().hex()
        done.add(f"result {name} {key}", "its digest is not that of its value", _remedy(repair))
    for f in blob_fields(table.schema):
        doomed |= _verify_blobs(Blobs(store), table, f, name, repair, done)
    if repair and doomed.any():
        evict(path, dataset, keys_of(table["key"])[doomed])


def _verify_note(path: Path, name: str, repair: bool, done: Verified) -> None:
    """The recipe in words must be that of the folder."""
    notes = notes_beside(path)
    try:
        text = notes.text()
        same = text is None or json.loads(text).get("id", Recipe.from_json(text).id) == path.stem
    except (StoreError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        done.add(f"recipe {name}", f"{path.stem}.json does not say what it is", "deleted" if repair else "delete it")
        if repair:
            notes.delete()


def _verify_blobs(blobs: Blobs, table: pa.Table, f: str, name: str, repair: bool, done: Verified) -> np.ndarray:
    """(n,) bool: the rows whose blob of one field is not what they say."""
    doomed = np.zeros(len(table), bool)
    columns = (table[f"{f}_{part}"].to_pylist() for part in ("uri", "bytes", "digest"))
    cells = enumerate(zip(*(map(_several, column) for column in columns), strict=True))
    for row, (uri, size, said) in ((row, one) for row, cell in cells for one in zip(*cell, strict=True)):
        done.blobs += 1
        why = _wrong(blobs.path(uri), size, said) if legal(uri) else "no blob is called so"
        if why is not None:
            doomed[row] = True
            done.add(f"blob {uri} of {name}", why, _remedy(repair))
            if repair and legal(uri):
                blobs.delete([uri])
    return doomed


def _several(cell: Any) -> list[Any]:
    """What a cell of a column of blobs holds: one, a list, or nothing."""
    if cell is None:
        return []
    return cell if isinstance(cell, list) else [cell]


def _wrong(path: Path, size: int, said: bytes) -> str | None:
    """What is wrong with a blob."""
    try:
        now = path.stat().st_size
        if now != size:
            return f"it has {now} bytes, and had {size}"
        if digest.of_file(path) != said:
            return "its bytes are not those that were written"
    except FileNotFoundError:
        return "it is gone"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return flaw(str(path)) if path.suffix in SUFFIXES else None


def _remedy(repair: bool) -> str:
    return "dropped; the next build makes it again" if repair else "verify without --dry-run drops it"


def _sampled(count: int, sample: float) -> list[int]:
    """A share of the rows by chance, at least one; all of them for 1."""
    if sample >= 1:
        return list(range(count))
    return sorted(random.sample(range(count), min(count, max(1, round(count * sample)))))


# datasets


def _verify_dataset(folder: Path, sample: float, done: Verified) -> None:
    """Every table must be readable at the version of every build, the newest in a share of its rows."""
    try:
        builds = lance_io.open_dataset(folder / f"{BUILDS}.lance")
        rows = [] if builds is None else [read_build(row) for row in builds.to_table().to_pylist()]
    except (StoreError, *BROKEN) as error:
        done.add(f"builds of {folder}", _line(error), "delete the folder and build again: what is stored is not rerun")
        return
    for number, build in enumerate(rows):
        for name, version in build["tables"].items():
            done.tables += 1
            newest = number == len(rows) - 1
            try:
                _read(folder / f"{name}.lance", version, sample if newest else 0.0)
            except BROKEN as error:
                remedy = f"vbuild restore {folder.name} an earlier build" if newest else "that build cannot be opened"
                done.add(f"{folder.name}/{name} of build {build['id']}", _line(error), remedy)


def _read(path: Path, version: int, sample: float) -> None:
    """Reads a share of a table at a version; of files that it does not read, only whether they are there."""
    dataset: Any = lance.dataset(str(path), version=version)
    for name in _files(dataset):
        if not (path / "data" / name).is_file():
            raise OSError(f"data/{name} is gone")
    count = dataset.count_rows()
    if sample and count:
        dataset.take(_sampled(count, sample))


def _files(dataset: Any) -> Iterator[str]:
    for fragment in dataset.get_fragments():
        for file in fragment.data_files():
            yield file.path


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
