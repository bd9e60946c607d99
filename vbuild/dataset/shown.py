"""Versions of a table: the one that people see, the one with bookkeeping behind it, and that of kept clips alone.

What a commit has to know of each row stands in a column, so that it is never apart from what it tells of. When a table
is brought to its target that column is dropped, in a version of its own: this is what people see, and the version
before, which holds it, bears a tag for the next commit. Both name the same files, so it costs nothing.

For loaders that know no `where`, the clips that were kept alone are a version too, under the tag `kept`, in which the
others are deleted: a second table would be as large as the first, and would be apart from it while it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lance

from vbuild.store import lance_io

if TYPE_CHECKING:
    from pathlib import Path

DIGESTS = "row_digest"
"""The column that holds, of each row, a digest of each group of columns: a struct with a field a group.

A group's field comes and goes with its columns, in the same version: it is there if and only if they hold what it says.
"""

HELD = ".digests"
"""What is put behind a build's id for the tag of the version that has them."""

KEPT = "kept"
"""The tag of the kept clips alone, as the last build left them; and the column that tells them."""


@dataclass(frozen=True)
class Shown:
    """A table after a commit."""

    version: int
    """What people see."""
    held: int
    """What the next commit begins with."""
    kept: int | None
    """The clips that were kept alone; None for another table."""


def newest_held(path: Path) -> Any | None:
    """The newest version with bookkeeping, of what a commit left or had to leave half done; None if there is none."""
    newest = lance_io.open_dataset(path)
    if newest is None or DIGESTS in newest.schema.names:
        return newest
    for version in sorted((v["version"] for v in newest.versions()), reverse=True):
        if version < newest.version:
            older = lance.dataset(str(path), version=version)
            if DIGESTS in older.schema.names:
                return _whole(path, older)
    return None


def _whole(path: Path, dataset: Any) -> Any:
    """A version of a table; of one whose files are damaged, what is left, as the newest."""
    if not lance_io.lacking(path, dataset):
        return dataset
    dataset.restore()
    return lance_io.open_dataset(path)


def held_of(path: Path, build: str, version: int) -> Any:
    """A table as a build left it, with bookkeeping. Raises ValueError, OSError if it is gone."""
    shown = lance.dataset(str(path), version=version)
    if DIGESTS in shown.schema.names:  # before there were two versions
        return shown
    return lance.dataset(str(path), version=f"{build}{HELD}")


def published(path: Path, version: int | None) -> Shown | None:
    """The newest version as it was shown, if it is that of the last build, and nobody has written to it since."""
    newest = lance.dataset(str(path))
    if newest.version != version or DIGESTS in newest.schema.names:
        return None
    held = newest_held(path)
    tags = newest.tags.list()
    kept = tags[KEPT]["version"] if KEPT in tags else None
    if held is None or (KEPT in newest.schema.names and kept not in (newest.version, newest.version - 1)):
        return None
    return Shown(newest.version, held.version, kept)


def begun(path: Path, held: Any) -> Any:
    """The table to be written to, whose newest version is now the one with bookkeeping."""
    if lance.dataset(str(path)).version != held.version:
        held.restore()
    return lance.dataset(str(path))


def publish(path: Path) -> Shown:
    """Shows what the newest version, which has bookkeeping, holds."""
    dataset = lance.dataset(str(path))
    held = dataset.version
    dataset.drop_columns([DIGESTS])
    if KEPT not in dataset.schema.names:
        return Shown(dataset.version, held, None)
    shown = dataset.version
    others = f"{KEPT} IS NOT TRUE"
    if not dataset.count_rows(others):
        return Shown(shown, held, shown)
    dataset.delete(others)
    kept = dataset.version
    lance.dataset(str(path), version=shown).restore()
    return Shown(lance.dataset(str(path)).version, held, kept)


def name(path: Path, build: str, shown: Shown) -> None:
    """Gives the versions of a table their tags."""
    lance_io.tag(path, build, shown.version)
    lance_io.tag(path, f"{build}{HELD}", shown.held)


def point(path: Path, shown: Shown) -> None:
    """Moves the tag of the kept clips, when the build is committed."""
    if shown.kept is not None:
        lance_io.tag(path, KEPT, shown.kept, move=True)
