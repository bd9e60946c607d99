"""Where videos come from: a source listed, and the files of a listing digested."""

from __future__ import annotations

import glob
import os
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import TYPE_CHECKING

from vbuild import digest, lists, uris
from vbuild.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import pyarrow as pa

    from vbuild.config import Source
    from vbuild.store.files import Files

YOUNG_NS = 2_000_000_000
"""A file may change without its mtime moving for as long as a clock tick; git and ccache wait as long."""

WILD = (frozenset("*?["), frozenset("*"))
"""What makes a pattern of a path; in an address of the web all but the star mean something else."""

THREADS = 16
"""Remote files that are looked at at once."""

Found = tuple[str, int, int, int]
"""A uri and what it looks like, as `uris.Seen` has it, but flat; a size of -1 for what is named and not there."""

ABSENT = (-1, 0, 0)

TOP = 1 << 63
"""Inodes below it are signed numbers of 64 bits as they are."""


@dataclass
class Listing:
    """Files by path, with what tells that one has changed; columns of equal length, sorted by path."""

    uris: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    """Bytes; -1 for a file that a list names and that is not there."""
    mtimes: array[int] = field(default_factory=lambda: array("q"))
    """Nanoseconds; of a remote file as `uris.Seen` has it."""
    inodes: array[int] = field(default_factory=lambda: array("q"))
    """Of a remote file what its etag makes."""
    lists: dict[str, lists.Listed] = field(default_factory=dict)
    """The lists that were read."""

    def __len__(self) -> int:
        return len(self.uris)

    def digest(self) -> str:
        """One digest of all names, sizes, times and inodes, and of the lists."""
        numbers = (column.tobytes() for column in (self.sizes, self.mtimes, self.inodes))
        names = "\0".join(self.uris).encode(errors="surrogateescape")
        return digest.of_all(
            digest.of_bytes(part) for part in (names, *numbers, *(listed.digest for listed in self.lists.values()))
        ).hex()

    def youngest(self) -> int:
        """The newest mtime, in nanoseconds."""
        return max(self.mtimes, default=0)

    def columns(self) -> pa.Table | None:
        """What lists say beside the paths, a row a uri, null where they say nothing; None if no list says anything."""
        import pyarrow as pa

        tables = [
            listed.columns.append_column("\0uri", pa.array(map(shown, listed.uris), pa.string()))
            for listed in self.lists.values()
            if listed.columns is not None
        ]
        if not tables:
            return None
        table = pa.concat_tables(tables, promote_options="permissive")
        first = {uri: row for row, uri in reversed(list(enumerate(table["\0uri"].to_pylist())))}
        rows = pa.array([first.get(shown(uri)) for uri in self.uris], pa.int64())
        return table.drop_columns(["\0uri"]).take(rows)


def listing(source: Source) -> Listing:
    """All videos of a source, each once, sorted by absolute path.

    Raises SourceError for a path that is not there and for a source that holds no video.
    """
    result = Listing()
    endings = tuple(f".{extension.lower().lstrip('.')}" for extension in source.extensions)
    found: list[Found] = []
    for path in source.path:
        found += _entries(path.removeprefix("file://"), endings, source, result)
    if len(source.path) > 1:
        found = list({one[0]: one for one in found}.values())
    if source.include or source.exclude:
        found = [one for one in found if _wanted(one[0], source)]
    if not found:
        raise SourceError(
            f"source.path={_shown(source)}: no video in it; give another path, or other source.extensions "
            f"(now {', '.join(source.extensions)})"
        )
    found.sort(key=itemgetter(0))
    uris_, *numbers = zip(*found[: source.limit], strict=True)
    result.uris = list(uris_)
    result.sizes, result.mtimes, result.inodes = (array("q", column) for column in numbers)
    return result


def _wanted(uri: str, source: Source) -> bool:
    """Whether the patterns let a uri in: they are for all of it, or for its name alone."""

    def meets(patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(text, p) for p in patterns for text in (uri, uri.rpartition("/")[2]))

    return (not source.include or meets(source.include)) and not meets(source.exclude)


def _entries(path: str, endings: tuple[str, ...], source: Source, result: Listing) -> Iterable[Found]:
    """What one path of a source stands for; a list that it names is put down in `result`."""
    remote = uris.is_remote(path)
    full = path if remote else os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  pathlib costs more
    name = full.partition("?")[0].lower() if remote else full.lower()
    if not remote and os.path.isdir(full):  # noqa: PTH112
        return _walk(full, endings)
    if WILD[path.startswith("http")] & set(path) and not os.path.exists(full):  # noqa: PTH110
        return _globbed(full if remote else _pattern(path), endings)
    if not remote and not os.path.isfile(full):  # noqa: PTH113
        raise SourceError(f"source.path={path}: there is no such file or folder")
    if name.endswith(lists.ENDINGS):
        listed = result.lists[full] = lists.read(full, source.column)
        return _looked(listed.uris)
    if name.endswith(".tar"):
        return _members(full, endings)
    return _looked([full]) if not remote or name.endswith(endings) else _remote(full, endings)


