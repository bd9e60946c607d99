"""Runs stored actions again and compares what comes of them with what was stored."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vbuild.config import Config, checked
from vbuild.dataset.commit import last_build
from vbuild.engine.session import Session
from vbuild.engine.tasks import tasks
from vbuild.engine.walk import walk
from vbuild.errors import VbuildError
from vbuild.executor.perform import perform
from vbuild.plan.items import State
from vbuild.store import roots
from vbuild.store.blobs import Blobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbuild.plan.items import Items
    from vbuild.plan.wiring import Instance

DEDUP = "vbuild.decisions.dedup.Dedup"
"""What a member is of which a build of before did not say what it is: dedups were the only decisions among them."""

NEAR = 1e-3
"""Vectors that differ by no more than this, in each of their numbers, are taken for the same."""


@dataclass(frozen=True)
class Rerun:
    """One output of an action that ran again."""

    dataset: str
    instance: str
    field: str
    key: str
    same: bool
    said: str
    """`equal`, the largest difference of a vector, or what is not equal."""


def config_of_build(build: Mapping[str, Any], store: Path, output: Path) -> Config:
    """The configuration of a build, from its row, with its store and the folder of its database as they are now.

    Raises UsageError if it is none any more.
    """

    def plain(stage: Mapping[str, Any]) -> dict[str, Any]:
        keys = {name: value for name, value in stage.items() if name != "version"}
        return keys if "_target_" in keys else {"_target_": DEDUP, **keys}

    said = build["config"]
    stages = {name: plain(stage) for name, stage in said["stages"].items()}
    here = {"store": str(store), "output": str(output)}
    return checked({**said, **here, "split": plain(said["split"]), "stages": stages}, declared=said["declared"])


def rerun(store: Path, count: int) -> tuple[list[Rerun], list[str]]:
    """Runs so many stored actions of the datasets again, by chance; and says which datasets could not be walked."""
    candidates: list[tuple[Session, Items, Instance, int]] = []
    left: list[str] = []
    for known in roots.known_datasets(store):
        build = last_build(known.folder)
        if build is None:
            continue
        try:
            session = Session(config_of_build(build, store, known.folder.parent), None)
            walk(session, lambda _: None)
        except VbuildError as error:
            left.append(f"{known.folder.name}: its actions cannot run again ({error})")
        else:
            candidates += _stored(session)
            for row, why in list(session.identified.away.items())[:1]:
                left.append(f"{known.folder.name}: its actions cannot run again ({session.files.names[row]}: {why})")
    chosen = random.sample(candidates, min(count, len(candidates)))
    with tempfile.TemporaryDirectory() as folder:
        return [line for one in chosen for line in _compared(*one, Blobs(Path(folder)))], left


def _stored(session: Session) -> list[tuple[Session, Items, Instance, int]]:
    """Every action of a session that has a result, once, but for those of videos that are out of reach."""
    actions: dict[tuple[str, bytes], tuple[Session, Items, Instance, int]] = {}
    for shard in session.shards:
        for items in (shard.videos, shard.clips):
            for name in items.actions if items is not None else ():
                assert items is not None
                instance = session.shelf.instances[name]
                there = items.actions[name]
                for row in np.flatnonzero((there.state == State.DONE) & ~items.away).tolist():
                    actions.setdefault(
                        (instance.recipe.id, bytes(there.keys[row].item())), (session, items, instance, row)
                    )
    return list(actions.values())


def _compared(session: Session, items: Items, instance: Instance, row: int, blobs: Blobs) -> list[Rerun]:
    """Runs one action and compares each of its outputs."""
    key = items.actions[instance.name].keys[row : row + 1]
    head = (session.config.name, instance.name)
    lines: list[Rerun] = []
    for task in tasks(items, {instance.name: np.array([row])}, [instance], session.shelf):
        done = perform(task, blobs, "verify")
        lines += [Rerun(*head, "", f.key.hex(), False, f"it fails now: {f.message}") for f in done.failures]
        for _, table in done.tables:
            results = session.shelf.results(instance.name)
            before = results.take(results.lookup(key), table.column_names)
            lines += [
                Rerun(*head, name.removeprefix("digest__"), bytes(key[0].item()).hex(), *_same(name, before, table))
                for name in table.column_names
                if name.startswith("digest__")
            ]
    return lines


def _same(name: str, before: pa.Table, now: pa.Table) -> tuple[bool, str]:
    """Whether an output is the same, and how far it is from it."""
    if before[name].equals(now[name]):
        return True, "equal"
    value = name.removeprefix("digest__")
    if value in now.column_names and pa.types.is_fixed_size_list(now[value].type):
        old, new = (np.asarray(table[value][0].as_py() or [], np.float64) for table in (before, now))
        if old.shape == new.shape and old.size:
            far = float(np.abs(old - new).max())
            return far <= NEAR, f"differs by {far:.2g} at most"
    if value in now.column_names:
        return False, f"{before[value][0].as_py()!r:.60} → {now[value][0].as_py()!r:.60}"
    return False, "other bytes"
