"""The versions of what computes: recorded with builds and failures, in no key."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import version

LIBRARIES = ("vbuild", "av", "duckdb", "lancedb", "numpy", "opencv-python-headless", "pyarrow", "pylance")


@cache
def versions() -> dict[str, str]:
    """Library → version."""
    return {name: version(name) for name in LIBRARIES}


def machine() -> dict[str, str | int | None]:
    """The libraries, and the number of processors."""
    return {**versions(), "cpus": os.cpu_count()}
