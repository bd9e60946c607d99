"""What a stage raises, made plain data that says whose it is."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from vbuild.errors import FULL, FaultKind, NoAnswerError, VbuildError, came_of, foreign_errors, kind_of
from vbuild.executor.boundary import guarded
from vbuild.media.files import UNREADABLE
from vbuild.store.failures import Failed
from vbuild.versions import recorded

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbuild.stage import Stage

T = TypeVar("T")

PASSING = (MemoryError, ConnectionError, TimeoutError, InterruptedError, BlockingIOError, NoAnswerError)
"""Errors that may pass by themselves."""

FRAMES = 30
"""Calls of a traceback that are kept, the innermost."""


@dataclass(frozen=True)
class Failure:
    """An exception of a stage, as plain data."""

    error: str
    """Its class."""
    message: str
    kind: FaultKind = "item"
    trace: str = ""
    """Where it was raised, as Python prints it."""
    passing: bool = False
    """It may pass by itself."""
    crowded: bool = False
    """It wanted more memory than was left, which what ran beside it may have taken."""

    def spares(self, stage: Stage) -> bool:
        """Whether a clip has a row all the same, where it is of a part of it."""
        return stage.partial and self.kind in ("item", "program")

    def of(self, stage: Stage, recipe: str, key: bytes, item: bytes) -> Failed:
        """The same of an action."""
        return Failed(
            key=key, stage=stage.title(), recipe=recipe, kind=self.kind, error=self.error, message=self.message,
            trace=self.trace, item=item, passing=self.passing, crowded=self.crowded,
            versions=recorded(stage.__module__),
        )  # fmt: skip


def attempt(call: Callable[[], T], *, reads: bool = False, loads: bool = False) -> T | Failure:
    """What a call returns, or its failure.

    `reads`: it reads a video's file, so what is of a place is of that file's. `loads`: it makes what a stage needs, and
    no clip is to blame. Raises KeyboardInterrupt if a person asked for it.
    """
    return guarded(call, partial(_failure, reads=reads, loads=loads))


def _failure(error: BaseException, *, reads: bool, loads: bool) -> Failure:
    kind = kind_of(error)
    read = isinstance(error, UNREADABLE)
    if read and kind == "program":  # FFmpeg's errors are Python's too: of a lookup, of what is not implemented
        kind = "item"
    if reads and not read and (kind == "place" or isinstance(error, (OSError, *foreign_errors()))):
        kind = "source"
    return Failure(
        error=type(error).__name__,
        message=one_line(error),
        kind="place" if loads else kind,
        trace=_trace(error),
        passing=type(error) is OSError or isinstance(error, PASSING),
        crowded=isinstance(error, MemoryError),
    )


def one_line(error: BaseException) -> str:
    """An exception in one line; for what is no error of read, with its kind."""
    line = " ".join(str(error).split())
    line = line if isinstance(error, VbuildError) else f"{type(error).__name__}: {line}".rstrip(": ")
    full = any(isinstance(one, OSError) and one.errno in FULL for one in came_of(error))
    return f"{line}; free space, and build again" if full else line


def _trace(error: BaseException) -> str:
    """Where an exception was raised, from the call that `attempt` made."""
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
    return "".join(traceback.format_exception(error, limit=-FRAMES))
