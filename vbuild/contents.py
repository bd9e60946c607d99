"""What files that parameters name hold, as a digest."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from vbuild import digest
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def content(path: Path) -> str:
    """A digest of what a file holds, hex, or of the names and bytes of all files of a folder. Raises UsageError."""
    try:
        if not path.is_dir():
            return _content(path, *_look(path))
        files = sorted(file for file in path.rglob("*") if file.is_file())
        found = [(file.relative_to(path).as_posix(), _content(file, *_look(file))) for file in files]
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file or folder; give the path of one that is there") from error
    except OSError as error:
        raise UsageError(f"{path}: it cannot be read ({error.strerror}); fix its rights") from error
    return digest.of("folder", *found).hex()


def _look(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@cache
def _content(path: Path, *_look: int) -> str:
    """A digest of a file that looks so, taken once a process."""
    return digest.of_file(path).hex()
