"""The port through which everything small of a store goes, and every blob: each is there whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vbuild import digest
from vbuild.errors import FULL, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCK = ".lock"
"""The file by which those who write to a folder wait for one another."""

RIGHTS = "fix the rights of the store"

UNLINKED = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What the system says where a file cannot have two names."""

ABSENT = (FileNotFoundError, NotADirectoryError)

LEGAL = re.compile(r"[^./\0][^/\0]*(?:/[^./\0][^/\0]*)*")


@dataclass(frozen=True)
class Held:
    """What a place holds under a name."""

    data: bytes
    tag: str
    """Stands for these bytes in a `swap`, and tells nothing else."""


@dataclass(frozen=True)
class Look:
    """What can be said of a thing without reading it."""

    size: int
    """Bytes."""
    seconds: float
    """Since 1970, when it was put last."""


class Place(Protocol):
    """Things by names that are relative to the store, such as `stamps/foo.json`; see `legal` for what a name may be.

    Nobody sees a thing that is half written, and what was written is still there after a power cut. Of `create` and
    `swap` of one name at once, by whatever processes, one wins. Everything raises StoreError, in one line, where the
    place cannot be read or written, and for a name that may lead out of it.
    """

    def get(self, name: str) -> Held | None:
        """What is there; None if nothing is."""

    def put(self, name: str, data: bytes | Path, *, once: bool = False) -> None:
        """Writes a thing over what was there. A file is the place's from then on, which may move it.

        With `once` the name tells the bytes: what is there and as large is taken for them. It is as young as if it
        were written now, and never swapped.
        """

    def create(self, name: str, data: bytes) -> str | None:
        """Writes a thing if there is none, and returns its tag; None if there is one."""

    def swap(self, name: str, data: bytes, tag: str) -> str | None:
        """Writes a thing over the one that the tag stands for, and returns the new tag; None if another is there."""

    def delete(self, *names: str) -> None:
        """Takes things away; of those that are not there it is silent."""

    def names(self, folder: str) -> list[str]:
        """What is right under a folder, things and folders, by their names in it, in any order; cheap."""

    def look(self, name: str) -> Look | None:
        """How a thing looks; None if it is not there."""

    def looks(self, folder: str) -> Iterator[tuple[str, Look]]:
        """The things right under a folder, by their names in it, and how each looks, in any order."""


def place_at(store: Path) -> Place:
    """The place of a store."""
    return Folder(store)


def legal(name: str) -> bool:
    """Whether something may be called so: parts between slashes, none of them empty or with a dot in front."""
    return LEGAL.fullmatch(name) is not None


def change(place: Place, name: str, to: Callable[[bytes | None], bytes | None]) -> None:
    """Makes of a thing what `to` makes of it, which lets it be by None; what others change meanwhile is not lost."""
    while True:
        held = place.get(name)
        data = to(None if held is None else held.data)
        if data is None:
            return
        if (place.create(name, data) if held is None else place.swap(name, data, held.tag)) is not None:
            return


