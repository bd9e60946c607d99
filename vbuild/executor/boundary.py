"""The one place where anything that a stage's code may raise is caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from vbuild import stops

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
F = TypeVar("F")


def guarded(call: Callable[[], T], told: Callable[[BaseException], F]) -> T | F:
    """What a call returns, or what is to be told of what it raised. Raises KeyboardInterrupt if a person asked for it.

    The call's own frame is the second of the exception's traceback.
    """
    try:
        return call()
    except BaseException as error:  # the isolation boundary: nothing that a stage raises may end a build
        if stops.asked():
            raise KeyboardInterrupt from error
        return told(error)
