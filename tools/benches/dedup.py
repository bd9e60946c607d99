"""Near-duplicate pairs of vectors, against all products in float32, clusters as NeMo Curator makes them, and faiss.

10 000 and 100 000 vectors are compared; VBUILD_BENCH_VECTORS=1000000 names other sizes, VBUILD_BENCH_KINDS and
VBUILD_BENCH_REACHES some of the sets and of the reaches. Every comparing runs in a process of its own, of one thread;
what libraries take to be loaded is left out. What is marked "scaled" was measured on some rows against all, and
multiplied.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import lance
import numpy as np
import pyarrow as pa

from benches.measure import Measure, cpu
from vbuild.decisions.compare import complete
from vbuild.digest import column_of, keys_of
from vbuild.near import kmeans
from vbuild.near.centroids import PER, ROUNDS, parted, sampled, unit
from vbuild.near.kernel import fastest, products, threshold
from vbuild.recipes import recipe
from vbuild.stage import Stage, outputs
from vbuild.store.actions import Results, schema
from vbuild.store.lance_io import open_dataset
from vbuild.store.pairs import Pairs
from vbuild.store.sketches import Sketches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vbuild.near.chores import Chore


def knob(name: str, otherwise: str) -> list[str]:
    return os.environ.get(f"VBUILD_BENCH_{name}", otherwise).replace(" ", "").split(",")


MILLION = 1_000_000
SIZES = [int(size) for size in knob("VECTORS", "10000,100000")]
KINDS = knob("KINDS", "planted,dense")
SIZE = 768
GOALS = {0.05: 0.06, 0.10: 0.15}
"""Reach → the share of all products that it may cost: the lesser where partitions narrow, the greater there, and where
the processor knows bfloat16. Of 10 000 all products cost no more than to open a store and write to it."""

NARROW = 0.02
"""The share of pairs, by a sample, that partitions leave where they narrow. Of sets that leave more, to part them is
still cheaper than all sketches in float32."""

REACHES = [float(reach) for reach in knob("REACHES", "0.05,0.10")]
SECONDS = {0.05: 480.0, 0.10: 600.0}
"""Reach → CPU seconds of two cores that a million may take, over two."""

CLUSTER, PLANTED = 200, 0.1
CHECKED, NEW = 2000, 1000
BLOCK = 20_000
GIB = 1 << 30


def measures() -> Iterator[Measure]:
    """All sizes and sets that are asked for."""
    for n in SIZES:
        for kind in KINDS:
            with tempfile.TemporaryDirectory(prefix="vbuild-bench-") as folder:
                yield from of_size(Stored(Path(folder), kind, n))


@dataclass(frozen=True, kw_only=True)
class Embedded(Stage):
    """What writes such vectors."""

    version: ClassVar[int] = 1
    phase: ClassVar = "embed"
    of: str = "float32"

    @property
    def writes(self) -> dict[str, str]:
        return {"": f"vector[{SIZE}, {self.of}]"}


@dataclass(frozen=True)
class Stored:
    """Vectors in a Lance dataset, as a stage's results are stored."""

    folder: Path
    kind: str
    n: int
    """How many are compared; so many as `NEW` stand behind them."""

    @property
    def stage(self) -> Embedded:
        return Embedded(of=self.type)

    @property
    def type(self) -> str:
        return "float16" if self.n >= MILLION else "float32"

    @property
    def path(self) -> Path:
        return self.folder / "vectors.lance"

    def write(self) -> np.ndarray:
        """Writes them block by block; returns pairs that were planted, int (m, 2)."""
        random = np.random.default_rng(self.n)
        make = Groups(self.n, random) if self.kind == "planted" else Spectrum(self.n, random)
        planted = []
        shape = schema(outputs(self.stage))
        every = self.n + NEW
        for start in range(0, every, BLOCK):
            rows = min(BLOCK, every - start)
            vectors, near = make.block(rows)
            planted.append((near + start)[(near + start < self.n).all(axis=1)])
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(self.type).reshape(-1)), SIZE)
            keys = column_of(random.integers(0, 2**63, (rows, 2)).view("V16").reshape(-1))
            given = {"key": keys, "value": column, "digest__value": keys}
            table = pa.table([given.get(f.name, pa.nulls(rows, f.type)) for f in shape], schema=shape)
            lance.write_dataset(table, str(self.path), mode="append" if start else "create")
        return np.concatenate(planted)

    def results(self) -> Results:
        return Results(self.path, recipe(self.stage), outputs(self.stage))

    def digests(self) -> np.ndarray:
        """Those of all, and of the new ones behind them."""
        return keys_of(lance.dataset(str(self.path)).to_table(columns=["digest__value"])["digest__value"])

    def rows(self, rows: list[int] | range) -> np.ndarray:
        """Some of them, at length one: float64."""
        taken = lance.dataset(str(self.path)).take(list(rows), columns=["value"])["value"].combine_chunks()
        return unit(taken.flatten().to_numpy().reshape(-1, SIZE))

    def blocks(self) -> Iterator[np.ndarray]:
        """All of them at length one, float32, some at a time."""
        for start in range(0, self.n, BLOCK):
            yield self.rows(range(start, min(start + BLOCK, self.n))).astype(np.float32)


