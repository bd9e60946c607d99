"""Who needs what in a store: the datasets that were built from it, and the builds that run."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from vbuild import digest, places
from vbuild.errors import StoreError
from vbuild.store.place import place_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


ROOTS = "roots"
"""Where a store says which datasets were built from it."""


@dataclass(frozen=True)
class KnownDataset:
    """A dataset that was built from a store."""

    folder: Path
    recipes: frozenset[str]
    """Those of its last build, whether or not that changed a table."""


@dataclass(frozen=True)
class Live:
    """A build that runs."""

    folder: Path
    """Of the dataset."""
    recipes: frozenset[str]
    began: float
    """Seconds since 1970."""


@contextmanager
def gate(store: Path, *, alone: bool) -> Iterator[None]:
    """Held for a moment by a build that begins, and `alone` by what takes things out of the store."""
    with _opened(store / "gate") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def enter(store: Path, run: Path, dataset: Path, recipes: Mapping[str, str], now: float) -> IO[str]:
    """Says that a build runs, until the file that is returned is closed, if only by the death of the process.

    `run` is the folder of the build, `recipes` instance → recipe id. Waits for a gc that is at work.
    """
    said = {"dataset": places.named_from(dataset, store), "recipes": dict(recipes), "began": now}
    with gate(store, alone=False):
        file = _opened(run / "live.json")
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(said))
        file.flush()
        place_at(store).put(_name(store, dataset), json.dumps(said, indent=1).encode())
    return file


def live(store: Path) -> list[Live]:
    """The builds that run."""
    running = []
    for path in sorted((store / "runs").glob("*/live.json")):
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                said = json.loads(file.read())
                dataset = places.resolved(said["dataset"], store)
                running.append(Live(dataset, frozenset(said["recipes"].values()), said["began"]))
    return running


def known_datasets(store: Path) -> list[KnownDataset]:
    """Every dataset that was built from a store, wherever it lies; those whose folder is gone are left out.

    Raises StoreError for one that may be there but cannot be seen: its disk is not mounted, or its folder is closed.
    """
    known: dict[Path, KnownDataset] = {}
    for name in _names(store):
        said = _read(store, name)
        folder = places.resolved(said["dataset"], store)
        if _there(folder):
            before = known[folder].recipes if folder in known else frozenset[str]()
            known[folder] = KnownDataset(folder, before | frozenset(said["recipes"].values()))
    for path in sorted((store / "datasets").glob("*/builds.lance")):
        known.setdefault(path.parent.absolute(), KnownDataset(path.parent.absolute(), frozenset()))
    return list(known.values())


def forget(store: Path, dataset: Path) -> None:
    """Gives up a dataset that will not come back. Raises StoreError if none of that path is known."""
    known = [n for n in _names(store) if places.resolved(_read(store, n)["dataset"], store) == dataset]
    if not known:
        raise StoreError(f"{dataset}: no dataset of that path was built from {store}")
    place_at(store).delete(*known)


def _there(folder: Path) -> bool:
    try:
        if not folder.parent.is_dir():
            raise StoreError(
                f"{folder}: this dataset was built from the store, and its disk is not there; mount it, or give it up "
                f"with vbuild gc --forget {folder}"
            )
        return folder.is_dir() and os.listdir(folder) is not None  # noqa: PTH208  asked for its rights
    except PermissionError as error:
        raise StoreError(
            f"{folder}: this dataset was built from the store, and it may not be read; let its owner run gc"
        ) from error


def _name(store: Path, dataset: Path) -> str:
    return f"{ROOTS}/{digest.of('root', places.named_from(dataset, store)).hex()}.json"


def _names(store: Path) -> list[str]:
    """What is said of datasets."""
    return sorted(f"{ROOTS}/{name}" for name in place_at(store).names(ROOTS) if name.endswith(".json"))


def _read(store: Path, name: str) -> dict[str, Any]:
    try:
        held = place_at(store).get(name)
        said = json.loads(held.data if held else b"")
        return {"dataset": said["dataset"], "recipes": dict(said["recipes"])}
    except (StoreError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store / name}: it cannot be read; build the dataset again, or delete the file") from error


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: it cannot be written ({error.strerror}); fix the rights of the store") from error
