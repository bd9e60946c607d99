"""Finds the near-duplicate pairs that are not known yet: what is new against all, never old against old."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbuild.digest import keys_of
from vbuild.near.centroids import PER, sampled
from vbuild.near.chores import SAMPLE, Join, Learn, Sketch, Tile, Visit
from vbuild.near.ground import PARTS, Ground
from vbuild.near.kernel import STRIPE, TILE, fastest, width_for
from vbuild.store.keyed import Index
from vbuild.store.sketches import Learned, Sketches
from vbuild.values import digest_column, value_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from vbuild.near.chores import Chore
    from vbuild.store.actions import Results
    from vbuild.store.pairs import Pairs

    Run = Callable[[Sequence[Chore]], Iterator[pa.Table]]
    """Has workers do chores, and gives what each left as it comes."""

    Find = Callable[["Comparison"], Iterator[pa.Table]]
    """Gives the pairs that are to be found, by rows, with their similarities."""

MANY = 32_768
"""Vectors of which sketches are kept, and partitions made."""

PARTITION = 128
"""Vectors of a partition, about; it costs more to find it than to compare so many."""

MOST = 8192
"""Partitions: their borders are as many times as many, and are held."""

GROWN = 4
"""How many times as many vectors there are when they are parted anew."""

NARROW = 0.1
"""The share of pairs that partitions may leave, by a sample, which sees a third of it; more costs as much as all."""

CROWD = 16
"""New vectors for each partition from which on borders are asked partition by partition, and not vector by vector."""

VISITS = 2048
"""New vectors, of few, that a worker compares in one go at least."""

SHORT = 0.2
"""Of that share, what is worth it where short floats are multiplied: all of them cost less, and to choose costs as
much. Of 100 000 dense vectors of which a sample left 0.09, partitions took 30 times as long as all."""

COMMIT = 500_000
"""Pairs that are committed at once, where so many come."""

STEP, STEPS = 16_384, 16
"""Rows that a worker sketches in one go at least, and into how many chores so many are parted: each leaves margins."""

PARTED = 32
"""Into how many chores a comparing is parted: many to a worker, so that none idles at the end."""


@dataclass(frozen=True)
class Uncompared:
    """What of some vectors is yet to be compared, and with how many others."""

    new: int
    known: int


def uncompared(pairs: Pairs, wanted: np.ndarray, reach: float) -> Uncompared:
    """How many of the vectors `wanted`, digests (n,) V16 each once, were not compared up to `reach`."""
    compared = pairs.compared(reach).index
    return Uncompared(len(_without(wanted, compared)), len(compared.keys))


@dataclass(frozen=True)
class Comparison:
    """What is to be compared: those of `ids` that are new, the first ones, with all."""

    work: Path
    """An empty folder, for what is made on the way."""
    shelf: Path
    """The folder of the recipe's pairs, for what the next comparison may find again."""
    results: Results
    ids: np.ndarray
    """Digests (n,) V16, each once, of what is in the store."""
    places: np.ndarray
    """Where they stand among the results, int64 (n,)."""
    fresh: int
    """How many are new."""
    reach: float
    run: Run


def complete(
    pairs: Pairs, results: Results, wanted: np.ndarray, reach: float, run: Run, find: Find | None = None
) -> Uncompared:
    """Puts all pairs within `reach` among what is `wanted` into the store. These are digests (n,) V16, each once.

    What was compared before is compared with the new only, never with each other. What is no longer in the store cannot
    be, so it counts as never compared should it come back. `find` gives the pairs, by default those of vectors.
    Says what there was to be done.
    """
    compared = pairs.compared(reach)
    new = _without(wanted, compared.index)
    told = Uncompared(len(new), len(compared.index.keys))
    if not len(new):
        return told
    with pairs.held() as work:
        if not pairs.is_newest(compared):  # another build has been at it
            compared = pairs.compared(reach)
            new = _without(new, compared.index)
        if len(new):
            some = _comparison(pairs, results, new, compared.index.keys, reach, run, work)
            for table in _gathered((find or near_vectors)(some)):
                a, b, similarity = (table[name].to_numpy() for name in table.column_names)
                pairs.add(some.ids[a], some.ids[b], similarity)
            pairs.mark(some.ids[: some.fresh], reach)
    return told


def _comparison(
    pairs: Pairs, results: Results, new: np.ndarray, compared: np.ndarray, reach: float, run: Run, work: Path
) -> Comparison:
    """Of new digests, and of those that were compared, what is in the store; the others are forgotten."""
    ids = np.concatenate([new, compared])
    places = places_of(results, ids)
    pairs.forget(compared[places[len(new) :] < 0])
    first = np.argsort(places[: len(new)], kind="stable")  # what stands together is read together
    order = np.concatenate([first, np.arange(len(new), len(ids))])
    order = order[places[order] >= 0]
    fresh = int((places[first] >= 0).sum())
    return Comparison(work, pairs.folder, results, ids[order], places[order], fresh, reach, run)


