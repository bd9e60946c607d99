"""The videos below a folder, in order, folder by folder: nothing is sorted but the names of one folder."""

from __future__ import annotations

import os
import stat
import struct
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import chain, compress, pairwise, repeat
from operator import attrgetter, not_
from typing import TYPE_CHECKING

from vbuild import uris

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

File = tuple[str, int, int, int, int]
"""A uri and what it looks like, as `uris.Seen` has it, but flat; a size of -1 for what is named and not there."""

MARKS = ("actions", "gate", "runs")
"""What every store holds once a build has begun in it."""

STORE = "a store of vbuild is no source"
LINKED = "a linked folder is not entered; name it in source.path"
DEAD = "a link that leads nowhere"
ODD = "it is no regular file"

HUSHED = "._"
"""How names begin of what macOS keeps beside files."""

MANY = 256
"""Files whose numbers are held as objects."""

NAME = attrgetter("name")
LOOKS = attrgetter("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")
LOOK = struct.Struct("4q")


Names = tuple[str, list[str]]
"""What uris begin with, and how each goes on."""


@dataclass(frozen=True)
class Listed:
    """Files by uri, each once, sorted, with what they look like."""

    names: list[Names] = field(default_factory=list)
    looks: bytes = b""
    """Size, mtime, ctime and mark of each, as `uris.Seen` has them, in 64 bits each."""

    def __len__(self) -> int:
        return len(self.looks) // LOOK.size

    def first(self, count: int | None) -> Listed:
        """So many of them, from the first on; all by None."""
        if count is None or count >= len(self):
            return self
        return Listed([("", self.uris()[:count])], self.looks[: LOOK.size * count])

    def uris(self) -> list[str]:
        """Their uris."""
        return whole(self.names)

    def columns(self) -> list[array[int]]:
        """Sizes, mtimes, ctimes and marks."""
        looks = array("q", self.looks)
        return [looks[place::4] for place in range(4)]

    def files(self) -> Iterator[File]:
        """One by one."""
        return zip(self.uris(), *self.columns(), strict=True)


def whole(names: Iterable[Names]) -> list[str]:
    """The uris that names are."""
    return [f"{prefix}{name}" for prefix, rest in names for name in rest]


def behind(parts: Iterable[Listed]) -> Listed:
    """Files of which each part stands behind all that went before."""
    every = list(parts)
    return Listed([*chain.from_iterable(part.names for part in every)], b"".join(part.looks for part in every))


def joined(parts: list[Listed]) -> Listed:
    """The files of several listings; of one that is there twice the last counts."""
    full = [part for part in parts if part]
    if len(full) < 2:
        return full[0] if full else Listed()
    ends = sorted((part.uris()[0], part.uris()[-1], place) for place, part in enumerate(full))
    if all(one[1] < other[0] for one, other in pairwise(ends)):
        return behind(full[place] for _, _, place in ends)
    return in_order(chain.from_iterable(part.files() for part in full))


def in_order(files: Iterable[File]) -> Listed:
    """Files as they come; of one that comes twice the last counts."""
    each = {uri: looks for uri, *looks in files}
    uris = sorted(each)
    return Listed([("", uris)], packed([number for uri in uris for number in each[uri]]))


def packed(numbers: list[int]) -> bytes:
    """Numbers in 64 bits each: inodes are unsigned, and some clocks are wrong by centuries."""
    try:
        return struct.pack(f"{len(numbers)}q", *numbers)  # three times as fast as an array takes them
    except struct.error:
        return struct.pack(f"{len(numbers)}q", *map(uris.signed, numbers))


def walk(top: str, ends: tuple[str, ...], unreachable: dict[str, str], left_out: dict[str, str]) -> Listed:
    """Every video below a folder. Links to files are followed, links to folders are not, so there are no loops.

    `unreachable` and `left_out` take folders and files with the reason.
    """
    parts: list[Listed] = []
    left: list[str | Listed] = [top]
    while left:
        one = left.pop()
        if isinstance(one, Listed):
            parts.append(one)
            continue
        try:
            handle = os.open(one, os.O_RDONLY | os.O_DIRECTORY)  # by it a file is found without its folder's path
            try:
                below = _scan(handle, one.rstrip("/"), ends, left_out)
            finally:
                os.close(handle)
        except FileNotFoundError:
            continue
        except PermissionError:
            unreachable[one] = "the folder may not be read; give it read rights or leave it out"
        except OSError as error:
            unreachable[one] = f"the folder cannot be read ({uris.reason(error)})"
        else:
            left += reversed(below)
    return behind(parts)


