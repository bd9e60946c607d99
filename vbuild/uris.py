"""Looks at and opens what a uri names: a path, a member of a tar archive, or what fsspec reaches."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from vbuild import digest
from vbuild.errors import SourceError, UsageError, foreign_errors
from vbuild.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from tarfile import TarInfo

REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

UNNAMED = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

TAGS = ("ETag", "etag", "md5Hash", "generation", "Content-MD5", "LastModified", "Last-Modified", "mtime", "updated")
"""Under which names file systems tell what changes with a file's content."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
"""Protocol → the extra that brings what fsspec wants for it."""


class Seen(NamedTuple):
    """What tells that a file has changed, without reading it."""

    size: int
    """Bytes."""
    mtime: int
    """Nanoseconds; 0 where the mark says it all, now where nothing tells."""
    ctime: int
    """Nanoseconds; 0 of what is remote. It moves where an edit puts the mtime back."""
    mark: int
    """The inode, or 64 bits of a digest of the etag; 0 where nothing tells."""

    def same(self, other: Seen) -> bool:
        """Whether it is the same file with the same content, as far as can be told."""
        untold = not (self.ctime or self.mark or other.ctime or other.mark)
        return self.size == other.size if untold else self == other


def is_remote(uri: str) -> bool:
    """Whether fsspec is wanted for it."""
    return REMOTE.match(uri) is not None


def file_and_member(uri: str) -> tuple[str, str | None]:
    """The file, and of `shard.tar::name` the name of the member."""
    head, member, name = uri.partition(".tar::")
    return (f"{head}.tar", name) if member else (uri, None)


def is_path(uri: str) -> bool:
    """Whether it is a file of its own on this machine."""
    return not is_remote(uri) and file_and_member(uri)[1] is None


def folder(text: str, key: str) -> Path:
    """The folder of this machine that a key names, from the root on.

    Raises UsageError for one elsewhere, and for a name that Lance takes for none.
    """
    path = text.removeprefix("file://")
    if not path:
        raise UsageError(f"{key}={text!r}: a path is expected")
    if is_remote(path):
        scheme = path.partition("://")[0]
        raise UsageError(f"{key}={path}: no {key} can be on {scheme}:// yet; give a folder of this machine")
    try:
        whole = Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"{key}={path}: {error}; begin it with ./ if ~ is part of a name") from error
    if UNNAMED.search(str(whole)):
        raise UsageError(f"{key}={str(whole)!r}: Lance writes to no path that holds control characters or no UTF-8")
    return whole


def filesystem(uri: str) -> tuple[Any, str]:
    """The file system of fsspec for a uri, and the path in it. Raises SourceError where there is none."""
    import fsspec

    protocol = uri.partition("://")[0].lower()
    try:
        fs_and_path: tuple[Any, str] = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        remedy = f"pip install 'vbuild-video[{extra}]'" if extra else str(error)
        raise SourceError(f"{uri}: what reads {protocol}:// is not installed; {remedy}") from error
    except ValueError as error:
        raise SourceError(f"{uri}: {protocol}:// is not known ({error})") from error
    return fs_and_path


def look(uri: str) -> Seen:
    """What a file on this machine or another looks like: a member of a tar as its archive, but for the size.

    Raises what `trouble` names where it is not there, or is no regular file.
    """
    file, name = file_and_member(uri)
    if is_remote(file):
        fs, path = filesystem(file)
        now = seen_in(fs.info(path))
    else:
        now = _regular(os.stat(file))  # noqa: PTH116  it is called for each file
    return now if name is None else now._replace(size=_info(file, name).size)


def altered(uri: str, before: Seen) -> bool:
    """Whether a file is not what it was, or cannot be looked at any more."""
    try:
        return not look(uri).same(before)
    except trouble():
        return True


def _regular(info: os.stat_result) -> Seen:
    """What a file of this machine looks like. Raises OSError for what has no bytes of its own: a folder, a device."""
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.EINVAL, "it is a folder" if stat.S_ISDIR(info.st_mode) else "it is no regular file")
    return Seen(info.st_size, *map(signed, (info.st_mtime_ns, info.st_ctime_ns, info.st_ino)))


def signed(number: int) -> int:
    """The last 64 bits of a number, as a signed one."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def seen_in(info: dict[str, Any]) -> Seen:
    """Of a file that fsspec described."""
    tag = next((str(info[name]) for name in TAGS if info.get(name)), None)
    if tag is None:
        return Seen(info.get("size") or 0, time.time_ns(), 0, 0)
    return Seen(info.get("size") or 0, 0, 0, int.from_bytes(digest.of("etag", tag)[:8], "little", signed=True))


@contextmanager
def open_uri(uri: str) -> Iterator[BinaryIO]:
    """A binary stream that can be read from any place: ranged reads of what is remote, nothing unpacked of a tar."""
    with watched(uri) as (stream, _):
        yield stream


@contextmanager
def watched(uri: str) -> Iterator[tuple[BinaryIO, Callable[[], Seen]]]:
    """A stream as `open_uri` has it, and what tells, whenever it is asked, what the open file looks like."""
    file, name = file_and_member(uri)
    with ExitStack() as stack:
        if is_remote(file):
            fs, path = filesystem(file)
            stream = stack.enter_context(fs.open(path, "rb"))
            yield (stream if name is None else stack.enter_context(_member(stream, file, name))), lambda: look(uri)
            return
        stream = stack.enter_context(_file(file))
        part = stream if name is None else stack.enter_context(_member(stream, file, name))
        size = None if name is None else _info(file, name).size

        def look_at_it() -> Seen:
            now = _regular(os.fstat(stream.fileno()))
            return now if size is None else now._replace(size=size)

        yield part, look_at_it


def _file(path: str) -> BinaryIO:
    """A file of this machine; what is none is refused before it is read, for a pipe and a device have no end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _regular(os.fstat(handle))
        return open(handle, "rb", buffering=0)  # noqa: PTH123  as os.stat above
    except OSError:
        os.close(handle)
        raise


@contextmanager
def _member(stream: BinaryIO, archive: str, name: str) -> Iterator[BinaryIO]:
    import tarfile

    with tarfile.TarFile(fileobj=stream) as tar:
        part = tar.extractfile(_info(archive, name))
        assert part is not None
        yield cast("BinaryIO", part)


def _info(archive: str, name: str) -> TarInfo:
    info = members(archive).get(name)
    if info is None:
        raise FileNotFoundError(2, "no such member", f"{archive}::{name}")
    return info


def members(archive: str) -> dict[str, TarInfo]:
    """The files in a tar archive, by name. Raises what `trouble` names."""
    return _members(archive, look(archive))


@lru_cache(maxsize=64)
def _members(archive: str, _as: Seen) -> dict[str, TarInfo]:
    """Read once for as long as the archive looks the same: only the heads of its members are read."""
    import tarfile

    with open_uri(archive) as stream:
        try:
            with tarfile.TarFile(fileobj=stream) as tar:
                return {info.name: info for info in tar if info.isreg()}
        except tarfile.TarError as error:
            raise ValueError(f"it is no tar archive ({error})") from error


def trouble(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """The errors by which a file that cannot be read shows, and more."""
    return (*more, OSError, ValueError, TimeoutError, *foreign_errors())


def away() -> tuple[type[Exception], ...]:
    """The errors by which what holds a file shows that it is not to be reached, or not by us."""
    return (PermissionError, ConnectionError, TimeoutError, *foreign_errors())


def reason(error: Exception) -> str:
    """An error in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return masked(" ".join(text.split()))
