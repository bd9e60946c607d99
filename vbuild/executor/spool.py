"""Parcels on their way from passes to models: files of one build's folder, of which so many bytes may lie there."""

from __future__ import annotations

import fcntl
import mmap
import os
import pickle
import shutil
import struct
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import gettempdir
from threading import Event as ThreadEvent
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from vbuild.executor.folders import MEMORY, PARCELS, Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from vbuild.executor.work import Action

WAITS = "waits-"
"""How the names of files begin by which workers say that they wait for room."""

SPARE = 2
"""Of the bytes that a budget allows, how many times as many a memory-backed folder must have free."""

ALIGNED = 64
"""Bytes at whose multiples arrays begin."""

POLL = 0.005
"""Seconds between two looks whether there is room."""

LENGTH = struct.Struct("<Q")
COUNTS = struct.Struct("<QQ")

NUMBERS = count()
"""Of the parcels of a process."""

END, SYNC = (1 << 63), (1 << 63) + 1
"""In place of the length of a parcel's label: that the build ends, and that it wants to know what was told so far."""


@dataclass(frozen=True)
class Parcel:
    """What a pass hands over of one action, or of a part of one: where it lies, and what batches are formed by."""

    ticket: int
    """Of the task that it came of."""
    recipe: str
    key: bytes
    item: bytes
    part: int
    """Its place among the parts of its action."""
    parts: int | None
    """How many parts the action has; None for a part, of which only the last word, `LAST`, tells how many there are."""
    shape: tuple[object, ...]
    """Batches are of one."""
    size: int
    """Bytes."""
    name: str
    """Of its file, in the spool."""

    @property
    def action(self) -> Action:
        """Whose it is."""
        return self.recipe, self.key


LAST = -1
"""The part that no model sees: what a sink's `close` left beside the others."""


