"""Moves shards through their waves, several at once, so that no worker waits for a slow one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vbuild.executor.work import Done, Work

if TYPE_CHECKING:
    from vbuild.build.ledger import Ledger
    from vbuild.executor.local import Executor

Steps = Generator[list[Work], None, None]
"""A shard on its way: it yields works, and goes on when they are done and committed."""


@dataclass
class Drive:
    """Feeds one executor with the works of shards."""

    workers: Executor
    ledger: Ledger
    note: Callable[[Done], None]
    """Called with what each work left."""
    queue: deque[tuple[int, Work]] = field(default_factory=deque)
    left: dict[int, int] = field(default_factory=dict)
    """Shard → its works that are not done."""
    flying: int = 0

    def run(self, shards: Sequence[Steps]) -> None:
        """Takes every shard to its end."""
        waiting = deque(range(len(shards)))
        while waiting or self.left:
            while waiting and len(self.queue) < self.workers.ahead:
                self._advance(waiting[0], shards[waiting.popleft()])
            while self.queue and self.flying < self.workers.ahead:
                self.workers.submit(*self.queue.popleft())
                self.flying += 1
            if self.flying:
                shard = self._collect()
                if not self.left[shard]:
                    del self.left[shard]
                    self.ledger.commit()
                    self._advance(shard, shards[shard])

    def _advance(self, number: int, shard: Steps) -> None:
        """Takes a shard to its next works, or to its end."""
        for works in shard:
            if works:
                self.left[number] = len(works)
                self.queue.extend((number, work) for work in works)
                return

    def _collect(self) -> int:
        """Waits for a work, holds what it left, and returns its shard."""
        shard, done = self.workers.next()
        self.flying -= 1
        self.left[shard] -= 1
        self.ledger.take(done)
        self.note(done)
        return shard
