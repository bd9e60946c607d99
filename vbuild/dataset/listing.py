"""Which datasets there are, and which of them a name means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vbuild.check import hint
from vbuild.dataset.commit import BUILDS, last_build
from vbuild.errors import DatasetError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class BuiltDataset:
    """A dataset as its last build left it."""

    name: str
    declared: str
    """The file in `conf/dataset/` that declared it."""
    videos: int
    clips: int
    kept: int
    built: datetime
    size: int
    """Bytes of the database, earlier builds included; media lie in the store."""


def built_datasets(output: Path) -> list[BuiltDataset]:
    """The datasets in a folder of databases, by name; those of which no build was finished are left out."""
    entries = (_listed(folder.parent) for folder in sorted(output.glob(f"*/{BUILDS}.lance")))
    return [listed for listed in entries if listed is not None]


def find(name: str, output: Path) -> Path:
    """The folder of the dataset that a name means: its own, or that of the one dataset which its conf file declared.

    Raises DatasetError for a name that means none or several.
    """
    if (output / name / f"{BUILDS}.lance").is_dir():
        return output / name
    there = built_datasets(output)
    declared = [listed.name for listed in there if listed.declared == name]
    if len(declared) > 1:
        raise DatasetError(f"dataset {name!r}: it declared several, {', '.join(declared)}; name one of them")
    if declared:
        return output / declared[0]
    if (output / name).is_dir():
        raise DatasetError(f"dataset {name!r}: no build of it was finished; build it again")
    if not there:
        raise DatasetError(f"dataset {name!r}: nothing has been built in {output} yet; build one first")
    raise DatasetError(f"dataset {name!r}: there is none in {output}{hint(name, [listed.name for listed in there])}")


def _listed(folder: Path) -> BuiltDataset | None:
    build = last_build(folder)
    if build is None:
        return None
    counts = {name: build["counts"].get(name, 0) for name in ("videos", "clips", "kept")}
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return BuiltDataset(
        name=folder.name,
        declared=build["config"].get("declared", folder.name),
        built=build["time"],
        size=size,
        **counts,
    )