@dataclass(frozen=True)
class Folder:
    """A place on a disk. What is private to it begins with a dot."""

    root: Path

    def get(self, name: str) -> Held | None:
        """See `Place`."""
        path = self._path(name)
        with _told(path, "read"):
            try:
                data = path.read_bytes()
            except (*ABSENT, IsADirectoryError):
                return None
        return Held(data, _tag(data))

    def put(self, name: str, data: bytes | Path, *, once: bool = False) -> None:
        """See `Place`. A file must lie on the disk of the store."""
        path = self._path(name)
        with _told(path, "written"):
            if once and _renewed(path, data.stat().st_size if isinstance(data, Path) else len(data)):
                return
            with _private(path, data) as private, nullcontext() if once else self._alone():
                _moved(private, path)

    def create(self, name: str, data: bytes) -> str | None:
        """See `Place`."""
        path = self._path(name)
        with _told(path, "written"):
            if path.exists():
                return None
            with _private(path, data) as private, self._alone():
                try:
                    path.hardlink_to(private)  # holds even against who does not ask for the lock
                except FileExistsError:
                    return None
                except OSError as error:
                    if error.errno not in UNLINKED:
                        raise
                    if path.exists():
                        return None
                    private.replace(path)
                _synced(path.parent)
        return _tag(data)

    def swap(self, name: str, data: bytes, tag: str) -> str | None:
        """See `Place`."""
        path = self._path(name)
        with _told(path, "written"), _private(path, data) as private, self._alone():
            held = self.get(name)
            if held is None or held.tag != tag:
                return None
            _moved(private, path)
        return _tag(data)

    def delete(self, *names: str) -> None:
        """See `Place`."""
        paths = [self._path(name) for name in names]
        if not paths or not self.root.is_dir():
            return
        with _told(self.root / LOCK, "written"), self._alone():
            for path in paths:
                with _told(path, "removed"), suppress(*ABSENT):
                    path.unlink()

    def names(self, folder: str) -> list[str]:
        """See `Place`."""
        path = self._path(folder)
        with _told(path, "read"):
            try:
                names = os.listdir(path)  # noqa: PTH208  no Path a name
            except ABSENT:
                return []
        if names and min(names) < "/":  # else none begins with a dot, which takes half as long to see
            names = [name for name in names if name[0] != "."]
        return names

    def look(self, name: str) -> Look | None:
        """See `Place`."""
        path = self._path(name)
        try:
            info = os.stat(path)  # noqa: PTH116  a million of them
        except ABSENT:
            return None
        except OSError as error:
            raise _failure(path, "read", error) from error
        return Look(info.st_size, info.st_mtime) if stat.S_ISREG(info.st_mode) else None

    def looks(self, folder: str) -> Iterator[tuple[str, Look]]:
        """See `Place`."""
        path = self._path(folder)
        with _told(path, "read"):
            try:
                entries = os.scandir(path)
            except ABSENT:
                return
            with entries:
                for entry in entries:
                    if entry.name[0] != "." and entry.is_file() and (look := _look(entry)) is not None:
                        yield entry.name, look

    def _path(self, name: str) -> Path:
        if not legal(name):
            raise StoreError(f"{self.root}: {name!r} can be no name in a store; see vbuild verify")
        return self.root / name

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Held for the moment in which what is there is compared and replaced."""
        path = self.root / LOCK
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:
            handle = os.open(path, os.O_RDONLY)  # somebody else's; to lock it that is enough
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def replace(path: Path, data: bytes, *, remedy: str) -> None:
    """Writes a file that is in no store, durably, whole or not at all. Raises StoreError if it cannot."""
    with _told(path, "written", remedy), _private(path, data) as private:
        _moved(private, path)


@contextmanager
def _told(path: Path, done: str, remedy: str = RIGHTS) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failure(path, done, error, remedy) from error


def _failure(path: Path, done: str, error: OSError, remedy: str = RIGHTS) -> StoreError:
    remedy = "free space or fix its rights" if error.errno in FULL else remedy
    return StoreError(f"{path}: it cannot be {done} ({error.strerror or error}); {remedy}")


@contextmanager
def _private(path: Path, data: bytes | Path) -> Iterator[Path]:
    """A file with these bytes, durable, that may be moved to a path; one that was made for it goes at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(data, Path):
        _synced(data)
        yield data
        return
    private = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with private.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield private
    finally:
        private.unlink(missing_ok=True)


def _moved(private: Path, path: Path) -> None:
    private.replace(path)
    _synced(path.parent)


def _synced(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _renewed(path: Path, size: int) -> bool:
    """Makes a file of that size young; False if there is none, or none that is ours to touch."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except OSError:
        return False
    return True


def _look(entry: os.DirEntry[str]) -> Look | None:
    """How a file looks; None if it went while its folder was listed."""
    try:
        info = entry.stat()
    except FileNotFoundError:
        return None
    return Look(info.st_size, info.st_mtime)


def _tag(data: bytes) -> str:
    return digest.of_bytes(data).hex()
