"""Lists a source: folders, patterns, lists, archives, and what is far away."""

from __future__ import annotations

import glob
import os
import stat
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

from vbuild import digest, uris
from vbuild.errors import SourceError
from vbuild.secrets import display_names, masked
from vbuild.source import lists
from vbuild.source.folders import MARKS, STORE, Listed, in_order, joined, walk, whole
from vbuild.source.lists import as_text
from vbuild.uris import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Set

    import pyarrow as pa

    from vbuild.config import Source
    from vbuild.source.folders import File, Names

WILD = (frozenset("*?["), frozenset("*"))
"""What makes a pattern of a path; in an address of the web all but the star mean something else."""

THREADS = 16
"""Remote files that are looked at at once."""

ABSENT = Seen(-1, 0, 0, 0)


@dataclass
class Listing:
    """Files by path, with what tells that one has changed; columns of equal length, sorted by path."""

    paths: list[Names] = field(default_factory=list)
    """Their uris, as they were found."""
    sizes: array[int] = field(default_factory=lambda: array("q"))
    """Bytes; -1 for a file that a list names and that is not there."""
    mtimes: array[int] = field(default_factory=lambda: array("q"))
    """Nanoseconds; of a remote file as `uris.Seen` has it."""
    ctimes: array[int] = field(default_factory=lambda: array("q"))
    inodes: array[int] = field(default_factory=lambda: array("q"))
    """Of a remote file what its etag makes."""
    lists: dict[str, lists.VideoList] = field(default_factory=dict)
    """The lists that were read."""
    unreachable: dict[str, str] = field(default_factory=dict)
    """Folder, pattern or archive → why it cannot be listed."""
    empty: dict[str, str] = field(default_factory=dict)
    """Folder or pattern of the source → that it lists no video."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Path → why it is left out."""

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def uris(self) -> list[str]:
        """Their uris, which who only asks whether anything has changed has no use for."""
        return whole(self.paths)

    @cached_property
    def names(self) -> list[str]:
        """What the files are called in tables and messages."""
        return display_names(list(map(as_text, self.uris)))

    def seen(self, row: int) -> Seen:
        """What a file looks like."""
        return Seen(self.sizes[row], self.mtimes[row], self.ctimes[row], self.inodes[row])

    def saw(self, row: int, seen: Seen) -> None:
        """What a file looked like to whoever opened it, which counts."""
        self.sizes[row], self.mtimes[row], self.ctimes[row], self.inodes[row] = seen

    def add(self, entries: Iterable[File]) -> None:
        """More files, behind those that are there."""
        for uri, *seen in entries:
            self.paths.append(("", [uri]))
            for column, value in zip((self.sizes, self.mtimes, self.ctimes, self.inodes), seen, strict=True):
                column.append(value)
        for name in ("uris", "names"):
            vars(self).pop(name, None)

    def check(self, known: Set[str] = frozenset()) -> Listing:
        """The listing itself. Raises SourceError where something cannot be listed, or there is no video at all.

        `known` are the reasons for which files are out of reach whose content is known.
        """
        for path, why in self.unreachable.items():
            if why not in known:
                raise SourceError(f"source.path={path}: {why}")
        if not self:
            said = (f"source.path={path}: {why}" for path, why in self.empty.items())
            raise SourceError("; ".join((*said, *self.notes())))
        return self

    def digest(self) -> str:
        """One digest of all names, sizes, times and inodes, and of the lists."""
        numbers = (memoryview(column).cast("B") for column in (self.sizes, self.mtimes, self.ctimes, self.inodes))
        said = (f"\0{prefix}".join(["", *rest]).encode(errors="surrogateescape") for prefix, rest in self.paths if rest)
        paths = digest.of_pieces(text[1:] if place == 0 else text for place, text in enumerate(said))
        lists_ = (digest.of_bytes(listed.digest) for listed in self.lists.values())
        return digest.of_all((paths, *map(digest.of_bytes, numbers), *lists_)).hex()

    def notes(self) -> list[str]:
        """What was left out, a line a reason."""
        by: dict[str, list[str]] = {}
        for path, why in self.left_out.items():
            by.setdefault(why, []).append(path)
        return [
            f"left out: {masked(as_text(min(paths)))}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''} ({why})"
            for why, paths in by.items()
        ]

    def columns(self) -> pa.Table | None:
        """What lists say beside the paths, a row a uri, null where they say nothing; None if no list says anything."""
        import pyarrow as pa

        table = lists.joined(list(self.lists.values()))
        if table is None:
            return None
        first = {uri: row for row, uri in reversed(list(enumerate(table[lists.URI].to_pylist())))}
        rows = pa.array([first.get(as_text(uri)) for uri in self.uris], pa.int64())
        return table.drop_columns([lists.URI]).take(rows)


