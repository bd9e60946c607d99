"""Has an executor do what is of a dataset as a whole, when nothing else is on its way."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from vbuild.errors import PlaceError, StageError
from vbuild.executor.work import Errand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from vbuild.executor.protocol import Executor
    from vbuild.near.chores import Chore


def errands(workers: Executor, name: str, chores: Sequence[Chore]) -> Iterator[pa.Table]:
    """What each chore left, as it comes; of one that left a rest, that is done too.

    Raises PlaceError or StageError for one that cannot be done. `name`: of the decision that it is for.
    """
    waiting = deque(map(Errand, chores))
    flying: set[int] = set()
    tickets = count()
    while waiting or flying:
        while waiting and (workers.room(waiting[0].needs) or not flying):
            ticket = next(tickets)
            flying.add(ticket)
            workers.submit(ticket, waiting.popleft())
        came = workers.next()
        if came is None:
            continue
        ticket, done = came
        flying.discard(ticket)
        if done.fault is not None:
            raise (PlaceError if done.fault.kind == "place" else StageError)(f"{name}: {done.fault.message}")
        assert done.made is not None
        if done.made.rest is not None:
            waiting.appendleft(Errand(done.made.rest))
        yield done.made.table
