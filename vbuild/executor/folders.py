"""Folders of one build, outside its store: gone with the build, or, where that is killed, taken away by the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MEMORY = Path("/dev/shm")  # noqa: S108  files in memory, where there is room for them

NOTES = "vbuild-notes-"
"""How the names of folders begin in which processes that die say what they were at."""

PARCELS = "vbuild-parcels-"
"""How the names of those begin in which parcels lie."""

SEMAPHORES = "sem.loky-"
"""How the names of the files begin that loky makes, with a process's number behind it; they stay where all that would
take them away was killed too."""

YOUNG = 60.0
"""Seconds for which a folder may be about to be locked."""


class Folder:
    """A folder that is held for as long as the build lives."""

    def __init__(self, prefix: str, place: Path) -> None:
        made = Path(mkdtemp(prefix=f".{prefix}", dir=place))
        self.alive = (made / "alive").open("w")
        fcntl.flock(self.alive, fcntl.LOCK_EX)
        self.alive.write(str(os.getpid()))
        self.alive.flush()
        # under another name until its lock is held, so that nobody takes it for one of a dead build
        self.path = made.rename(made.with_name(made.name.removeprefix(".")))

    def close(self) -> None:
        """Takes it away."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.alive.close()


def sweep(places: Iterable[Path] = (MEMORY, Path(gettempdir()))) -> None:
    """Takes away what builds left that were killed."""
    for place in places:
        for prefix in (NOTES, PARCELS):
            for path in place.glob(f"{prefix}*"):
                _take_away(path)
            for path in place.glob(f".{prefix}*"):
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > YOUNG:
                        _take_away(path)


def _take_away(folder: Path) -> None:
    """Takes a folder away whose build is gone, with the semaphores of its pools; one that lives holds its lock."""
    with suppress(OSError), (folder / "alive").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        pid = file.read()
        if pid.isdecimal() and int(pid) != os.getpid():
            for path in MEMORY.glob(f"{SEMAPHORES}{pid}-*"):
                path.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
