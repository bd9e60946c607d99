"""FFmpeg's log, which is one for the whole process: heard by one thread at a time."""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from collections.abc import Iterator

ALONE = RLock()


@contextmanager
def listened(level: int) -> Iterator[list[tuple[int, str, str]]]:
    """What FFmpeg logs meanwhile in this thread, from a level on: level, who, text. Others wait with theirs.

    Not for what decodes: its threads log too.
    """
    with ALONE:
        before, once = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(level)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture() as said:
                yield said
        finally:
            av.logging.set_skip_repeated(once)
            # not None, which PyAV has at first: it compares with it what decoders of other threads say meanwhile
            av.logging.set_level(av.logging.PANIC if before is None else before)
