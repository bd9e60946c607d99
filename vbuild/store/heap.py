"""How the C library keeps memory that was freed."""

from __future__ import annotations

import ctypes

LARGE = -3
"""glibc's number for the size from which a block is the system's own: M_MMAP_THRESHOLD."""

SIZE = 1 << 20
"""Bytes of such a block."""


def tidy() -> None:
    """Has glibc give blocks back to the system when they are freed, those of columns at least; elsewhere nothing.

    Left alone it takes larger and larger ones from its heap, up to 32 MiB, where columns of a million rows leave holes
    that nothing fills.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(LARGE, SIZE)
