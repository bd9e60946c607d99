"""The versions of what computes: recorded with builds and failures, in no key."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import version

from vbuild import __version__

LIBRARIES = ("av", "duckdb", "lancedb", "numpy", "opencv-python-headless", "pyarrow", "pylance")


@cache
def versions() -> dict[str, str]:
    """Library → version."""
    return {"vbuild": __version__, **{name: version(name) for name in LIBRARIES}}


def machine() -> dict[str, str | int | None]:
    """The libraries, and the number of processors."""
    return {**versions(), "cpus": os.cpu_count()}
