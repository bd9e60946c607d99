"""Moves shards through their waves, several at once, so that no worker waits for a slow one."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from vbuild.config import SETTLED
from vbuild.engine.batches import LINGER, Batches, Handed
from vbuild.errors import TooManyFailuresError
from vbuild.executor.faults import Failure, attempt
from vbuild.executor.perform import put_away
from vbuild.executor.protocol import Needs
from vbuild.executor.spool import LAST
from vbuild.executor.work import Batch, Done, Opening
from vbuild.plan.undone import Undone
from vbuild.secrets import masked
from vbuild.source.identity import CHANGED
from vbuild.store.actions import encode
from vbuild.store.failures import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    import pyarrow as pa

    from vbuild.config import FailurePolicy
    from vbuild.engine.ledger import Ledger
    from vbuild.executor.protocol import Executor
    from vbuild.executor.spool import Parcel
    from vbuild.executor.work import Action, Task
    from vbuild.stage import Stage
    from vbuild.store.blobs import Blobs


@dataclass(frozen=True)
class Step:
    """What a shard needs to be done before it goes on."""

    tasks: Sequence[Task]
    awaits: frozenset[Action] = frozenset()
    """Actions that other shards asked for before."""


Steps = Generator[Step, None, None]
"""A shard on its way: it goes on when a step is done and committed."""


@dataclass(frozen=True)
class Queued:
    """A task on its way."""

    shard: int
    task: Task
    attempt: int = 1
    due: float = 0.0
    """On the monotonic clock; an action whose failure may pass is tried again after a while."""


@dataclass
class Scheduler:
    """Feeds one executor with the tasks of shards, and models with what passes hand over."""

    workers: Executor
    ledger: Ledger
    policy: FailurePolicy
    note: Callable[[Done, str], None]
    """Called with what each task left, and the video that has been at work longest."""
    blobs: Blobs
    build: str
    undone: Undone = field(default_factory=Undone)
    queue: deque[Queued] = field(default_factory=deque)
    left: Counter[int] = field(default_factory=Counter)
    """Shard → its tasks, and the actions that they handed over, that are not done."""
    awaits: dict[int, frozenset[Action]] = field(default_factory=dict)
    """Shard → what others do for it; of every shard that is on its way."""
    open: set[Action] = field(default_factory=set)
    """Actions that were asked for and are not done."""
    flying: dict[int, Queued | Batch | Opening] = field(default_factory=dict)
    passing: int = 0
    """Of these, tasks."""
    stages: dict[str, Stage] = field(default_factory=dict)
    """Recipe → stage, of those whose models were sent for."""
    loads: dict[str, float] = field(default_factory=dict)
    """Recipe → seconds that its model took to load."""
    tickets: Iterator[int] = field(default_factory=count)
    ran: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        self.batches = Batches(self.workers.drop)

    def run(self, shards: Sequence[Steps]) -> None:
        """Takes every shard to its end. Raises TooManyFailuresError."""
        waiting = deque(range(len(shards)))
        while waiting or self.awaits or self.flying:
            while waiting and len(self.queue) < max(self.workers.room(Needs()), not self.flying):
                self._advance(waiting[0], shards[waiting.popleft()])
            self._submit()
            self._batch()
            if self.flying:
                self._collect()
            elif self.queue:
                time.sleep(max(0.0, min(queued.due for queued in self.queue) - time.monotonic()))
            for shard in [n for n, others in self.awaits.items() if not self.left[n] and others.isdisjoint(self.open)]:
                del self.awaits[shard]
                self.ledger.commit()
                self._advance(shard, shards[shard])

    @property
    def oldest(self) -> str:
        """The video of the task that was given away first, of those that are not done."""
        tickets = [ticket for ticket, what in self.flying.items() if isinstance(what, Queued)]
        first = self.flying[min(tickets)] if tickets else None
        return masked(first.task.uri) if isinstance(first, Queued) else ""

    def _advance(self, number: int, shard: Steps) -> None:
        """Takes a shard to its next step, or to its end."""
        for step in shard:
            self.open |= {action for task in step.tasks for action in task.actions()}
            if step.tasks or not step.awaits.isdisjoint(self.open):
                self.left[number], self.awaits[number] = len(step.tasks), step.awaits
                self.queue.extend(Queued(number, task) for task in step.tasks)
                self._send_for_models(step.tasks)
                return

    def _send_for_models(self, tasks: Sequence[Task]) -> None:
        """Has models loaded that will be wanted, while the footage is decoded."""
        for job in (job for task in tasks for job in task.jobs):
            if job.stage.hosted and job.recipe not in self.stages:
                self.stages[job.recipe] = job.stage
                self._give(Opening(job.recipe, job.stage))

    def _give(self, what: Queued | Batch | Opening) -> None:
        """Hands something to the executor."""
        ticket = next(self.tickets)
        self.flying[ticket] = what
        self.passing += isinstance(what, Queued)
        self.workers.submit(ticket, what.task if isinstance(what, Queued) else what)

    def _submit(self) -> None:
        """Gives the executor what it likes to hold of what is due."""
        full: set[bool] = set()
        for _ in range(len(self.queue)):
            queued = self._unstopped(self.queue.popleft())
            if queued is None:
                continue
            needs = queued.task.needs
            if queued.due > time.monotonic():
                self.queue.append(queued)
            elif needs.hosted in full or not self.workers.room(needs):
                full.add(needs.hosted)  # none of its kind may pass it by
                self.queue.append(queued)
            else:
                self._give(queued)

    def _batch(self) -> None:
        """Gives models what lies ready for them, as long as one takes it."""
        while self.batches.buckets and (room := self.workers.room(Needs(hosted=True))):
            idle = room > 1 or not any(isinstance(what, Batch | Opening) for what in self.flying.values())
            batch = self.batches.take(partial=idle and self._due())
            if batch is None:
                return
            self._give(batch)

    def _due(self) -> bool:
        """Whether a model that has nothing to do shall take a batch that is not full."""
        age = self.batches.age()
        return age is not None and (age >= LINGER or not self.passing or self.workers.pressed())

    def _unstopped(self, queued: Queued) -> Queued | None:
        """What is left of a task without the stages that have stopped; None for nothing."""
        stopped = [job for job in queued.task.jobs if job.recipe in self.undone.stages]
        if not stopped:
            return queued
        for job in stopped:
            for key in job.keys:
                self.undone.take(replace(self.undone.stages[job.recipe], key=key))
        gone = {(job.recipe, key) for job in stopped for key in job.keys}
        self.open -= gone
        rest = queued.task.only(queued.task.actions() - gone)
        if rest.jobs:
            return replace(queued, task=rest)
        self.left[queued.shard] -= 1
        return None

    def _collect(self) -> None:
        """Waits for what anybody left, and holds it."""
        came = self.workers.next(LINGER if self.batches.buckets else None)
        if came is None:
            return
        ticket, done = came
        what = self.flying.pop(ticket) if done.finished else self.flying[ticket]
        if isinstance(what, Opening):
            self.loads |= done.loads
        elif isinstance(what, Batch):
            self._answered(what, done)
        else:
            for parcel in done.parcels:
                self._handed(parcel, what)
            if done.finished:
                self._passed(what, done)

    def _handed(self, parcel: Parcel, queued: Queued) -> None:
        """Takes a parcel; with the last of an action that is answered already, the action is over."""
        self.left[queued.shard] += self.batches.add(parcel, self.stages[parcel.recipe], queued)
        if self.batches.handed[parcel.action].complete:
            self._finish({parcel.action}, Done())

    def _passed(self, queued: Queued, done: Done) -> None:
        """A task is over, but for what it has handed over."""
        self.passing -= 1
        self.left[queued.shard] -= 1
        if queued.task.stale():
            done = Done(failures=_changed(queued.task, self.open))
        for failed in done.failures:
            if self.batches.forget((failed.recipe, failed.key)):
                self.left[queued.shard] -= 1
        self.open -= queued.task.actions() - self.batches.handed.keys()
        self._take(done, dict.fromkeys(queued.task.actions(), queued))

    def _answered(self, batch: Batch, done: Done) -> None:
        """A batch is over: its actions are, unless other parts of them are yet to be answered."""
        self.batches.taken(batch)
        if done.cap is not None:
            self.batches.capped(batch, done.cap)
        for parcel, row in done.answers:
            handed = self.batches.handed.get(parcel.action)
            if handed is not None:
                handed.rows[parcel.part] = row
                handed.seconds += done.seconds / len(batch.parcels)
        self._finish({parcel.action for parcel in batch.parcels}, done)

    def _finish(self, actions: set[Action], done: Done) -> None:
        """Ends those of some handed actions that have all of their answers, or have failed."""
        failed = {(f.recipe, f.key) for f in done.failures}
        origins: dict[Action, Queued] = {}
        for action in actions & self.batches.handed.keys():
            handed = self.batches.handed[action]
            whole = action in failed or not handed.rows or handed.complete
            if not whole:
                continue
            if handed.complete and action not in failed:
                self._join(action, handed, done)
            self.batches.forget(action)
            origins[action] = handed.origin
            self.left[handed.origin.shard] -= 1
        for task in {id(origin): origin.task for origin in origins.values()}.values():
            if task.stale():
                changed = _changed(task, origins.keys())
                _strike(done, {(f.recipe, f.key) for f in changed})
                done.failures += changed
        self.open -= origins.keys()
        self._take(done, origins)

    def _join(self, action: Action, handed: Handed, done: Done) -> None:
        """The row of an action whose parts are all answered; beside it, the first that failed."""
        parts = [handed.rows[n] for n in sorted(handed.rows)]
        done.failures += [part for part in parts if isinstance(part, Failed)][:1]

        def table() -> pa.Table:
            left, lost = self.workers.value(handed.lying[LAST])
            row = handed.stage.join(left, [None if isinstance(part, Failed) else part for part in parts])
            rows = [put_away(row, self.blobs)]
            seconds, build = handed.seconds, self.build
            return encode(handed.stage, rows, keys=[action[1]], warnings=[lost], seconds=seconds, build=build)

        made = attempt(table)
        if isinstance(made, Failure):
            done.failures.append(made.of(handed.stage, *action, handed.item))
        else:
            done.tables.append((action[0], made))

    def _take(self, done: Done, origins: Mapping[Action, Queued]) -> None:
        """Holds what is done; what failed is tried again if it may be. `origins`: of what task each action is."""
        again: dict[int, tuple[Queued, set[Action]]] = {}
        final = []
        # of an action that failed by several parts, the first; not of one that had failed before
        for failed in {(f.recipe, f.key): f for f in reversed(done.failures)}.values():
            origin = origins.get((failed.recipe, failed.key))
            if origin is None:
                continue
            if origin.attempt < self._tries(failed):
                again.setdefault(id(origin), (origin, set()))[1].add((failed.recipe, failed.key))
            else:
                said = masked(failed.message), masked(failed.trace)
                final.append(replace(failed, attempts=origin.attempt, message=said[0], trace=said[1]))
        for origin, actions in again.values():
            due = time.monotonic() + self.policy.backoff * 2 ** (origin.attempt - 1)
            self.queue.append(Queued(origin.shard, origin.task.only(actions), origin.attempt + 1, due))
            self.left[origin.shard] += 1
            self.open |= actions
            _strike(done, actions)
        done.failures = [f for f in final if f.kind in ("item", "program")]
        for left in (f for f in final if f not in done.failures):
            self.undone.take(left)
        self._stop()
        self.ledger.take(done)
        self.note(done, self.oldest)
        self._judge(done)

    def _stop(self) -> None:
        """Takes back what was handed over for stages that have stopped."""
        for action in [action for action in self.batches.handed if action[0] in self.undone.stages]:
            handed = self.batches.forget(action)
            assert handed is not None
            self.undone.take(replace(self.undone.stages[action[0]], key=action[1], item=handed.item))
            self.left[handed.origin.shard] -= 1
            self.open.discard(action)

    def _tries(self, failed: Failed) -> int:
        """How often an action is tried that failed so: twice at least before a stage is stopped."""
        hosted = failed.kind == "place" and failed.recipe in self.stages  # where it was tried twice
        if hosted or failed.message.endswith(CHANGED):
            return 1
        if failed.kind in ("place", "source"):
            return 1 if failed.recipe in self.undone.stages else max(self.policy.attempts, 2)
        return self.policy.attempts if failed.passing else 1

    def _judge(self, done: Done) -> None:
        """Ends a build in which too much fails."""
        self.failed += len(done.failures)
        self.ran += len(done.failures) + sum(len(table) for _, table in done.tables)
        over = self.policy.exceeded(self.failed, self.ran if self.ran >= SETTLED else None)
        if over is not None:
            raise TooManyFailuresError(f"{over}; the build ends here, what was done is kept")


def _changed(task: Task, actions: Set[Action]) -> list[Failed]:
    """Those of a task's actions as failed, whose file is not what it was: results would stand under another's key."""
    return task.failed(Failure("SourceError", f"{task.uri}: {CHANGED}", "source"), actions)


def _strike(done: Done, actions: Set[Action]) -> None:
    """Takes away what is known of some actions."""
    for action in actions:
        done.tables = [
            (recipe, table if recipe != action[0] else table.filter(pc.not_equal(table["key"], action[1])))
            for recipe, table in done.tables
        ]
    done.tables = [(recipe, table) for recipe, table in done.tables if len(table)]
    done.failures = [f for f in done.failures if (f.recipe, f.key) not in actions]
