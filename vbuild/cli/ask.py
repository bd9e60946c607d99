"""What the verbs of this room are asked: stores, ages and shares as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from vbuild.cli.arguments import store_of
from vbuild.errors import StoreError, UsageError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def store(found: argparse.Namespace) -> Path:
    """The store. Raises StoreError if there is none."""
    path = store_of(found)
    if not path.is_dir():
        raise StoreError(f"{path}: there is no store; build a dataset first, or give --store PATH")
    return path


def age(text: str) -> timedelta:
    """`30d`, `12h`, `0d` as a time. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if found is None:
        raise UsageError(f"--older-than {text}: a time is expected, such as 30d, 12h or 0d")
    return timedelta(**{UNITS[found[2]]: float(found[1])})


def share(text: str) -> float:
    """`1%` or `0.01` as a share of one. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text.strip())
    value = float(found[1]) / (100 if found[2] else 1) if found else 2.0
    if not 0 < value <= 1:
        raise UsageError(f"--sample {text}: a share is expected, such as 1% or 0.01")
    return value
