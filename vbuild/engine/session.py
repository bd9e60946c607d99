"""What one plan or build knows: its source, its order, what the store answers, its shards, what was decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild import source
from vbuild.dataset import last
from vbuild.dataset.tables.videos import kinds, listed
from vbuild.plan.items import Items, Shelf
from vbuild.plan.lookup import Lookup
from vbuild.plan.order import Order, arrange
from vbuild.report import Decided, Progress
from vbuild.source.lists import ENDINGS
from vbuild.stage import Stage
from vbuild.store.actions import Actions
from vbuild.store.blobs import Blobs
from vbuild.store.failures import Failures
from vbuild.store.files import Files
from vbuild.store.keyed import firsts
from vbuild.store.remote_cache import remote_cache

if TYPE_CHECKING:
    from vbuild.config import Config

Watch = Callable[[Progress], None]


@dataclass
class Shard:
    """Some videos and, once they are split, their clips."""

    videos: Items
    clips: Items | None = None
    unsplit: int = 0
    """In a plan: videos whose clips are not known."""


@dataclass
class Session:
    """What one plan or build knows. `build` None makes it a plan: the same walk, and nothing runs."""

    config: Config
    build: str | None
    order: Order = field(init=False)
    shelf: Shelf = field(init=False)
    blobs: Blobs = field(init=False)
    failures: Failures = field(init=False)
    lookup: Lookup = field(init=False)
    shards: list[Shard] = field(default_factory=list)
    decided: dict[str, Decided] = field(default_factory=dict)
    duplicates: dict[str, pa.Table] = field(default_factory=dict)
    """Dedup → the pairs within its eps: clip_a, clip_b (hex), similarity, keeper (hex)."""
    wanted: Counter[str] = field(default_factory=Counter)
    """Instance → actions that had to run, as far as is known."""
    failed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        root = self.config.store
        lists = any(path.lower().endswith(ENDINGS) for path in self.config.source.path)
        self.order = arrange(self.config, kinds(listed(self.files, self.config.under(Stage))) if lists else {})
        instances = {i.name: i for i in (*self.order.video_stages, *self.order.clip_stages)}
        self.shelf = Shelf(Actions(root), instances, self.config.decode)
        self.blobs, self.failures = Blobs(root), Failures(root)
        self.lookup = Lookup(self.shelf, self.blobs, self.failures, self.config.failures.retry, self.build is None)
        self.lookup.remote = remote_cache(self.config.upstream) if self.config.upstream else None
        self.decided = {d.name: Decided(d.name) for d in self.order.decisions}

    @cached_property
    def files(self) -> source.Listing:
        """The source, listed once."""
        return source.survey(self.config.source)

    @cached_property
    def identified(self) -> source.Identified:
        """The content of its files, digested where they are not known, and of those that are out of reach.

        Raises SourceError for what cannot be listed and was not there at the last build either.
        """
        config, files = self.config, self.files
        known = last.videos(config.output / config.name)
        identified = source.identify(files, Files(config.store), dry=self.build is None)
        if config.source.missing == "drop" and known:
            return identified
        if config.source.missing == "keep":
            identified = source.recall(config.source, files, identified, known)
        files.check(set(identified.away.values()))
        return identified

    @cached_property
    def listed(self) -> pa.Table | None:
        """What lists say of the files, a row each."""
        _ = self.identified  # which puts those that are out of reach behind the others
        return listed(self.files, self.config.under(Stage))

    def settled(self) -> bool:
        """Whether the next build may go by how the files look; those that were young are looked at again."""
        if self.identified.readable and self.identified.young:
            self.identified = source.grown(self.files, self.identified, Files(self.config.store))
        return self.identified.settled

    def changed_code(self) -> list[str]:
        """The stages whose code is other than when their results were stored, under the same version."""
        instances = self.shelf.instances.items()
        return [said for name, i in instances if (said := self.shelf.actions.changed(name, i.recipe))]

    def sharded(self) -> list[Shard]:
        """The videos, each content once under the first of its paths, in groups that move together."""
        identified, files = self.identified, self.files
        names = files.names
        known = np.array([row for row in range(len(files)) if row not in identified.errors], np.int64)
        known = known[np.argsort([row in identified.away for row in known.tolist()], kind="stable")]
        rows = known[firsts(identified.ids[known])]
        ids = identified.ids[rows]
        size = self.config.shard if self.build is not None else max(len(rows), 1)  # a plan has nothing to wait for
        return [
            Shard(
                Items(
                    ids[i : i + size],
                    uris=[files.uris[row] for row in part],
                    names=[names[row] for row in part],
                    seen=[None if row in identified.away else files.seen(row) for row in part],
                    listed=None if self.listed is None else self.listed.take(pa.array(part, pa.int64())),
                )
            )
            for i in range(0, len(ids), size)
            for part in [rows[i : i + size].tolist()]
        ]