def list_videos(source: Source) -> Listing:
    """All videos of a source, each once, sorted by absolute path.

    Raises SourceError for what cannot be listed, and for a source that holds no video.
    """
    return survey(source).check()


def survey(source: Source) -> Listing:
    """As `list_videos`, but what cannot be listed is put down with the reason.

    Raises SourceError for a list that cannot be read, and for a protocol that nothing here speaks.
    """
    result = Listing()
    parts = [_listed(path, source, result) for path in source.path]
    if len(result.lists) > 1:
        lists.joined(list(result.lists.values()))
    files = joined(parts)
    if source.include or source.exclude:
        files = in_order(one for one in files.files() if wanted(one[0], source))
    if not files and not result.empty:
        result.empty[_shown(source)] = _nothing(source)
    files = files.first(source.limit)
    result.paths = files.names
    result.sizes, result.mtimes, result.ctimes, result.inodes = files.columns()
    return result


def endings(source: Source) -> tuple[str, ...]:
    """The endings of the names of videos, in small letters, less those that end with another of them."""
    ends = {f".{extension.lower().lstrip('.')}": None for extension in source.extensions}
    return tuple(end for end in ends if not any(end != other and end.endswith(other) for other in ends))


def wanted(uri: str, source: Source) -> bool:
    """Whether the patterns let a uri in: they are for all of it, or for its name alone."""

    def meets(patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(text, p) for p in patterns for text in (uri, uri.rpartition("/")[2]))

    return (not source.include or meets(source.include)) and not meets(source.exclude)


def _nothing(source: Source) -> str:
    known = ", ".join(source.extensions)
    return f"no video in it; give another path, or other source.extensions (now {known})"


def _listed(path: str, source: Source, result: Listing) -> Listed:
    """What one path of a source stands for; what it cannot give is put down."""
    full = absolute(path)
    try:
        entries = _entries(full, endings(source), source, result)
        files = entries if isinstance(entries, Listed) else in_order(entries)
    except _UnlistableError as error:
        result.unreachable[full] = str(error)
        return Listed()
    if not files and full not in result.lists:
        result.empty[full] = _nothing(source)
    return files


class _UnlistableError(Exception):
    """A folder, a pattern or an archive cannot be listed now."""


def absolute(path: str) -> str:
    """A path of a source as its files are named by it; in a pattern, the folder that one works in is none."""
    path = path.removeprefix("file://")
    if uris.is_remote(path):
        return path
    path = os.path.expanduser(path)  # noqa: PTH111  pathlib costs more
    full = os.path.abspath(path)  # noqa: PTH100
    if WILD[0].isdisjoint(path) or os.path.exists(full):  # noqa: PTH110
        return full
    return os.path.normpath(os.path.join(glob.escape(os.getcwd()), path))  # noqa: PTH109, PTH118


def is_pattern(full: str) -> bool:
    """Whether a path of a source stands for all that look like it."""
    return bool(WILD[full.startswith("http")] & set(full)) and not os.path.exists(full)  # noqa: PTH110


def _entries(full: str, ends: tuple[str, ...], source: Source, result: Listing) -> Iterable[File] | Listed:
    remote = uris.is_remote(full)
    name = full.partition("?")[0].lower() if remote else full.lower()
    if is_pattern(full):
        return _outside(_globbed(full, ends), result)
    if not remote:
        try:
            kind = os.stat(full).st_mode  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _UnlistableError("there is no such file or folder") from error
        except (OSError, ValueError) as error:
            raise _UnlistableError(f"it cannot be reached ({uris.reason(error)})") from error
        if stat.S_ISDIR(kind):
            if store := _in_store(full.rstrip("/"), {}):
                result.left_out[store] = STORE
                return []
            return walk(full, ends, result.unreachable, result.left_out)
    if name.endswith(lists.ENDINGS):
        listed = result.lists[full] = lists.read_list(full, source.column)
        return _outside(_looked(listed.uris), result)
    if name.endswith(".tar"):
        return _members(full, ends)
    return _outside(_looked([full]), result) if not remote or name.endswith(ends) else _remote(full, ends)