class Room:
    """How many bytes lie in a spool, and the most that ever did: counted in a file, for all processes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "room"

    @contextmanager
    def counted(self) -> Iterator[tuple[IO[bytes], int, int]]:
        """The open file, locked, with both counts."""
        with self.path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            used, most = COUNTS.unpack(file.read(COUNTS.size))
            yield file, used, most

    def put(self, change: int, limit: int | None = None) -> bool:
        """Adds to what is used, unless that is too much then; anything goes where nothing lies."""
        with self.counted() as (file, used, most):
            if limit is not None and used and used + change > limit:
                return False
            file.seek(0)
            file.write(COUNTS.pack(used + change, max(most, used + change)))
        return True

    @property
    def peak(self) -> int:
        """The most that ever lay there."""
        with self.counted() as (_, _, most):
            return most


class Outbox:
    """A worker's end of a spool."""

    def __init__(
        self,
        folder: Path,
        budget: int,
        ticket: int,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`waiting` is entered while there is no room."""
        self.folder, self.budget, self.ticket, self.waiting = folder, budget, ticket, waiting
        self.room = Room(folder)
        self.waited = 0.0
        """Seconds for which there was no room."""

    def send(
        self, action: Action, item: bytes, part: int, parts: int | None, shape: tuple[object, ...], value: Any
    ) -> None:
        """Hands a value over, once there is room for it."""
        head, buffers = packed(value)
        size = len(head) + sum(ALIGNED + len(buffer) for buffer in buffers)
        if not self.room.put(size, self.budget):
            with self.waiting():
                self._wait(size)
        name = f"{os.getpid()}-{next(NUMBERS)}"
        write_parcel(self.folder / name, head, buffers)
        told = pickle.dumps(Parcel(self.ticket, *action, item, part, parts, shape, size, name))
        with (self.folder / "pipe").open("wb", buffering=0) as pipe:
            pipe.write(LENGTH.pack(len(told)) + told)  # short enough to be written at once, whoever else writes

    def _wait(self, size: int) -> None:
        """Until there is room. A file says that somebody waits, so that models take what there is."""
        began = time.monotonic()
        sign = self.folder / f"{WAITS}{os.getpid()}"
        sign.touch()
        while not self.room.put(size, self.budget):
            time.sleep(POLL)
        sign.unlink(missing_ok=True)
        self.waited += time.monotonic() - began


class Spool:
    """The build's end: a folder that is gone with the build, its room, and a pipe by which workers tell of parcels."""

    def __init__(self, budget: int) -> None:
        """`budget`: bytes that parcels may take at once."""
        self.budget = budget
        self.held = Folder(PARCELS, _place(budget))
        self.folder = self.held.path
        (self.folder / "room").write_bytes(COUNTS.pack(0, 0))
        self.room = Room(self.folder)
        os.mkfifo(self.folder / "pipe")
        self.pipe = os.open(self.folder / "pipe", os.O_RDWR)
        self.synced = ThreadEvent()
        self.lying: dict[str, Parcel] = {}
        """By name."""
        self.whole: dict[int, set[Action]] = {}
        """Ticket → actions of which everything was handed over."""

    def follow(self, tell: Callable[[Parcel], None]) -> None:
        """Calls for every parcel that workers tell of, in a thread that ends with the spool."""
        Thread(target=self._follow, args=(tell,), daemon=True).start()

    def _follow(self, tell: Callable[[Parcel], None]) -> None:
        rest = b""
        while True:
            rest += os.read(self.pipe, 1 << 16)
            while len(rest) >= LENGTH.size:
                (length,) = LENGTH.unpack_from(rest)
                if length == END:
                    os.close(self.pipe)
                    return
                end = LENGTH.size + (0 if length == SYNC else length)
                if len(rest) < end:
                    break
                told, rest = rest[LENGTH.size : end], rest[end:]
                if length == SYNC:
                    self.synced.set()
                    continue
                parcel: Parcel = pickle.loads(told)  # noqa: S301  of a worker of this build
                self.lying[parcel.name] = parcel
                if parcel.parts is not None:
                    self.whole.setdefault(parcel.ticket, set()).add(parcel.action)
                tell(parcel)

    def pressed(self) -> bool:
        """Whether somebody waits for room."""
        return any(name.startswith(WAITS) for name in os.listdir(self.folder))  # noqa: PTH208  no Path a name

    def sync(self) -> None:
        """Returns when everything was told that workers wrote until now."""
        self.synced.clear()
        os.write(self.pipe, LENGTH.pack(SYNC))
        self.synced.wait()

    def drop(self, parcel: Parcel) -> None:
        """A parcel is of no use any more: its file goes, and its room is free."""
        if self.lying.pop(parcel.name, None) is not None:
            (self.folder / parcel.name).unlink(missing_ok=True)
            self.room.put(-parcel.size)

    def settle(self) -> None:
        """No worker lives: room that they took and did not use is free again, and what they left half-done goes."""
        for path in self.folder.iterdir():
            if path.name not in self.lying and path.name not in ("alive", "room", "pipe"):
                path.unlink(missing_ok=True)
        with self.room.counted() as (_, used, _):
            extra = used - sum(parcel.size for parcel in list(self.lying.values()))
        self.room.put(-extra)

    def close(self) -> None:
        """Takes everything away."""
        with suppress(OSError):
            os.write(self.pipe, LENGTH.pack(END))
        self.held.close()


def packed(value: Any) -> tuple[bytes, list[memoryview]]:
    """A value as a pickle and the bytes of its arrays beside it."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return head, [buffer.raw() for buffer in buffers]


def write_parcel(path: Path, head: bytes, buffers: list[memoryview]) -> None:
    """Writes what `packed` made: the length of each part, then the parts, arrays aligned."""
    lengths = [len(head), *map(len, buffers)]
    with path.open("wb", buffering=0) as file:
        file.write(LENGTH.pack(len(lengths)) + b"".join(map(LENGTH.pack, lengths)) + head)
        for buffer in buffers:
            file.seek(-(-file.tell() // ALIGNED) * ALIGNED)
            file.write(buffer)


def read_parcel(path: Path) -> Any:
    """The value of a parcel's file. Its arrays lie in the file's pages, and may be written to: that changes no file."""
    with path.open("rb") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    (many,) = LENGTH.unpack_from(whole)
    lengths = [LENGTH.unpack_from(whole, LENGTH.size * (n + 1))[0] for n in range(many)]
    place = LENGTH.size * (many + 1)
    parts = []
    for n, length in enumerate(lengths):
        place = place if n == 0 else -(-place // ALIGNED) * ALIGNED
        parts.append(whole[place : place + length])
        place += length
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301  of a worker of this build


def _place(budget: int) -> Path:
    """Where parcels are to lie: in memory, if it holds enough."""
    places = [place for place in (MEMORY, Path(gettempdir())) if place.is_dir() and os.access(place, os.W_OK)]
    roomy = [place for place in places if shutil.disk_usage(place).free >= SPARE * budget]
    return (roomy or places[-1:])[0]
