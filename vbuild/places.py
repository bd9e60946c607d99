"""Folders as they are named to one another, so that they are found after one of them, or both, were moved or copied."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def named_from(folder: Path, here: Path) -> list[str]:
    """How `folder` is named in `here`: by the way to it and, unless one lies in the other, by its whole path too."""
    way = os.path.relpath(folder, here)
    return [way] if folder.is_relative_to(here) or here.is_relative_to(folder) else [way, str(folder)]


def resolved(names: str | Sequence[str], here: Path) -> Path:
    """The first folder of such names that is there; the last if none is."""
    names = [names] if isinstance(names, str) else names
    places = [Path(os.path.normpath(here.absolute() / name)) for name in names]
    return next((place for place in places if place.is_dir()), places[-1])
