"""The versions of a dataset's tables as the files on disk name them, read without Lance."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def fingerprint(folder: Path) -> dict[str, str]:
    """Table → name of its newest manifest, from the listing of files alone.

    Lance names manifests by falling numbers of fixed width, so the newest is the first.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".lance"))  # noqa: PTH208
    except FileNotFoundError:
        return {}
    return {name.removesuffix(".lance"): _newest(folder / name / "_versions") for name in names}


def _newest(versions: Path) -> str:
    try:
        return min((name for name in os.listdir(versions) if name.endswith(".manifest")), default="")  # noqa: PTH208
    except FileNotFoundError:
        return ""
