"""Moves videos through the waves of a plan or a build, in shards, so that a slow wave idles nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from vbuild import digest
from vbuild.engine.judge import count_places, decide, judge
from vbuild.engine.ledger import Ledger
from vbuild.engine.segments import segments
from vbuild.errors import StageError
from vbuild.executor.protocol import Needs
from vbuild.plan.items import Items, State
from vbuild.plan.order import Wave, together
from vbuild.report import Progress
from vbuild.stops import undisturbed
from vbuild.store.keyed import firsts
from vbuild.values import value_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vbuild.engine.schedule import Steps
    from vbuild.engine.session import Session, Shard, Watch
    from vbuild.executor.protocol import Executor
    from vbuild.executor.work import Done
    from vbuild.plan.wiring import Instance


def walk(session: Session, watch: Watch) -> None:
    """Source → split → waves: everything but the dataset. `watch` is told whenever results come in.

    In a plan nothing runs.
    """
    session.shards = session.sharded()
    results = {i.recipe.id: session.shelf.results(name) for name, i in session.shelf.instances.items()}
    for result in results.values():
        result.check()
    build, config = session.build, session.config
    workers = None if build is None else config.executor.start(session.blobs, build, config.limits)
    way = _Way(session, workers, watch)
    partial = {instance.recipe.id for instance in session.shelf.instances.values() if instance.stage.partial}
    ledger = Ledger(results, session.failures, retried=session.lookup.retry != "never", partial=partial)
    try:
        for number, segment in enumerate(segments(session.order, workers)):
            if segment.turn and workers is not None:
                workers.release()
            steps = [way.steps(shard, segment.waves, first=number == 0) for shard in session.shards]
            way.schedule(steps, ledger)
            for decision in segment.waves[-1].decisions if segment.waves else ():
                if together(decision):
                    decide(session, decision, workers)
        count_places(session)
    finally:
        with undisturbed():
            if workers is not None:
                workers.close()
            ledger.commit()
    if build is not None:
        for result in results.values():
            result.compact()
        session.failures.compact()


@dataclass
class _Way:
    """The way of the shards of a session. Without workers it is a plan's, on which nothing runs."""

    session: Session
    workers: Executor | None
    watch: Watch

    def __post_init__(self) -> None:
        self.lanes = 1 if self.workers is None else -(-self.workers.room(Needs()) // 2)
        """How many passes can run at once."""

    def steps(self, shard: Shard, waves: Sequence[Wave], *, first: bool) -> Steps:
        """A shard's way to the end of a segment."""
        if first:
            yield from self._split(shard)
        assert shard.clips is not None
        for wave in waves:
            yield from self._run(shard.clips, wave.stages)
            judge(self.session, shard.clips, wave.decisions)

    def _split(self, shard: Shard) -> Steps:
        """Probes the videos, runs the stages of whole videos, and cuts each into clips."""
        videos = shard.videos
        yield from self._run(videos, [self.session.order.probe])
        state = videos.states(self.session.order.probe.name)
        videos.kept = state != State.FAILED
        videos.sure = state == State.DONE
        for wave in self.session.order.video:
            yield from self._run(videos, wave.stages)
        yield from self._run(videos, [self.session.order.split])
        shard.unsplit = int(np.isin(videos.states(self.session.order.split.name), (State.MISSING, State.UNKNOWN)).sum())
        shard.clips = self._clips(videos)

    def _clips(self, videos: Items) -> Items:
        """The clips of videos that are split, in order of their videos, then of time."""
        split = self.session.order.split.name
        rows = np.flatnonzero(videos.states(split) == State.DONE)
        spans = self.session.shelf.take(videos, split, [value_column("start_pts"), value_column("end_pts")], rows)
        start, end = (spans[name].combine_chunks() for name in spans.column_names)
        counts = start.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        place = np.repeat(rows, counts)
        starts, ends = start.flatten().to_numpy(), end.flatten().to_numpy()
        if (starts >= ends).any():
            raise StageError(
                f"split={self.session.order.split.recipe.stage}: it wrote a clip that ends before it starts"
            )
        probed = self.session.shelf.take(videos, "probe", ["stream", "time_base_num", "time_base_den"], rows)
        stream, *base = (column.to_numpy() for column in probed.columns)
        bases = np.repeat(np.stack(base, axis=1), counts, axis=0)
        ids = digest.clip_ids(videos.ids[place], np.repeat(stream, counts), starts, ends, bases)
        clips = Items(ids, videos, place, starts, ends)
        keep = firsts(clips.index)
        if len(keep) == len(ids):
            return clips
        return Items(ids[keep], videos, place[keep], starts[keep], ends[keep])

    def _run(self, items: Items, wave: Sequence[Instance]) -> Steps:
        """Looks a wave's actions up, has those run that are missing, and takes what the store then answers."""
        missing = {instance.name: self.session.lookup.look(items, instance) for instance in wave}
        if self.session.build is None or not any(len(rows) for rows in missing.values()):
            return
        from vbuild.engine.schedule import Step  # which bring the decoders that a plan has no use for
        from vbuild.engine.tasks import tasks

        own = {name: rows[items.actions[name].own[rows]] for name, rows in missing.items()}
        self.session.wanted.update({name: len(rows) for name, rows in own.items()})
        yield Step(list(tasks(items, own, wave, self.session.shelf, self.lanes)), self._awaited(items, wave, missing))
        for instance in wave:
            self.session.lookup.settle(items, instance)

    def _awaited(
        self, items: Items, wave: Sequence[Instance], missing: Mapping[str, np.ndarray]
    ) -> frozenset[tuple[str, bytes]]:
        """Of the actions that are missing those that somebody asked for before."""
        return frozenset(
            (instance.recipe.id, bytes(key))
            for instance in wave
            for rows in [missing[instance.name]]
            for key in items.actions[instance.name].keys[rows[~items.actions[instance.name].own[rows]]].tolist()
        )

    def schedule(self, steps: Sequence[Steps], ledger: Ledger) -> None:
        """Moves all shards along; in a plan they never have tasks."""
        if self.workers is None:
            for shard in steps:
                for _ in shard:
                    raise AssertionError("a plan runs nothing")
        else:
            from vbuild.engine.schedule import Scheduler

            session = self.session
            assert session.build is not None
            undone = session.lookup.undone
            scheduler = Scheduler(
                self.workers, ledger, session.config.failures, self._note, session.blobs, session.build, undone
            )
            scheduler.run(steps)
            ledger.commit()
            for instance in self.session.shelf.instances.values():
                if instance.recipe.id in scheduler.loads:
                    self.session.shelf.actions.notes(instance.recipe).loaded(scheduler.loads[instance.recipe.id])

    def _note(self, done: Done, oldest: str) -> None:
        """Counts what a task left, and says how far its stages are."""
        told: set[str] = set()
        for recipe, table in done.tables:
            askers = self.session.lookup.askers(recipe, table["key"].to_pylist())
            for name, ran in askers.items():
                count = self.session.lookup.count(name)
                count.ran += ran
                count.seconds += pc.sum(table["seconds"]).as_py() * ran / len(table)
            told |= askers.keys()
        for failure in done.failures:
            askers = self.session.lookup.askers(failure.recipe, [failure.key])
            self.session.failed += askers
            told |= askers.keys()
        failed, wanted = self.session.failed, self.session.wanted
        for name in told:
            self.watch(Progress(name, self.session.lookup.count(name).ran, failed[name], wanted[name], oldest))