def _by_turns(folder: str, names: list[str], looks: bytes, folders: list[str]) -> list[str | Listed]:
    """The videos of a folder and the folders in it, so that what follows from them is in order."""
    turns: list[str | Listed] = []
    start = 0
    for name in sorted(f"{name}/" for name in folders):
        end = bisect_left(names, name)
        turns += [_part(folder, names, looks, start, end), f"{folder}/{name[:-1]}"]
        start = end
    return [*turns, _part(folder, names, looks, start, len(names))]


def _part(folder: str, names: list[str], looks: bytes, start: int, end: int) -> Listed:
    return Listed([(f"{folder}/", names[start:end])], looks[LOOK.size * start : LOOK.size * end])


def _scan(handle: int, folder: str, ends: tuple[str, ...], left_out: dict[str, str]) -> list[str | Listed]:
    """The videos of a folder, and the folders in it, in order."""
    with os.scandir(handle) as entries:
        videos = sorted(entries, key=NAME, reverse=True)
    names = [entry.name for entry in videos]
    text = "\0".join(["", *names, ""]).lower()
    others: list[os.DirEntry[str]] = []
    if not _all_end(text, len(names), ends):
        if set(MARKS).issubset(names):
            left_out[folder] = STORE
            return []
        ending = [name.endswith(ends) for name in text[1:-1].split("\0")]
        others = list(compress(videos, map(not_, ending)))
        videos = list(compress(videos, ending))
    if f"\0{HUSHED}" in text or not _all_files(videos):
        videos, odd = _parted(videos, folder, left_out)
        others += odd
    if len(videos) < len(names):
        names = [entry.name for entry in videos]
    names.reverse()
    try:
        looks = _looks(videos)
    except OSError:
        names, looks = _looks_of(names, handle, folder, left_out)
    folders = [entry.name for entry in others if _is_entered(entry, folder, ends, left_out)]
    return _by_turns(folder, names, looks, folders)


def _all_end(text: str, count: int, ends: tuple[str, ...]) -> bool:
    """Whether all names end so; each stands between two zeros, and none of the endings ends with another."""
    for end in ends:
        count -= text.count(f"{end}\0")
        if not count:
            return True
    return not count


def _all_files(entries: list[os.DirEntry[str]]) -> bool:
    try:
        return all(map(os.DirEntry.is_file, entries))
    except OSError:
        return False


def _parted(
    entries: list[os.DirEntry[str]], folder: str, left_out: dict[str, str]
) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """The regular files among some entries, and what is something else."""
    files: list[os.DirEntry[str]] = []
    odd: list[os.DirEntry[str]] = []
    for entry in entries:
        try:
            if not entry.is_file():
                odd.append(entry)
            elif not entry.name.startswith(HUSHED):
                files.append(entry)
        except OSError as error:
            left_out[f"{folder}/{entry.name}"] = _trouble(error)
    return files, odd


def _looks(entries: list[os.DirEntry[str]]) -> bytes:
    """What files look like, from the last on. The entries are used up, for each holds the system's whole answer."""
    looks: list[bytes] = []
    while entries:
        block = map(list.pop, repeat(entries, min(MANY, len(entries))))
        looks.append(packed([*chain.from_iterable(map(LOOKS, map(os.DirEntry.stat, block)))]))
    return b"".join(looks)


def _looks_of(names: list[str], handle: int, folder: str, left_out: dict[str, str]) -> tuple[list[str], bytes]:
    """The files of a folder that can be looked at, and what they look like."""
    there: list[str] = []
    looks: list[int] = []
    for name in names:
        try:
            looks += LOOKS(os.stat(name, dir_fd=handle))
            there.append(name)
        except OSError as error:
            left_out[f"{folder}/{name}"] = _trouble(error)
    return there, packed(looks)


def _is_entered(entry: os.DirEntry[str], folder: str, ends: tuple[str, ...], left_out: dict[str, str]) -> bool:
    """Whether it is a folder that is to be walked; what else it is may be worth a word."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return not entry.name.startswith(".")
        if why := _why_not(entry, ends):
            left_out[f"{folder}/{entry.name}"] = why
    except OSError as error:
        left_out[f"{folder}/{entry.name}"] = _trouble(error)
    return False


def _why_not(entry: os.DirEntry[str], ends: tuple[str, ...]) -> str | None:
    """Why what is neither a video nor a folder is left out, if that is worth a word. Raises OSError for a dead link."""
    if entry.is_symlink() and stat.S_ISDIR(entry.stat().st_mode):
        return LINKED
    return ODD if entry.name.lower().endswith(ends) else None


def _trouble(error: OSError) -> str:
    return DEAD if isinstance(error, FileNotFoundError) else uris.reason(error)