class Groups:
    """Groups of 200 with a cosine of 0.5 within, and a tenth that are nearly another vector."""

    def __init__(self, n: int, random: np.random.Generator) -> None:
        self.random = random
        self.middles = unit(random.standard_normal((max(n // CLUSTER, 1), SIZE), np.float32)).astype(np.float32)

    def block(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        noise = unit(self.random.standard_normal((n, SIZE), np.float32)).astype(np.float32)
        found = unit(self.middles[self.random.integers(len(self.middles), size=n)] + noise)
        copies = self.random.permutation(n)[: int(PLANTED * n)]
        sources = self.random.integers(n, size=len(copies))
        sources = np.where(np.isin(sources, copies), copies, sources)
        copies, sources = copies[sources != copies], sources[sources != copies]
        cosine = self.random.uniform(0.9, 0.999, (len(copies), 1))
        away = self.random.standard_normal((len(copies), SIZE))
        away = unit(away - np.einsum("nd,nd->n", away, found[sources])[:, None] * found[sources])
        found[copies] = cosine * found[sources] + np.sqrt(1 - cosine**2) * away
        return found, np.stack([copies, sources], axis=1)


class Spectrum:
    """As embeddings of networks lie: a spectrum that falls, a mean that all share, groups with a cosine of 0.76."""

    def __init__(self, n: int, random: np.random.Generator) -> None:
        self.random = random
        self.scale = (np.arange(1, SIZE + 1) ** -0.7).astype(np.float32)
        self.scale /= np.linalg.norm(self.scale)
        self.mean = self._some(1) * np.float32(0.27**0.5)
        self.middles = self._some(max(n // CLUSTER, 1)) * np.float32(0.49**0.5)

    def _some(self, n: int) -> np.ndarray:
        return self.random.standard_normal((n, SIZE), np.float32) * self.scale

    def block(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        middles = self.middles[self.random.integers(len(self.middles), size=n)]
        return self.mean + middles + self._some(n) * np.float32(0.24**0.5), np.empty((0, 2), np.int64)


@dataclass
class Spent:
    """What a call took in a process of its own."""

    cpu: float
    peak: int
    """Bytes, of the process at its largest."""
    left: Any


def apart(call: Callable[..., Any], *args: Any) -> Spent:
    """Calls a function in a new process of one thread."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_apart, args=(send, call, *args))
    process.start()
    left = receive.recv()
    process.join()
    return Spent(*left)


def _apart(send: Any, call: Callable[..., Any], *args: Any) -> None:
    products(0.5)
    left: list[Any] = []
    seconds = cpu(lambda: left.append(call(*args)))
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    send.send((seconds, int(peak.split()[1]) * 1024, left[0]))


def compared(stored: Stored, pairs: Path, count: int, reach: float) -> tuple[int, float | None]:
    """Our way, of the first so many; how many pairs there are, and the share that partitions left, if there are any."""
    complete(Pairs(pairs), stored.results(), stored.digests()[:count], reach, run_here)
    learned = Sketches(pairs / "sketches").learned()
    edges = open_dataset(pairs / "edges.lance")
    return 0 if edges is None else edges.count_rows(), learned.share if learned is not None and learned.narrow else None


def run_here(chores: list[Chore]) -> Iterator[pa.Table]:
    for first in chores:
        chore: Chore | None = first
        while chore is not None:
            made = chore.run()
            yield made.table
            chore = made.rest


def exact(stored: Stored, rows: int, reach: float) -> float:
    """CPU seconds of all products of the first rows with all vectors, in float32; to read them is no part of it."""
    left = stored.rows(range(rows)).astype(np.float32)
    seconds = 0.0
    for block in stored.blocks():
        before = time.process_time()
        for start in range(0, rows, 1024):
            (left[start : start + 1024] @ block.T >= threshold(reach)).sum()
        seconds += time.process_time() - before
    return seconds


def clustered(stored: Stored) -> dict[float, int]:
    """As NeMo Curator does it: k-means of a sample, all parted, each compared within its own cluster.

    Reach → pairs that it finds; the reach changes nothing of what it costs.
    """
    k = stored.n // CLUSTER
    sample = np.sort(sampled(stored.digests()[: stored.n], PER * k))
    middles = kmeans.centroids(stored.rows(sample.tolist()).astype(np.float32), k, seed=None, rounds=ROUNDS)
    parts, kept = [], []
    for block in stored.blocks():
        parts += [own for own, _ in parted(block, middles)]
        kept.append(block.astype(stored.type))
    own, vectors = np.concatenate(parts), np.concatenate(kept)
    found = dict.fromkeys(REACHES, 0)
    for rows in np.split(np.argsort(own, kind="stable"), np.cumsum(np.bincount(own, minlength=k))[:-1]):
        some = vectors[rows].astype(np.float32)
        products = np.triu(some @ some.T, 1)
        for reach in found:
            found[reach] += int((products >= threshold(reach)).sum())
    return found


def by_faiss(stored: Stored, reach: float) -> int:
    """Faiss: an inverted file, and all within a radius in the four partitions that are nearest."""
    import faiss

    faiss.omp_set_num_threads(1)
    k = stored.n // CLUSTER
    index = faiss.index_factory(SIZE, f"IVF{k},Flat", faiss.METRIC_INNER_PRODUCT)
    sample = np.sort(sampled(stored.digests()[: stored.n], 39 * k))
    index.train(stored.rows(sample.tolist()).astype(np.float32))
    for block in stored.blocks():
        index.add(block)
    index.nprobe = 4
    limits = [index.range_search(block, threshold(reach))[0][-1] for block in stored.blocks()]
    return int((sum(map(int, limits)) - stored.n) // 2)


def brute(stored: Stored, rows: int, reach: float) -> dict[tuple[int, int], float]:
    """The pairs of the first rows with all vectors, in float64."""
    left, found = stored.rows(range(rows)), {}
    for start in range(0, stored.n, BLOCK):
        right = stored.rows(range(start, min(start + BLOCK, stored.n)))
        products = np.round(left @ right.T, 6)
        for a, b in np.argwhere(products >= threshold(reach)).tolist():
            if a < start + b:
                found[a, start + b] = products[a, b]
    return found


def check(stored: Stored, pairs: Path, reach: float, planted: np.ndarray) -> None:
    """Raises AssertionError if the store lacks a pair, or has one too many."""
    digests = stored.digests()[: stored.n]
    a, b, similarity = Pairs(pairs).edges(digests, threshold(reach))
    rows = stored.n if stored.n <= 10_000 else CHECKED
    true = brute(stored, rows, reach)
    ours = {(int(x), int(y)): s for x, y, s in zip(a, b, similarity, strict=True) if x < rows}
    assert ours.keys() == true.keys(), f"{len(ours.keys() ^ true.keys())} pairs of {len(true)} differ"
    known = set(zip(a.tolist(), b.tolist(), strict=True))
    lost = 0
    for x, y in planted.tolist():
        if (min(x, y), max(x, y)) not in known:
            both = stored.rows([x, y])
            lost += round(float(both[0] @ both[1]), 6) >= threshold(reach)
    assert not lost, f"{lost} planted pairs are lost"


def of_size(stored: Stored) -> Iterator[Measure]:
    """One set of vectors."""
    planted = stored.write()
    million = stored.n >= MILLION
    others = apart(clustered, stored) if stored.kind == "planted" or not million else None
    for reach in REACHES:
        name = f"{stored.kind} {stored.n} @{reach:.2f}"
        rows = min(stored.n, CHECKED if stored.n > 10_000 else stored.n)
        whole = apart(exact, stored, rows, reach).left * stored.n / rows / 2
        scaled = "" if rows == stored.n else ", scaled"
        folder = stored.folder / f"pairs-{reach}"
        ours = apart(compared, stored, folder, stored.n, reach)
        edges, share = ours.left
        narrow = share is not None and share <= NARROW
        apt = narrow if reach == min(GOALS) else narrow or fastest() != "numpy"
        wanted = GOALS.get(reach) if apt and stored.n > 10_000 else None
        told = f"{edges} pairs{'' if share is None else f', of {share:.3f} parted'}"
        yield Measure(f"{name}: {told}, to all products{scaled}", ours.cpu, whole, wanted)
        if million:
            allowed = SECONDS.get(reach, SECONDS[0.10])
            yield Measure(f"{name}: half its CPU seconds, to those allowed", ours.cpu / 2, allowed, 1.0, "s")
        yield Measure(f"{name}: largest it grew, to 2 GiB", ours.peak / GIB, 2.0, 1.0, "GiB")
        check(stored, folder, reach, planted)
        more = apart(compared, stored, folder, stored.n + NEW, reach)
        yield Measure(f"{name}: {NEW} more, to all of it", more.cpu, ours.cpu, 1 / 200 if million else None)
        if others is not None:
            yield Measure(f"{name}: to own clusters alone ({others.left[reach]} pairs)", ours.cpu, others.cpu, None)
        if not million:
            other = apart(by_faiss, stored, reach)
            yield Measure(f"{name}: to faiss ({other.left} pairs)", ours.cpu, other.cpu, None)