def _in_store(folder: str, known: dict[str, str | None]) -> str | None:
    """The store that a folder is, or lies in; `known` holds what was found out before."""
    if folder not in known:
        above = folder.rpartition("/")[0]
        is_store = all(os.path.exists(f"{folder}/{mark}") for mark in MARKS)  # noqa: PTH110
        known[folder] = folder if is_store else _in_store(above, known) if above else None
    return known[folder]


def _outside(entries: Iterable[File], result: Listing) -> Iterator[File]:
    """What does not lie in a store."""
    known: dict[str, str | None] = {}
    for one in entries:
        folder = "" if uris.is_remote(one[0]) else uris.file_and_member(one[0])[0].rpartition("/")[0]
        if store := _in_store(folder, known):
            result.left_out[store] = STORE
        else:
            yield one


def _tidy(name: str, ends: tuple[str, ...]) -> bool:
    """Whether a name, from the top of a folder or an archive on, is a video's, and nothing in it is hidden."""
    *folders, last = name.split("/")
    hidden = any(part.startswith(".") and part not in (".", "..") for part in folders)
    return last.lower().endswith(ends) and not last.startswith("._") and not hidden


def _globbed(pattern: str, ends: tuple[str, ...]) -> Iterator[File]:
    """Every video, and every tar archive, that a pattern names."""
    wanted = (*ends, ".tar")
    if not uris.is_remote(pattern):
        names = glob.iglob(pattern, recursive=True)  # noqa: PTH207
        tidy = (n for n in names if n.lower().endswith(wanted) and not n.rpartition("/")[2].startswith("._"))
        entries = _looked([n for n in tidy if os.path.isfile(n)])  # noqa: PTH113
    else:
        fs, path = uris.filesystem(pattern)
        try:
            infos = fs.glob(path, detail=True)
        except uris.trouble() as error:
            raise _UnlistableError(f"it cannot be listed ({uris.reason(error)})") from error
        entries = ((fs.unstrip_protocol(n), *uris.seen_in(i)) for n, i in infos.items() if n.lower().endswith(wanted))
    for one in entries:
        yield from _members(one[0], ends) if one[0].lower().endswith(".tar") else [one]


def _remote(folder: str, ends: tuple[str, ...]) -> Iterator[File]:
    """Every video below a remote folder; over http, those that its page links to."""
    fs, path = uris.filesystem(folder)
    try:
        infos = fs.find(path, detail=True)
    except uris.trouble() as error:
        raise _UnlistableError(f"it cannot be listed ({uris.reason(error)})") from error
    top = path.rstrip("/") + "/"
    videos = {fs.unstrip_protocol(name): info for name, info in infos.items() if _tidy(name.removeprefix(top), ends)}
    if all(info.get("size") is not None for info in videos.values()):
        yield from ((uri, *uris.seen_in(info)) for uri, info in videos.items())
    else:
        yield from _looked(list(videos))


def _members(archive: str, ends: tuple[str, ...]) -> Iterator[File]:
    """Every video in a tar archive; it looks changed when the archive does."""
    try:
        seen, members = uris.look(archive), uris.members(archive)
    except uris.trouble() as error:
        raise _UnlistableError(f"it cannot be read ({uris.reason(error)})") from error
    for name, info in members.items():
        if _tidy(name, ends):
            yield f"{archive}::{name}", *seen._replace(size=info.size)


def _looked(names: list[str]) -> Iterator[File]:
    """Files by name, with what they look like; remote ones many at once."""
    names = list(dict.fromkeys(names))
    far = [name for name in names if uris.is_remote(name)]
    if far:
        with ThreadPoolExecutor(THREADS) as pool:
            seen = dict(zip(far, pool.map(_look, far), strict=True))
    for name in names:
        yield name, *(seen[name] if uris.is_remote(name) else _look(name))


def _look(uri: str) -> Seen:
    try:
        return uris.look(uri)
    except uris.trouble():
        return ABSENT


def _shown(source: Source) -> str:
    return source.path[0] if len(source.path) == 1 else str(list(source.path))