def _walk(top: str, endings: tuple[str, ...]) -> list[Found]:
    """Every video below a folder. Links to files are followed, links to folders are not, so there are no loops."""
    found: list[Found] = []
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # by it a file is found without its folder's path
            try:
                _scan(handle, folder.rstrip("/"), endings, found, folders)
            finally:
                os.close(handle)
        except PermissionError as error:
            raise SourceError(f"{folder}: the folder may not be read; give it read rights or leave it out") from error
    return found


def _scan(handle: int, folder: str, endings: tuple[str, ...], found: list[Found], folders: list[str]) -> None:
    with os.scandir(handle) as entries:
        for entry in entries:
            name = entry.name
            if name.lower().endswith(endings) and entry.is_file():
                stat = entry.stat()
                inode = stat.st_ino if stat.st_ino < TOP else uris.signed(stat.st_ino)
                found.append((f"{folder}/{name}", stat.st_size, stat.st_mtime_ns, inode))
            elif entry.is_dir(follow_symlinks=False):
                folders.append(f"{folder}/{name}")


def _pattern(path: str) -> str:
    """A pattern from the root on, in which the folder that one works in stands for itself."""
    return os.path.normpath(os.path.join(glob.escape(os.getcwd()), os.path.expanduser(path)))  # noqa: PTH109, PTH111, PTH118


def _globbed(pattern: str, endings: tuple[str, ...]) -> Iterator[Found]:
    """Every video, and every tar archive, that a pattern names."""
    wanted = (*endings, ".tar")
    if not uris.is_remote(pattern):
        names = glob.iglob(pattern, recursive=True)  # noqa: PTH207
        found = _looked([n for n in names if n.lower().endswith(wanted) and os.path.isfile(n)])  # noqa: PTH113
    else:
        fs, path = uris.filesystem(pattern)
        try:
            infos = fs.glob(path, detail=True)
        except uris.trouble() as error:
            raise SourceError(f"source.path={pattern}: it cannot be listed ({uris.said(error)})") from error
        found = ((fs.unstrip_protocol(n), *uris.seen(i)) for n, i in infos.items() if n.lower().endswith(wanted))
    for one in found:
        yield from _members(one[0], endings) if one[0].lower().endswith(".tar") else [one]


def _remote(folder: str, endings: tuple[str, ...]) -> Iterator[Found]:
    """Every video below a remote folder; over http, those that its page links to."""
    fs, path = uris.filesystem(folder)
    try:
        found = fs.find(path, detail=True)
    except uris.trouble() as error:
        raise SourceError(f"source.path={folder}: it cannot be listed ({uris.said(error)})") from error
    videos = {fs.unstrip_protocol(name): info for name, info in found.items() if name.lower().endswith(endings)}
    if all(info.get("size") is not None for info in videos.values()):
        yield from ((uri, *uris.seen(info)) for uri, info in videos.items())
    else:
        yield from _looked(list(videos))


def _members(archive: str, endings: tuple[str, ...]) -> Iterator[Found]:
    """Every video in a tar archive; it looks changed when the archive does."""
    try:
        seen, members = uris.look(archive), uris.members(archive)
    except uris.trouble() as error:
        raise SourceError(f"source.path={archive}: it cannot be read ({uris.said(error)})") from error
    for name, info in members.items():
        if name.lower().endswith(endings):
            yield f"{archive}::{name}", info.size, seen.mtime, seen.mark


def _looked(names: list[str]) -> Iterator[Found]:
    """Files by name, with what they look like; remote ones many at once."""
    names = list(dict.fromkeys(names))
    far = [name for name in names if uris.is_remote(name)]
    if far:
        with ThreadPoolExecutor(THREADS) as pool:
            seen = dict(zip(far, pool.map(_look, far), strict=True))
    for name in names:
        yield name, *(seen[name] if uris.is_remote(name) else _look(name))


def _look(uri: str) -> tuple[int, int, int]:
    file, member = uris.parts(uri)
    try:
        found = uris.look(file)
        if member is None:
            return found if uris.is_remote(file) or os.path.isfile(file) else ABSENT  # noqa: PTH113
        return uris.members(file)[member].size, found.mtime, found.mark
    except uris.trouble(KeyError):
        return ABSENT


def _shown(source: Source) -> str:
    return source.path[0] if len(source.path) == 1 else str(list(source.path))


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

    A remote file's bytes are streamed once, and no more for as long as its etag and size are as they were. `dry`: the
    memo learns nothing.
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
        with uris.opened(uri) as stream:
            return digest.of_stream(stream)
    except uris.trouble(SourceError) as error:
        return f"cannot be read: {uris.said(error)}"


def settled(files: Listing, now_ns: int) -> bool:
    """Whether every file is old enough for its mtime to be trusted."""
    return files.youngest() < now_ns - YOUNG_NS
