"""Folders that one process changes at a time."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vbuild.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder, made if need be, while no other process holds it; the death of a process lets it go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise StoreError(f"{folder}: it cannot be written ({error.strerror}); fix its rights") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
