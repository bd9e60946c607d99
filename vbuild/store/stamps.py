"""Stamps: what tells, with a glance, that nothing has happened to a dataset since its last build."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vbuild.store import texts

if TYPE_CHECKING:
    from pathlib import Path


def read_stamp(store: Path, dataset: str) -> dict[str, Any] | None:
    """The stamp of a dataset; None if there is none that can be read."""
    try:
        stamp = json.loads(_path(store, dataset).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and "state" in stamp else None


def write_stamp(store: Path, dataset: str, stamp: dict[str, Any]) -> None:
    """Leaves a stamp, whole or not at all."""
    texts.replace(_path(store, dataset), json.dumps(stamp))


def epoch(store: Path) -> int:
    """A number that moves when something is taken out of a store; stamps of another epoch say nothing."""
    try:
        return int((store / "stamps" / "epoch").read_text())
    except (OSError, ValueError):
        return 0


def bump(store: Path) -> None:
    """Moves the epoch."""
    texts.replace(store / "stamps" / "epoch", str(epoch(store) + 1))


def _path(store: Path, dataset: str) -> Path:
    return store / "stamps" / f"{dataset}.json"
