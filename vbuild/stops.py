"""Whether a person has stopped the program: told by the signal, for an error of Ctrl-C may come in any disguise."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS: list[int] = []
"""Those that came."""


def asked() -> bool:
    """Whether a person has asked this process to stop."""
    return bool(SIGNALS)


def stop(number: int, frame: FrameType | None) -> None:
    """A handler of signals that stops the program."""
    SIGNALS.append(number)
    signal.default_int_handler(number, frame)


@contextmanager
def heeded() -> Iterator[None]:
    """Notes that Ctrl-C came, whatever handler there is for it; it is forgotten at the beginning."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    SIGNALS.clear()
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        SIGNALS.append(number)
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Lets Ctrl-C wait until what is begun is put away, so that a second one leaves nothing half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        SIGNALS.extend(asked)
        raise KeyboardInterrupt
