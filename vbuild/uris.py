"""Looks at and opens what a uri names: a path, a member of a tar archive, or what fsspec reaches."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from vbuild import digest
from vbuild.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from tarfile import TarInfo

REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

UNNAMED = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

TAGS = ("ETag", "etag", "md5Hash", "generation", "Content-MD5", "LastModified", "Last-Modified", "mtime", "updated")
"""Under which names file systems tell what changes with a file's content."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
"""Protocol → the extra that brings what fsspec wants for it."""

FOREIGN = {"aiohttp": "ClientError", "botocore.exceptions": "BotoCoreError", "gcsfs.retry": "HttpError"}
"""Errors that are no OSError, by the module of a file system that raises them."""


class Seen(NamedTuple):
    """What tells that a file has changed, without reading it."""

    size: int
    """Bytes."""
    mtime: int
    """Nanoseconds; 0 where the mark says it all, now where nothing tells."""
    mark: int
    """The inode, or 64 bits of a digest of the etag."""


def is_remote(uri: str) -> bool:
    """Whether fsspec is wanted for it."""
    return REMOTE.match(uri) is not None


def parts(uri: str) -> tuple[str, str | None]:
    """The file, and of `shard.tar::name` the name of the member."""
    head, member, name = uri.partition(".tar::")
    return (f"{head}.tar", name) if member else (uri, None)


def is_path(uri: str) -> bool:
    """Whether it is a file of its own on this machine."""
    return not is_remote(uri) and parts(uri)[1] is None


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
        found: tuple[Any, str] = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        remedy = f"pip install 'vbuild-video[{extra}]'" if extra else str(error)
        raise SourceError(f"{uri}: what reads {protocol}:// is not installed; {remedy}") from error
    except ValueError as error:
        raise SourceError(f"{uri}: {protocol}:// is not known ({error})") from error
    return found


def look(uri: str) -> Seen:
    """What a file on this machine or another looks like. Raises what `trouble` names where it is not there."""
    if is_remote(uri):
        fs, path = filesystem(uri)
        return seen(fs.info(path))
    stat = os.stat(uri)  # noqa: PTH116  it is called for each file
    return Seen(stat.st_size, stat.st_mtime_ns, signed(stat.st_ino))


def signed(inode: int) -> int:
    """An inode as a signed number of 64 bits."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode


def seen(info: dict[str, Any]) -> Seen:
    """Of a file that fsspec described."""
    tag = next((str(info[name]) for name in TAGS if info.get(name)), None)
    if tag is None:
        return Seen(info.get("size") or 0, time.time_ns(), 0)
    return Seen(info.get("size") or 0, 0, int.from_bytes(digest.of("etag", tag)[:8], "little", signed=True))


@contextmanager
def opened(uri: str) -> Iterator[BinaryIO]:
    """A binary stream that can be read from any place: ranged reads of what is remote, nothing unpacked of a tar."""
    file, name = parts(uri)
    with ExitStack() as stack:
        if is_remote(file):
            fs, path = filesystem(file)
            stream = stack.enter_context(fs.open(path, "rb"))
        else:
            stream = stack.enter_context(open(file, "rb", buffering=0))  # noqa: PTH123  as os.stat above
        if name is not None:
            stream = stack.enter_context(_member(stream, file, name))
        yield cast(BinaryIO, stream)


@contextmanager
def _member(stream: BinaryIO, archive: str, name: str) -> Iterator[BinaryIO]:
    import tarfile

    info = members(archive).get(name)
    if info is None:
        raise FileNotFoundError(2, "no such member", f"{archive}::{name}")
    with tarfile.TarFile(fileobj=stream) as tar:
        part = tar.extractfile(info)
        assert part is not None
        yield cast(BinaryIO, part)


def members(archive: str) -> dict[str, TarInfo]:
    """The files in a tar archive, by name. Raises what `trouble` names."""
    return _members(archive, look(archive))


@lru_cache(maxsize=64)
def _members(archive: str, _as: Seen) -> dict[str, TarInfo]:
    """Read once for as long as the archive looks the same: only the heads of its members are read."""
    import tarfile

    with opened(archive) as stream:
        try:
            with tarfile.TarFile(fileobj=stream) as tar:
                return {info.name: info for info in tar if info.isreg()}
        except tarfile.TarError as error:
            raise ValueError(f"it is no tar archive ({error})") from error


def trouble(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """The errors by which a file that cannot be read shows, and more."""
    loaded = ((sys.modules[module], name) for module, name in FOREIGN.items() if module in sys.modules)
    return (*more, OSError, ValueError, TimeoutError, *(getattr(module, name) for module, name in loaded))


def said(error: Exception) -> str:
    """An error in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split())
