"""Takes a dataset away: its tables, and what the store knows of it; results stay until a gc takes them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from vbuild.errors import DatasetError, StoreError
from vbuild.store import roots, stamps
from vbuild.store.locks import lock_of, locked

if TYPE_CHECKING:
    from pathlib import Path

GONE = ".{name}.removed"
"""The folder of a dataset that is about to go: no verb takes it for one."""


def remove(store: Path, folder: Path) -> None:
    """Removes the tables of a dataset, its root and its stamp. One that a build changes now is waited for.

    Raises DatasetError for a dataset that somebody else removed meanwhile, StoreError for files that cannot be removed.
    """
    with locked(lock_of(folder)):
        doomed = folder.with_name(GONE.format(name=folder.name))
        try:
            shutil.rmtree(doomed, ignore_errors=True)  # of a removal that was cut short
            folder.rename(doomed)
            shutil.rmtree(doomed)
            stamps.forget_stamp(store, folder.name)
        except FileNotFoundError as error:
            raise DatasetError(f"{folder}: it is gone already") from error
        except OSError as error:
            raise StoreError(f"{error.filename}: it cannot be removed ({error.strerror}); fix its rights") from error
        with suppress(StoreError):  # one that was never built from this store has no root in it
            roots.forget(store, folder)
