"""Who is to blame where a process dies: what it had in hand is done again by itself, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from joblib.externals.loky.process_executor import BrokenProcessPool

from vbuild.executor import host, pool
from vbuild.executor.faults import Failure
from vbuild.executor.work import Batch, Done, Task, together

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from vbuild.config import Limits
    from vbuild.stage import Stage

T = TypeVar("T", Batch, Task)


class Solo:
    """A pool of one process, made anew whenever that dies."""

    def __init__(
        self, make: Callable[[], pool.Pool], notes: Path, limits: Limits, died: Callable[[], None] = lambda: None
    ) -> None:
        """`notes`: where the process leaves what it was at. `died` is called between its death and the next."""
        self.make, self.notes, self.limits, self.died = make, notes, limits, died
        self.pool = make()
        self.lost: dict[str, Failure] = {}
        """Recipe → why its model cannot be loaded."""

    def result(self, begin: Callable[[pool.Pool], Future[Done]]) -> Done | Failure:
        """What comes of a call in the process, or of what it died."""
        try:
            return begin(self.pool).result()
        except BrokenProcessPool as error:
            why = pool.blamed(self.notes, error, self.limits)
        self.renew()
        return why

    def unloadable(self, recipe: str, stage: Stage, tries: int = pool.TRIES) -> Failure | None:
        """Why no process can load a model, if so many die of it. No clip is to blame for that, and no limit holds."""
        for _ in range(tries) if recipe not in self.lost else ():
            try:
                self.pool.submit(host.load_model, recipe, stage).result()
            except BrokenProcessPool as error:
                why = pool.unloadable(self.notes, error, self.limits)
            else:
                return None
            self.renew()
            tries -= 1
            if not tries:
                self.lost[recipe] = why
        return self.lost.get(recipe)

    def renew(self) -> None:
        """Makes it anew."""
        self.close()
        self.died()
        self.pool = self.make()

    def close(self) -> None:
        """Ends it."""
        self.pool.shutdown(wait=True, kill_workers=True)


def blame(task: T, tried: Callable[[T], Done | Failure], left: Callable[[T], T] = lambda task: task) -> Done:
    """Does a task; if its process dies, its parts one by one, and what cannot be parted is to blame.

    `left`: what is yet to be done of a task whose process died.
    """
    done = tried(task)
    if not isinstance(done, Failure):
        return done
    rest = left(task)
    parts = rest.split()
    return together([blame(part, tried, left) for part in parts]) if len(parts) > 1 else lost(rest, done)


def lost(task: Batch | Task, why: Failure) -> Done:
    """All of a task as failed."""
    return task.failed(why) if isinstance(task, Batch) else Done(failures=task.failed(why))