def near_vectors(some: Comparison) -> Iterator[pa.Table]:
    """The pairs of vectors within reach."""
    shelf = some.shelf / "sketches" if len(some.ids) >= MANY else None
    ground = place_vectors(some.work, some.results, some.places, fresh=some.fresh, reach=some.reach, shelf=shelf)
    return compare(ground, some.ids, some.run)


def place_vectors(
    work: Path, results: Results, places: np.ndarray, *, fresh: int = 0, reach: float = 0.0, shelf: Path | None = None
) -> Ground:
    """The vectors that stand at some places of the results, the first of them new, for chores that work in a folder."""
    assert results.dataset is not None
    column = value_column("")
    size = results.schema.field(column).type.list_size
    np.save(work / "places.npy", places)
    where = str(results.dataset.uri), int(results.dataset.version)
    shelf = work / "sketches" if shelf is None else shelf
    return Ground(work, shelf, *where, column, len(places), fresh, size, width_for(reach, size), reach)


def places_of(results: Results, ids: np.ndarray) -> np.ndarray:
    """Where digests (n,) V16 stand among results, int64 (n,), the first of each; -1 for one that is not there."""
    results.refresh()
    held = results.take(np.arange(len(results)), [digest_column("")])[digest_column("")]
    return Index(keys_of(held)).find(ids)


def _without(wanted: np.ndarray, known: Index) -> np.ndarray:
    """Those that are not among others."""
    return wanted[known.find(wanted) < 0] if len(known.keys) else wanted


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables, each worth a commit."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= COMMIT:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def compare(ground: Ground, ids: np.ndarray, run: Run) -> Iterator[pa.Table]:
    """The pairs of rows within reach of which one at least is new, some at a time. `ids`: the rows' digests."""
    sketches = Sketches(ground.shelf)
    learned = _learned(ground, ids, sketches, run)
    ground = replace(ground, width=learned.width)
    at, missing = sketches.places(ids, learned.width)
    np.save(ground.work / "at.npy", at)
    for _ in run([Sketch(ground, rows) for rows in _stepped(missing)]):
        sketches.border(ground.work.glob("margins-*.npy"))
    if len(missing):
        sketches.keep(ids[missing])
    yield from run(_joins(ground) if learned.narrow else _tiles(ground))


def _learned(ground: Ground, ids: np.ndarray, sketches: Sketches, run: Run) -> Learned:
    """By what sketches are made, of these vectors or of former ones; those that do not suit go."""
    learned = sketches.learned()
    if learned is not None and ground.reach <= learned.reach and len(ids) < GROWN * learned.count:
        return learned
    sketches.empty()
    many = len(ids) >= MANY and fastest() != "cuda"  # which compares all sooner than it parts them
    count = min(len(ids) // PARTITION, MOST) if many else 0
    share = 1.0
    if count or ground.width < ground.size:
        rows = sampled(ids, max(PER * count, SAMPLE))
        share = min(table["share"][0].as_py() for table in run([Learn(ground, rows, count)]))
    else:
        np.save(ground.shelf / "basis.npy", np.eye(ground.size))
    most = NARROW if fastest() == "numpy" else NARROW * SHORT
    learned = Learned(ground.width, ground.reach, len(ids), share, narrow=bool(count) and share <= most)
    sketches.note(learned)
    return learned


def _stepped(rows: np.ndarray) -> list[np.ndarray]:
    step = max(STEP, -(-len(rows) // STEPS))
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _tiles(ground: Ground) -> list[Chore]:
    """The new rows against all."""
    height = STRIPE * TILE[0]
    step = -(-ground.fresh // (PARTED * height)) * height
    return [Tile(ground, start, min(start + step, ground.fresh)) for start in range(0, ground.fresh, step)]


def _joins(ground: Ground) -> list[Chore]:
    """The new rows of each partition against those of others, or each of few new ones; where rows stand is noted."""
    parts = np.memmap(ground.shelf / PARTS, np.int32, "r")[ground.at].astype(np.uint16)  # which are quick to sort
    count = len(ground.kept("centroids"))
    order = np.argsort(parts, kind="stable").astype(np.int32)
    np.save(ground.work / "order.npy", order)
    np.save(ground.work / "starts.npy", np.cumsum([0, *np.bincount(parts, minlength=count).tolist()]))
    if ground.fresh < CROWD * count:
        step = max(-(-ground.fresh // PARTED), VISITS)
        return [Visit(ground, at, min(at + step, ground.fresh)) for at in range(0, ground.fresh, step)]
    new = np.bincount(parts[: ground.fresh], minlength=count)
    with_new = np.flatnonzero(new)
    groups = np.cumsum(new[with_new]) // max(ground.fresh // PARTED, PARTITION)
    borders = np.flatnonzero(np.diff(groups)) + 1
    return [Join(ground, tuple(some.tolist())) for some in np.split(with_new, borders)]
