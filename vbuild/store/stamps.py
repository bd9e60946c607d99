"""Stamps: what tells, with a glance, that nothing has happened to a dataset since its last build."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vbuild.errors import StoreError
from vbuild.store.place import change, place_at

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = "stamps/epoch"


def read_stamp(store: Path, dataset: str) -> dict[str, Any] | None:
    """The stamp of a dataset; None if there is none that can be read."""
    try:
        held = place_at(store).get(_name(dataset))
        stamp = None if held is None else json.loads(held.data)
    except (StoreError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and "state" in stamp else None


def write_stamp(store: Path, dataset: str, stamp: dict[str, Any]) -> None:
    """Leaves a stamp, whole or not at all."""
    place_at(store).put(_name(dataset), json.dumps(stamp).encode())


def forget_stamp(store: Path, dataset: str) -> None:
    """Takes the stamp of a dataset away, if there is one."""
    place_at(store).delete(_name(dataset))


def epoch(store: Path) -> int:
    """A number that moves when something is taken out of a store; stamps of another epoch say nothing."""
    try:
        held = place_at(store).get(EPOCH)
    except StoreError:
        return 0
    return 0 if held is None else _number(held.data)


def bump(store: Path) -> None:
    """Moves the epoch: by one for each of those who do at once."""
    change(place_at(store), EPOCH, lambda was: str((0 if was is None else _number(was)) + 1).encode())


def _number(data: bytes) -> int:
    try:
        return int(data)
    except ValueError:
        return 0


def _name(dataset: str) -> str:
    return f"stamps/{dataset}.json"
