"""Moves shards through their waves, several at once, so that no worker waits for a slow one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from vbuild.config import SETTLED
from vbuild.errors import TooManyFailuresError
from vbuild.executor.faults import Failure
from vbuild.executor.work import Done
from vbuild.plan.undone import Undone
from vbuild.secrets import masked
from vbuild.source.identity import CHANGED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.config import Failures
    from vbuild.engine.ledger import Ledger
    from vbuild.executor.local import Executor
    from vbuild.executor.work import Action, Task
    from vbuild.store.failures import Failed


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
    """Feeds one executor with the tasks of shards."""

    workers: Executor
    ledger: Ledger
    policy: Failures
    note: Callable[[Done], None]
    """Called with what each task left."""
    queue: deque[Queued] = field(default_factory=deque)
    left: dict[int, int] = field(default_factory=dict)
    """Shard → its tasks that are not done."""
    awaits: dict[int, frozenset[Action]] = field(default_factory=dict)
    """Shard → what others do for it."""
    open: set[Action] = field(default_factory=set)
    """Actions that were asked for and are not done."""
    flying: dict[int, Queued] = field(default_factory=dict)
    tickets: Iterator[int] = field(default_factory=count)
    undone: Undone = field(default_factory=Undone)
    ran: int = 0
    failed: int = 0

    def run(self, shards: Sequence[Steps]) -> None:
        """Takes every shard to its end. Raises TooManyFailuresError."""
        waiting = deque(range(len(shards)))
        while waiting or self.left:
            while waiting and len(self.queue) < self.workers.ahead:
                self._advance(waiting[0], shards[waiting.popleft()])
            self._submit()
            if self.flying:
                self._collect()
            elif self.queue:
                time.sleep(max(0.0, min(queued.due for queued in self.queue) - time.monotonic()))
            for shard in [n for n, tasks in self.left.items() if not tasks and self.awaits[n].isdisjoint(self.open)]:
                del self.left[shard]
                self.ledger.commit()
                self._advance(shard, shards[shard])

    def _advance(self, number: int, shard: Steps) -> None:
        """Takes a shard to its next step, or to its end."""
        for step in shard:
            self.open |= {action for task in step.tasks for action in task.actions()}
            if step.tasks or not step.awaits.isdisjoint(self.open):
                self.left[number], self.awaits[number] = len(step.tasks), step.awaits
                self.queue.extend(Queued(number, task) for task in step.tasks)
                return

    def _submit(self) -> None:
        """Gives the executor what it likes to hold of what is due."""
        for _ in range(len(self.queue)):
            if len(self.flying) >= self.workers.ahead:
                return
            queued = self._unstopped(self.queue.popleft())
            if queued is None:
                continue
            if queued.due > time.monotonic():
                self.queue.append(queued)
                continue
            if not self.workers.fits(queued.task):
                self.queue.appendleft(queued)
                return
            ticket = next(self.tickets)
            self.flying[ticket] = queued
            self.workers.submit(ticket, queued.task)

    def _unstopped(self, queued: Queued) -> Queued | None:
        """What is left of a queued without the stages that have stopped; None for nothing."""
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
        """Waits for a task and holds what it left."""
        ticket, done = self.workers.next()
        queued = self.flying.pop(ticket)
        stale = queued.task.stale()
        if stale:  # what came of it would stand under another file's key
            done = Done(failures=queued.task.failed(Failure("SourceError", f"{queued.task.uri}: {CHANGED}", "source")))
        again = {(f.recipe, f.key) for f in done.failures if queued.attempt < self._tries(f) and not stale}
        if again:
            due = time.monotonic() + self.policy.backoff * 2 ** (queued.attempt - 1)
            self.queue.append(Queued(queued.shard, queued.task.only(again), queued.attempt + 1, due))
        else:
            self.left[queued.shard] -= 1
        self.open -= queued.task.actions() - again
        final = [
            replace(f, attempts=queued.attempt, message=masked(f.message), trace=masked(f.trace))
            for f in done.failures
            if (f.recipe, f.key) not in again
        ]
        done.failures = [f for f in final if f.kind in ("item", "program")]
        for left in (f for f in final if f not in done.failures):
            self.undone.take(left)
        self.ledger.take(done)
        self.note(done)
        self._judge(done)

    def _tries(self, failed: Failed) -> int:
        """How often an action is tried that failed so: twice at least before a stage is stopped."""
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
