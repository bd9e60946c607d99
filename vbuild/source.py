"""Where videos come from: a source listed, and the files of a listing digested."""

from __future__ import annotations

import glob
import os
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vbuild import digest
from vbuild.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from vbuild.config import Source
    from vbuild.store.files import Files

YOUNG_NS = 2_000_000_000
"""A file may change without its mtime moving for as long as a clock tick; git and ccache wait as long."""

LISTS = (".txt",)
WILD = frozenset("*?[")


@dataclass
class Listing:
    """Files by path, with what tells that one has changed; columns of equal length, sorted by path."""

    uris: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    """Bytes; -1 for a file that a list names and that is not there."""
    mtimes: array[int] = field(default_factory=lambda: array("q"))
    """Nanoseconds."""
    inodes: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.uris)

    def digest(self) -> str:
        """One digest of all names, sizes, times and inodes."""
        numbers = (column.tobytes() for column in (self.sizes, self.mtimes, self.inodes))
        names = "\0".join(self.uris).encode(errors="surrogateescape")
        return digest.of_all(digest.of_bytes(part) for part in (names, *numbers)).hex()

    def youngest(self) -> int:
        """The newest mtime, in nanoseconds."""
        return max(self.mtimes, default=0)


def listing(source: Source) -> Listing:
    """All videos of a source, each once, sorted by absolute path.

    Raises SourceError for a path that is not there and for a source that holds no video.
    """
    found: dict[str, os.stat_result | None] = {}
    endings = tuple(f".{extension.lower().lstrip('.')}" for extension in source.extensions)
    for path in source.path:
        found.update(_entries(path, endings))
    if not found:
        raise SourceError(
            f"source.path={_shown(source)}: no video in it; give another path, or other source.extensions "
            f"(now {', '.join(source.extensions)})"
        )
    result = Listing()
    for uri in sorted(found)[: source.limit]:
        stat = found[uri]
        result.uris.append(uri)
        result.sizes.append(stat.st_size if stat else -1)
        result.mtimes.append(stat.st_mtime_ns if stat else 0)
        result.inodes.append(_signed(stat.st_ino) if stat else 0)
    return result


def _entries(path: str, endings: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result | None]]:
    """What one path of a source stands for: name → stat."""
    full = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  pathlib costs more than the stat here
    if os.path.isdir(full):  # noqa: PTH112
        yield from _walk(full, endings)
    elif os.path.isfile(full):  # noqa: PTH113
        yield from _listed(full) if full.lower().endswith(LISTS) else [(full, os.stat(full))]  # noqa: PTH116
    elif WILD & set(path):
        for name in glob.iglob(full, recursive=True):  # noqa: PTH207
            if name.lower().endswith(endings) and os.path.isfile(name):  # noqa: PTH113
                yield name, os.stat(name)  # noqa: PTH116
    else:
        raise SourceError(f"source.path={path}: there is no such file or folder")


def _walk(folder: str, endings: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result]]:
    """Every video below a folder. Links to files are followed, links to folders are not, so there are no loops."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(entry.path, endings)
                elif entry.name.lower().endswith(endings) and entry.is_file():
                    yield entry.path, entry.stat()
    except PermissionError as error:
        raise SourceError(f"{folder}: the folder may not be read; give it read rights or leave it out") from error


def _listed(path: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """The paths that a list file names, one a line, `#` before a comment; relative ones start at the list's folder."""
    folder = os.path.dirname(path)  # noqa: PTH120
    for line in Path(path).read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        name = line.strip()
        if name and not name.startswith("#"):
            full = os.path.normpath(os.path.join(folder, os.path.expanduser(name)))  # noqa: PTH111, PTH118
            yield full, os.stat(full) if os.path.isfile(full) else None  # noqa: PTH113, PTH116


def _shown(source: Source) -> str:
    return source.path[0] if len(source.path) == 1 else str(list(source.path))


def _signed(inode: int) -> int:
    """An inode as the 64-bit signed integer that the listing holds."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode


@dataclass(frozen=True)
class Identified:
    """The files of a listing with the identity of their content."""

    ids: np.ndarray
    """(n,) V16 video ids; zeros where the file could not be read."""
    errors: dict[int, str]
    """Row → why the file could not be read."""
    read: int
    """Files that had to be read; the others were known by size, mtime and inode."""


def identify(files: Listing, memo: Files, *, dry: bool = False, threads: int = 4) -> Identified:
    """The video id of every file: from the memo where size, mtime and inode are as they were, else by its bytes.

    `dry`: the memo learns nothing.
    """
    import numpy as np

    sizes, mtimes, inodes = (np.frombuffer(column, np.int64) for column in (files.sizes, files.mtimes, files.inodes))
    ids, known = memo.lookup(files.uris, sizes, mtimes, inodes)
    fresh = np.flatnonzero(~known)
    old = mtimes < time.time_ns() - YOUNG_NS
    errors: dict[int, str] = {}
    with ThreadPoolExecutor(threads) as pool:
        for row, found in zip(fresh.tolist(), pool.map(_digest_file, (files.uris[r] for r in fresh)), strict=True):
            if isinstance(found, str):
                errors[row] = found
            else:
                ids[row] = np.void(found)
    keep = np.array([row for row in fresh.tolist() if row not in errors and old[row]], np.int64)
    if len(keep) and not dry:
        memo.add([files.uris[row] for row in keep], sizes[keep], mtimes[keep], inodes[keep], ids[keep])
    return Identified(ids, errors, len(fresh))


def shown(uri: str) -> str:
    """A path as text that everything can hold: bytes that are no UTF-8 are written out."""
    return uri.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _digest_file(uri: str) -> digest.Digest | str:
    """The digest of a file's bytes, or why it could not be read."""
    if shown(uri) != uri:
        return "its name is no UTF-8, and no table could hold it; rename the file"
    try:
        with Path(uri).open("rb", buffering=0) as stream:
            return digest.of_stream(stream)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def settled(files: Listing, now_ns: int) -> bool:
    """Whether every file is old enough for its mtime to be trusted."""
    return files.youngest() < now_ns - YOUNG_NS
