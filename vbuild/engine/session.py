"""One plan or build: videos move through the waves in shards, decisions are taken, the dataset is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild import digest, source
from vbuild.dataset import last
from vbuild.dataset.tables.videos import kinds, listed
from vbuild.decisions.duplicates import decide
from vbuild.decisions.predicate import Predicate, verdicts
from vbuild.engine.ledger import Ledger
from vbuild.engine.schedule import Scheduler, Step, Steps
from vbuild.engine.tasks import tasks
from vbuild.errors import StageError
from vbuild.executor.protocol import Needs
from vbuild.plan.items import Items, Shelf, State
from vbuild.plan.lookup import Lookup
from vbuild.plan.order import Deduplication, Order, Wave, arrange, owner
from vbuild.report import Decided, Progress
from vbuild.source.lists import ENDINGS
from vbuild.stage import Stage
from vbuild.stops import undisturbed
from vbuild.store.actions import Actions
from vbuild.store.blobs import Blobs
from vbuild.store.failures import Failures
from vbuild.store.files import Files
from vbuild.store.remote_cache import remote_cache
from vbuild.values import value_column

if TYPE_CHECKING:
    from vbuild.config import Config
    from vbuild.executor.protocol import Executor
    from vbuild.executor.work import Done
    from vbuild.plan.order import Instance

Watch = Callable[[Progress], None]

A_PLAN = 4096
"""Videos that a plan takes together: nothing waits for it, and look-ups of many keys cost less a key."""


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
    lanes: int = 1
    """How many passes can run at once."""

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
        found = source.identify(files, Files(config.store), dry=self.build is None)
        if config.source.missing == "drop" and known:
            return found
        if config.source.missing == "keep":
            found = source.recall(config.source, files, found, known)
        files.check(set(found.away.values()))
        return found

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

    def walk(self, watch: Watch) -> None:
        """Source → split → waves: everything but the dataset. `watch` is told whenever results come in."""
        self.shards = self._shards()
        results = {i.recipe.id: self.shelf.results(name) for name, i in self.shelf.instances.items()}
        for result in results.values():
            result.check()
        workers = None if self.build is None else self.config.executor.start(self.blobs, self.build, self.config.limits)
        self.lanes = 1 if workers is None else -(-workers.room(Needs()) // 2)
        ledger = Ledger(results, self.failures, retried=self.lookup.retry != "never")
        try:
            segments = list(_segments(self.order.waves))
            for number, segment in enumerate(segments):
                steps = [self._steps(shard, segment, first=number == 0) for shard in self.shards]
                self._drive(steps, workers, ledger, watch)
                for decision in segment[-1].decisions if segment else ():
                    if isinstance(decision, Deduplication):
                        self._deduplicate(decision)
        finally:
            with undisturbed():
                if workers is not None:
                    workers.close()
                ledger.commit()
        if self.build is not None:
            for result in results.values():
                result.compact()
            self.failures.compact()

    def _shards(self) -> list[Shard]:
        """The videos, each content once under the first of its paths, in groups that move together."""
        found, files = self.identified, self.files
        names = files.names()
        known = np.array([row for row in range(len(files)) if row not in found.errors], np.int64)
        known = known[np.argsort([row in found.away for row in known.tolist()], kind="stable")]
        ids, first = np.unique(found.ids[known], return_index=True)
        order = np.argsort(first, kind="stable")
        rows, ids = known[first[order]], ids[order]
        size = self.config.shard if self.build is not None else A_PLAN
        return [
            Shard(
                Items(
                    ids[i : i + size],
                    uris=[files.uris[row] for row in part],
                    names=[names[row] for row in part],
                    seen=[None if row in found.away else files.seen(row) for row in part],
                    listed=None if self.listed is None else self.listed.take(pa.array(part, pa.int64())),
                )
            )
            for i in range(0, len(ids), size)
            for part in [rows[i : i + size].tolist()]
        ]

    def _steps(self, shard: Shard, waves: Sequence[Wave], *, first: bool) -> Steps:
        """A shard's way to the next dedup."""
        if first:
            yield from self._split(shard)
        assert shard.clips is not None
        for wave in waves:
            yield from self._run(shard.clips, wave.stages)
            self._judge(shard.clips, [d for d in wave.decisions if isinstance(d, Predicate)])

    def _split(self, shard: Shard) -> Steps:
        """Probes the videos, runs the stages of whole videos, and cuts each into clips."""
        videos = shard.videos
        yield from self._run(videos, [self.order.probe])
        state = videos.states(self.order.probe.name)
        videos.kept = state != State.FAILED
        videos.sure = state == State.DONE
        for wave in self.order.video:
            yield from self._run(videos, wave.stages)
        yield from self._run(videos, [self.order.split])
        shard.unsplit = int(np.isin(videos.states(self.order.split.name), (State.MISSING, State.UNKNOWN)).sum())
        shard.clips = self._clips(videos)

    def _clips(self, videos: Items) -> Items:
        """The clips of videos that are split, in order of their videos, then of time."""
        split = self.order.split.name
        rows = np.flatnonzero(videos.states(split) == State.DONE)
        spans = self.shelf.take(videos, split, [value_column("start_pts"), value_column("end_pts")], rows)
        start, end = (spans[name].combine_chunks() for name in spans.column_names)
        place = np.repeat(rows, start.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64))
        starts, ends = start.flatten().to_numpy(), end.flatten().to_numpy()
        if (starts >= ends).any():
            raise StageError(f"split={self.order.split.recipe.stage}: it wrote a clip that ends before it starts")
        probed = self.shelf.take(videos, "probe", ["stream", "time_base_num", "time_base_den"], place)
        stream, *base = (column.to_numpy() for column in probed.columns)
        ids = digest.clip_ids(videos.ids[place], stream, starts, ends, np.stack(base, axis=1))
        _, once = np.unique(ids, return_index=True)
        keep = np.sort(once)
        return Items(ids[keep], videos, place[keep], starts[keep], ends[keep])

    def _run(self, items: Items, wave: Sequence[Instance]) -> Steps:
        """Looks a wave's actions up, has those run that are missing, and takes what the store then answers."""
        missing = {instance.name: self.lookup.look(items, instance) for instance in wave}
        if self.build is None or not any(len(rows) for rows in missing.values()):
            return
        own = {name: rows[items.found[name].own[rows]] for name, rows in missing.items()}
        self.wanted.update({name: len(rows) for name, rows in own.items()})
        yield Step(list(tasks(items, own, wave, self.shelf, self.lanes)), self._awaited(items, wave, missing))
        for instance in wave:
            self.lookup.settle(items, instance)

    def _awaited(
        self, items: Items, wave: Sequence[Instance], missing: Mapping[str, np.ndarray]
    ) -> frozenset[tuple[str, bytes]]:
        """Of the actions that are missing those that somebody asked for before."""
        return frozenset(
            (instance.recipe.id, bytes(key))
            for instance in wave
            for rows in [missing[instance.name]]
            for key in items.found[instance.name].keys[rows[~items.found[instance.name].own[rows]]].tolist()
        )

    def _drive(self, steps: Sequence[Steps], workers: Executor | None, ledger: Ledger, watch: Watch) -> None:
        """Moves all shards along; in a plan they never have tasks."""
        if workers is None:
            for shard in steps:
                for _ in shard:
                    raise AssertionError("a plan runs nothing")
        else:
            note, undone = (lambda done: self._note(done, watch)), self.lookup.undone
            assert self.build is not None
            scheduler = Scheduler(workers, ledger, self.config.failures, note, self.blobs, self.build, undone)
            scheduler.run(steps)
            ledger.commit()
            for instance in self.shelf.instances.values():
                if instance.recipe.id in scheduler.loads:
                    self.shelf.actions.loaded(instance.recipe, scheduler.loads[instance.recipe.id])

    def _note(self, done: Done, watch: Watch) -> None:
        """Counts what a task left, and says how far its stages are."""
        told: set[str] = set()
        for recipe, table in done.tables:
            askers = self.lookup.askers(recipe, table["key"].to_pylist())
            for name, ran in askers.items():
                count = self.lookup.count(name)
                count.ran += ran
                count.seconds += pc.sum(table["seconds"]).as_py() * ran / len(table)
            told |= askers.keys()
        for failure in done.failures:
            askers = self.lookup.askers(failure.recipe, [failure.key])
            self.failed += askers
            told |= askers.keys()
        for name in told:
            watch(Progress(name, self.lookup.count(name).ran, self.failed[name], self.wanted[name]))

    def _judge(self, clips: Items, predicates: Sequence[Predicate]) -> None:
        """Drops the clips of which a predicate is not TRUE; the first that drops a clip gives it its name."""
        if not predicates or not len(clips):
            return
        names = sorted({column for p in predicates for column in p.reads})
        said = verdicts(predicates, self.shelf.columns(clips, names))
        for predicate, verdict in zip(predicates, said, strict=True):
            known = clips.sure & ~self._open(clips, predicate.reads)
            judged = clips.kept & known
            drop = judged & (verdict != 1)
            clips.dropped_by[drop] = np.where(verdict[drop] == 0, predicate.name, f"{predicate.name}: null")
            decided = self.decided[predicate.name]
            decided.dropped += int(drop.sum())
            decided.unknown += int((clips.kept & ~known).sum())
            clips.kept &= ~drop
            clips.sure &= known | ~clips.kept
            self._undecided(clips, predicate.name)

    def _undecided(self, clips: Items, decision: str) -> None:
        """In a build: gives clips that a decision could not judge its name."""
        open_ = clips.kept & ~clips.sure & (clips.dropped_by == None)  # noqa: E711  by element
        if self.build is not None:
            clips.dropped_by[open_] = f"{decision}: null"

    def _open(self, clips: Items, columns: Iterable[str]) -> np.ndarray:
        """In a plan: the clips of which some of these columns is not known yet."""
        waits = np.zeros(len(clips), bool)
        for name in {o.name for c in columns if (o := owner(c, self.order.clip_stages))}:
            waits |= np.isin(clips.states(name), (State.MISSING, State.UNKNOWN))
        return waits

    def _deduplicate(self, decision: Deduplication) -> None:
        """Drops, over all shards, the clips that have a near-duplicate that is kept."""
        clips = [shard.clips for shard in self.shards if shard.clips is not None]
        decided = self.decided[decision.name]
        if self._undecidable(decision, clips):
            for c in clips:
                decided.unknown += int(c.kept.sum())
                c.sure &= ~c.kept
                self._undecided(c, decision.name)
            return
        self.duplicates[decision.name] = decide(decision, clips, self.shelf, self.config.store, dry=self.build is None)
        decided.dropped = sum(int((c.dropped_by == decision.name).sum()) for c in clips)

    def _undecidable(self, decision: Deduplication, clips: Sequence[Items]) -> bool:
        """Whether a dedup cannot be decided: in a plan if a clip is open, in a build if what it reads has stopped."""
        if self.build is not None:
            owners = {decision.of, *(o.name for c in decision.reads if (o := owner(c, self.order.clip_stages)))}
            return any(self.shelf.instances[name].recipe.id in self.lookup.undone.stages for name in owners)
        return any(shard.unsplit for shard in self.shards) or any(
            (c.kept & (~c.sure | self._open(c, {decision.of, *decision.reads}))).any() for c in clips
        )


def _segments(waves: Sequence[Wave]) -> list[list[Wave]]:
    """Waves in runs that end at a dedup, for a dedup looks at all clips at once."""
    segments: list[list[Wave]] = [[]]
    for wave in waves:
        segments[-1].append(wave)
        if any(isinstance(d, Deduplication) for d in wave.decisions):
            segments.append([])
    return segments
