"""What files that parameters name hold, as a digest."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from vbuild import digest
from vbuild.errors import StoreError, UsageError
from vbuild.store.place import Folder, change

MEMO = "contents.json"

LARGE = 1 << 20
"""Bytes from which on a file's digest is remembered from run to run."""

YOUNG_NS = 2_000_000_000
"""A file may change without its mtime moving for as long as a clock tick; git and ccache wait as long."""


def content(path: Path) -> str:
    """A digest of what a file holds, hex, or of the names and bytes of all files of a folder. Raises UsageError."""
    try:
        if not path.is_dir():
            return file_digest(path)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        digests = [(file.relative_to(path).as_posix(), file_digest(file)) for file in files]
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file or folder; give the path of one that is there") from error
    except OSError as error:
        raise UsageError(f"{path}: it cannot be read ({error.strerror}); fix its rights") from error
    return digest.of("folder", *digests).hex()


def file_digest(path: Path) -> str:
    """A digest of a file's bytes, hex; of a large one from a memo, if it looks as it did. Raises OSError."""
    return _content(path.absolute(), *_look(path))


def _look(path: Path) -> tuple[int, ...]:
    info = path.stat()
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


@cache
def _content(path: Path, *look: int) -> str:
    """A digest of a file that looks so, taken once a process."""
    if look[2] < LARGE:
        return digest.of_file(path).hex()
    said = _remembered().get(str(path))
    if isinstance(said, list) and said[:-1] == list(look):
        return str(said[-1])
    fresh = digest.of_file(path).hex()
    if _look(path) == look and abs(time.time_ns() - look[3]) > YOUNG_NS:
        with suppress(StoreError):  # to know it again is a convenience
            change(_cache(), MEMO, lambda was: json.dumps({**_said(was), str(path): [*look, fresh]}).encode())
    return fresh


def _cache() -> Folder:
    """The user's own."""
    return Folder(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vbuild")


def _remembered() -> dict[str, list[int | str]]:
    try:
        held = _cache().get(MEMO)
    except StoreError:
        return {}
    return _said(None if held is None else held.data)


def _said(data: bytes | None) -> dict[str, list[int | str]]:
    try:
        said = json.loads(data or b"")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
