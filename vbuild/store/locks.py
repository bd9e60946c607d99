"""Files that say who changes something, so that one process does at a time."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from contextlib import contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING

from vbuild.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG = logging.getLogger("vbuild")

PATIENCE = 1.0
"""Seconds that nobody need be told of."""


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Holds a file, made if need be, while no other process holds it; the death of a process lets it go.

    Gives whether it had to wait; when that takes long it says for whom. Raises StoreError if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: it cannot be written ({error.strerror}); fix its rights") from error
    with file:
        waited = _taken(file, path)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now():%Y-%m-%d %H:%M:%S}")
        file.flush()
        yield waited


def _taken(file: IO[str], path: Path) -> bool:
    """Takes the lock; whether it had to wait for it."""
    began, waited = time.monotonic(), False
    while not _free(file):
        waited = True
        if time.monotonic() - began > PATIENCE:
            file.seek(0)
            LOG.warning("vbuild: waiting for %s, which holds %s", file.read() or "another process", path)
            fcntl.flock(file, fcntl.LOCK_EX)
            break
        time.sleep(0.02)
    return waited


def _free(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_of(dataset: Path) -> Path:
    """The file that who changes the dataset in a folder holds; beside it, for the folder may not be there yet."""
    return dataset.with_name(f".{dataset.name}.lock")
