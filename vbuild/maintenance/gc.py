"""Takes out of a store what no kept build uses and what is old enough."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import lance
import pyarrow.compute as pc

from vbuild.dataset.commit import BUILDS, read_build
from vbuild.dataset.shown import HELD
from vbuild.digest import keys_of
from vbuild.errors import StoreError
from vbuild.plan.wiring import column
from vbuild.store import lance_io, roots, stamps
from vbuild.store.actions import blob_fields, evict
from vbuild.store.blobs import Blobs, blob_columns, blob_of_path, cited

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BUILDS_KEPT = 3
AGE = timedelta(days=30)

LOOSE = "no result"
"""Where blobs are counted that no result names."""


@dataclass
class Share:
    """What is kept and what goes, of one stage or of another part of the store."""

    name: str
    kept: int = 0
    kept_bytes: int = 0
    gone: int = 0
    gone_bytes: int = 0

    def add(self, size: int, *, keep: bool, count: int = 1) -> None:
        """Counts something."""
        if keep:
            self.kept, self.kept_bytes = self.kept + count, self.kept_bytes + size
        else:
            self.gone, self.gone_bytes = self.gone + count, self.gone_bytes + size


@dataclass
class Needed:
    """The mark: what builds that are kept, or that run, use."""

    recipes: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)
    """Recipes that a running build uses; of these nothing goes."""
    blobs: set[str] = field(default_factory=set)
    """Blobs that tables of kept builds name."""
    told: dict[str, set[str]] = field(default_factory=dict)
    """Recipe → columns of results whose blobs all kept builds that use it name; only their rows may go."""
    runs: set[str] = field(default_factory=set)
    """Those that left the builds that are kept."""
    builds: int = 0
    gone: dict[Path, list[str]] = field(default_factory=dict)
    """Dataset → its builds that go."""


@dataclass
class Swept:
    """What a gc found and did."""

    dry: bool
    parts: dict[str, Share] = field(default_factory=dict)
    running: int = 0
    """Builds that run."""

    def part(self, name: str) -> Share:
        """The count of one stage or part."""
        return self.parts.setdefault(name, Share(name))

    @property
    def freed(self) -> int:
        """Bytes."""
        return sum(part.gone_bytes for part in self.parts.values())


def gc(store: Path, *, keep_builds: int = BUILDS_KEPT, older_than: timedelta = AGE, dry: bool = False) -> Swept:
    """Takes out of a store what no kept build uses and what is older than `older_than`.

    Of every dataset that was built from the store, wherever it lies, the newest `keep_builds` builds are kept and all
    that are younger. A recipe that one of them names is kept with its results. Of these only the rows whose blobs no
    kept build names go, with the blobs. What a running build uses stays. Raises StoreError where a dataset cannot be
    seen.
    """
    swept = Swept(dry)
    with roots.gate(store, alone=True):
        running = roots.live(store)
        swept.running = len(running)
        cutoff = time.time() - older_than.total_seconds()
        young = min([cutoff, *(build.began for build in running)])
        needed = _mark(store, running, keep_builds, cutoff)
        swept.part("builds").add(0, keep=True, count=needed.builds)
        if not dry:
            stamps.bump(store)
        told = _sweep_recipes(store, needed, cutoff, swept)
        _sweep_blobs(store, told, young, swept)
        _sweep_folders(store, needed, young, swept)
        _sweep_failures(store, needed, cutoff, swept)
        _sweep_builds(needed, swept)
    return swept


# mark


def _mark(store: Path, running: list[roots.Live], keep_builds: int, cutoff: float) -> Needed:
    needed = Needed()
    for run in running:
        needed.recipes |= run.recipes
        needed.running |= run.recipes
    for known in roots.known_datasets(store):
        needed.recipes |= known.recipes
        dataset = lance_io.open_dataset(known.folder / f"{BUILDS}.lance")
        builds = [] if dataset is None else [read_build(row) for row in dataset.to_table().to_pylist()]
        old = builds[: max(len(builds) - max(keep_builds, 1), 0)]
        busy = any(run.folder == known.folder for run in running)
        gone = [] if busy else [b["id"] for b in old if b["time"].timestamp() < cutoff]
        needed.gone[known.folder] = gone
        needed.builds += len(builds) - len(gone)
        for build in builds:
            if build["id"] not in gone:
                needed.runs.add(build["id"])
                _mark_build(known.folder, build, needed)
    return needed


def _mark_build(folder: Path, build: Mapping[str, Any], needed: Needed) -> None:
    """Recipes that a build names, and blobs that its clips name."""
    try:
        clips = lance.dataset(str(folder / "clips.lance"), version=build["tables"]["clips"])
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder}: the clips of build {build['id']} cannot be read; see vbuild verify") from error
    shown = set(blob_columns(clips.schema))
    for name in shown:
        uris = clips.to_table(columns=[name], filter=f"`{name}` IS NOT NULL")[name].to_pylist()
        needed.blobs.update(blob_of_path(uri) for cell in uris for uri in cited(cell))
    for instance, recipe in build["recipes"].items():
        needed.recipes.add(recipe["id"])
        told = {name for name in shown if name == f"{instance}_uri" or name.startswith(f"{instance}_")}
        own = {
            "value_uri" if name == column(instance, "") + "_uri" else name.removeprefix(f"{instance}_") for name in told
        }
        before = needed.told.get(recipe["id"])
        needed.told[recipe["id"]] = own if before is None else before & own


# sweep


def _sweep_recipes(store: Path, needed: Needed, cutoff: float, swept: Swept) -> dict[str, str]:
    """Takes out recipes that are not needed, and rows without use; the blobs that rows name now: blob → stage.

    The note beside a recipe stays: it tells a later plan that results were there.
    """
    named: dict[str, str] = {}
    for path in sorted((store / "actions").glob("*/*.lance")):
        stage, recipe = path.parent.name, path.stem
        if path.name.startswith("."):
            _drop(path, swept, stage, keep=path.stat().st_mtime >= cutoff)
            continue
        keep = recipe in needed.recipes or _touched(path) >= cutoff
        _drop(path, swept, stage, keep=keep)
        if keep:
            for uri in _sweep_rows(path, needed, cutoff, swept):
                named.setdefault(uri, stage)
    return named


def _sweep_rows(path: Path, needed: Needed, cutoff: float, swept: Swept) -> list[str]:
    """Takes out the old rows of a recipe whose blobs no kept build names. The blobs of the rows that stay."""
    results = lance_io.open_dataset(path)
    if results is None or not (names := [f"{f}_uri" for f in blob_fields(results.schema)]):
        return []
    table = results.to_table(columns=["key", "created", *names])
    uris = [table[name].to_pylist() for name in names]
    told = set(names) <= needed.told.get(path.stem, set()) and path.stem not in needed.running
    old = pc.less(table["created"], datetime.fromtimestamp(cutoff, UTC)).to_pylist()
    stays: list[str] = []
    doomed = []
    for row, parts in enumerate(zip(*uris, strict=True)):
        blobs = [uri for cell in parts for uri in cited(cell)]
        if told and old[row] and blobs and needed.blobs.isdisjoint(blobs):
            doomed.append(row)
        else:
            stays += blobs
    swept.part(f"{path.parent.name} rows").add(0, keep=False, count=len(doomed))
    swept.part(f"{path.parent.name} rows").add(0, keep=True, count=len(table) - len(doomed))
    if doomed and not swept.dry:
        evict(path, results, keys_of(table["key"].take(doomed)))
        results.optimize.compact_files()
        results.cleanup_old_versions(older_than=timedelta(0))
    return stays


def _sweep_blobs(store: Path, named: Mapping[str, str], young: float, swept: Swept) -> None:
    """Takes out blobs that no row names."""
    blobs = Blobs(store)

    def loose() -> Iterator[str]:
        for uri, look in blobs.looks():
            stage = named.get(uri)
            keep = stage is not None or look.seconds >= young
            swept.part(f"{stage or LOOSE} blobs").add(look.size, keep=keep)
            if not keep and not swept.dry:
                yield uri

    blobs.delete(loose())


def _sweep_folders(store: Path, needed: Needed, young: float, swept: Swept) -> None:
    """Takes out pairs and clusters of recipes that went, records of old runs, and what killed workers left."""
    kept = {"pairs": needed.recipes, "clusters": needed.recipes, "runs": needed.runs, "blobs/tmp": set[str]()}
    for name, keeps in kept.items():
        for entry in _folders(store / name):
            keep = entry.name in keeps or _touched_folder(entry.path) >= young
            _drop_folder(entry, swept, name, keep=keep)


def _sweep_failures(store: Path, needed: Needed, cutoff: float, swept: Swept) -> None:
    """Takes out old failures of recipes that are not needed."""
    failures = lance_io.open_dataset(store / "failures.lance")
    if failures is None:
        return
    listed = ", ".join(f"'{recipe}'" for recipe in sorted(needed.recipes)) or "''"
    moment = datetime.fromtimestamp(cutoff, UTC).strftime("%Y-%m-%d %H:%M:%S")
    condition = f"recipe NOT IN ({listed}) AND created < timestamp '{moment}'"
    gone = failures.count_rows(condition)
    swept.part("failures").add(0, keep=False, count=gone)
    swept.part("failures").add(0, keep=True, count=failures.count_rows() - gone)
    if gone and not swept.dry:
        failures.delete(condition)


def _sweep_builds(needed: Needed, swept: Swept) -> None:
    """Takes out the builds that go, and the versions of tables that no build names any more."""
    part = swept.part("builds")
    for folder, gone in needed.gone.items():
        if not gone:
            continue
        part.add(0, keep=False, count=len(gone))
        if swept.dry:
            continue
        before = _bytes(folder)
        for path in sorted(folder.glob("*.lance")):
            dataset = lance.dataset(str(path))
            if path.stem == BUILDS:
                dataset.delete(f"id IN ({', '.join(map(repr, gone))})")
            for tag in {*gone, *(f"{build}{HELD}" for build in gone)} & set(dataset.tags.list()):
                dataset.tags.delete(tag)
            dataset.cleanup_old_versions(older_than=timedelta(0), error_if_tagged_old_versions=False)
        part.gone_bytes += max(before - _bytes(folder), 0)


# sizes and ages


def _drop(path: Path, swept: Swept, stage: str, *, keep: bool) -> None:
    swept.part(f"{stage} recipes").add(_bytes(path), keep=keep)
    if not keep and not swept.dry:
        _remove(path)


def _drop_folder(entry: os.DirEntry[str], swept: Swept, name: str, *, keep: bool) -> None:
    swept.part(name).add(_bytes(entry.path), keep=keep)
    if not keep and not swept.dry:
        _remove(entry.path)


def _remove(path: Path | str) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise StoreError(f"{path}: it cannot be taken away ({error.strerror}); fix the rights of the store") from error


def _folders(path: Path) -> Iterator[os.DirEntry[str]]:
    if path.is_dir():
        yield from (entry for entry in os.scandir(path) if entry.is_dir())


def _touched(path: Path) -> float:
    """When a recipe was last written to."""
    versions = path / "_versions"
    return (versions if versions.is_dir() else path).stat().st_mtime


def _touched_folder(path: str) -> float:
    """When anything in a folder was last written to."""
    return max(os.stat(folder).st_mtime for folder, _, _ in os.walk(path))  # noqa: PTH116


def _bytes(path: Path | str) -> int:
    """What a folder holds."""
    return sum(os.stat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)  # noqa: PTH116, PTH118
