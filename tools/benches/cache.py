"""The planner and the store over made-up rows: no video is read, all else is the real way through.

Sizes follow VBUILD_BENCH_CLIPS (1 000 000); growth is taken from a hundredth of it to thrice it.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import lance
import numpy as np
import pyarrow as pa
import xxhash

from benches.measure import Measure, cpu
from vbuild import engine as way
from vbuild import source
from vbuild.config import Config, Source
from vbuild.engine import walk as walking
from vbuild.engine.ledger import Ledger
from vbuild.engine.session import Session
from vbuild.executor.config import Local
from vbuild.executor.work import Done
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Frames, Stage, outputs
from vbuild.store import stamps
from vbuild.store.actions import Actions, schema
from vbuild.store.failures import Failures
from vbuild.store.files import Files
from vbuild.values import digest_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vbuild.digest import Recipe
    from vbuild.plan.items import Items
    from vbuild.plan.wiring import Instance

CLIPS = int(os.environ.get("VBUILD_BENCH_CLIPS", "1000000"))
A_VIDEO = 50
"""Clips of one video."""

OLD = 1_000_000_000
"""Seconds since 1970: files of before."""


@dataclass(frozen=True, kw_only=True)
class Measured(Stage):
    """Two numbers of the footage."""

    version: ClassVar = 1
    phase: ClassVar = "measure"
    writes: ClassVar = {"mean": "float32", "least": "float32"}

    rate: float = 2.0

    def asks(self) -> Frames:
        return Frames(fps=self.rate)


@dataclass(frozen=True, kw_only=True)
class Embedded(Stage):
    """A vector of the footage."""

    version: ClassVar = 1
    phase: ClassVar = "embed"
    dear: ClassVar = True
    writes: ClassVar = {"": "vector[256]"}

    def asks(self) -> Frames:
        return Frames(count=8)


@dataclass(frozen=True, kw_only=True)
class Said(Stage):
    """A text of the footage."""

    version: ClassVar = 1
    phase: ClassVar = "annotate"
    dear: ClassVar = True
    writes: ClassVar = {"": "string"}

    def asks(self) -> Frames:
        return Frames(fps=1)


@dataclass(frozen=True, kw_only=True)
class Better(Stage):
    """A text of a text: its keys are made of the digests of another stage."""

    version: ClassVar = 1
    phase: ClassVar = "annotate"
    dear: ClassVar = True
    reads: ClassVar = {"": ("",)}
    writes: ClassVar = {"": "string"}


@dataclass(frozen=True, kw_only=True)
class Packed(Stage):
    """A blob of the footage."""

    version: ClassVar = 1
    phase: ClassVar = "produce"
    dear: ClassVar = True
    writes: ClassVar = {"": "blob", "frames": "int64"}

    def asks(self) -> Frames:
        return Frames(every=True)


SIX = {
    "motion": Measured(),
    "quality": Measured(rate=4.0),
    "embed": Embedded(),
    "caption": Said(),
    "better": Better(of="caption"),
    "transcode": Packed(),
}
"""Six stages of clips; the probe and the split come on top."""


# stores


def config(root: Path, stages: dict[str, Stage], where: dict[str, str] | None = None) -> Config:
    return Config(
        name="made",
        declared="made",
        source=Source(path=(str(root / "videos"),)),
        split=FixedStride(length=1.0, min=0.5),
        stages=stages,
        where=where or {},
        executor=Local(workers=0),
        store=root / "store",
        output=root / "store" / "datasets",
    )


def footage(root: Path, count: int) -> None:
    """Empty files in folders of a hundred, with ids in the memo as if they had been read."""
    for n in range(count):
        path = root / "videos" / f"{n // 100:05d}" / f"{n:08d}.mp4"
        if n % 100 == 0:
            path.parent.mkdir(parents=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.utime(path, (OLD, OLD))
    files = source.list_videos(Source(path=(str(root / "videos"),)))
    looks = (np.frombuffer(c, np.int64) for c in (files.sizes, files.mtimes, files.ctimes, files.inodes))
    Files(root / "store").add(files.uris, *looks, chance(count))


def chance(count: int) -> np.ndarray:
    """Digests by chance, (n,) V16."""
    return np.frombuffer(os.urandom(16 * count), "V16")


def results(instance: Instance, keys: np.ndarray, blobs: Path | None = None) -> pa.Table:
    """Made-up results of an instance under some keys."""
    n = len(keys)
    columns: dict[str, pa.Array] = {}
    for f in schema(instance.writes):
        columns[f.name] = values(f, n)
    fixed = pa.binary(16)
    columns["key"] = pa.array(keys.tolist(), fixed)
    for f, kind in instance.writes.items():
        columns[digest_column(f)] = pa.array(chance(n).tolist(), fixed)
        if kind.blob:
            name = f or "value"
            names = [f"{d[:2]}/{d[2:]}.mp4" for d in (bytes(x).hex() for x in chance(n).tolist())]
            columns[f"{name}_uri"] = pa.array(names)
            if blobs is not None:
                link(blobs, names)
    if instance.name == "probe":
        told = {"width": 1280, "height": 720, "time_base_num": 1, "time_base_den": 1000, "start_pts": 0}
        for name, value in {**told, "end_pts": A_VIDEO * 1000, "stream": 0}.items():
            columns[name] = pa.array([value] * n, pa.int64())
    if instance.name == "split":
        columns |= {f.name: pa.array([[]] * n, f.type) for f in schema(instance.writes) if f.name.startswith("lost")}
        starts = [[k * 1000 for k in range(A_VIDEO)]] * n
        columns["start_pts"] = pa.array(starts, pa.list_(pa.int64()))
        columns["end_pts"] = pa.array([[s + 1000 for s in row] for row in starts], pa.list_(pa.int64()))
    shape = schema(instance.writes)
    return pa.table([columns[name] for name in shape.names], schema=shape)


def values(f: pa.Field, n: int) -> pa.Array:
    if pa.types.is_fixed_size_list(f.type):
        size = f.type.list_size
        flat = np.random.default_rng(n).standard_normal(n * size, np.float32)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=f.type)
    if pa.types.is_string(f.type):
        return pa.array(["a text that is as long as captions are, which is some thirty words " * 3] * n, f.type)
    if pa.types.is_floating(f.type):
        return pa.array(np.random.default_rng(n).random(n), f.type)
    if pa.types.is_integer(f.type):
        return pa.array(np.full(n, 7), f.type)
    return pa.nulls(n, f.type)


def link(blobs: Path, names: list[str]) -> None:
    """A name for each blob; one file has as many as a file system allows."""
    for shard in {name[:2] for name in names}:
        (blobs / shard).mkdir(parents=True, exist_ok=True)
    for start in range(0, len(names), 30_000):
        first, *rest = names[start : start + 30_000]
        (blobs / first).write_bytes(b"")
        for name in rest:
            os.link(blobs / first, blobs / name)


class Filling(walking._Way):  # noqa: SLF001
    """Walks as a plan does, and puts a made-up result wherever one is missing."""

    def _run(self, items: Items, wave: tuple[Instance, ...]) -> Iterator[None]:
        for instance in wave:
            session = self.session
            rows = session.lookup.look(items, instance)
            _, once = np.unique(items.actions[instance.name].keys[rows], return_index=True)
            keys = items.actions[instance.name].keys[rows[np.sort(once)]]
            if len(keys):
                session.shelf.results(instance.name).append(results(instance, keys, session.blobs.folder))
            session.lookup.settle(items, instance)
        yield from ()


def made(root: Path, clips: int, stages: dict[str, Stage], shard: int = 2_000) -> Config:
    """A store that holds everything of a made-up dataset."""
    footage(root, clips // A_VIDEO)
    wanted = config(root, stages)
    filling = Session(Config(**{**vars(wanted), "executor": Local(workers=0), "shard": shard}), None)
    walking._Way, way = Filling, walking._Way  # noqa: SLF001
    walking.walk(filling, lambda _: None)
    walking._Way = way  # noqa: SLF001
    for name in filling.shelf.instances:
        dataset = filling.shelf.results(name).dataset
        dataset.optimize.compact_files()
        dataset.cleanup_old_versions()
    return wanted


def planned(root: Path, stages: str = "six") -> tuple[float, float]:
    """CPU seconds and peak MiB of a process that plans: the start of Python and all imports with it."""
    code = "import sys; sys.path[:0] = [sys.argv[1]]; from benches.cache import plan; plan(sys.argv[2], sys.argv[3])"
    tools = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", code, tools, str(root), stages]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    said = json.loads(done.stdout)
    assert said["up_to_date"], said
    return said["cpu"], said["mib"]


STAGES = {"six": SIX, "one": {"motion": SIX["motion"]}}


def plan(root: str, stages: str) -> None:
    """What `planned` starts."""
    report = way.plan(config(Path(root), STAGES[stages]))
    status = Path("/proc/self/status").read_text()  # ru_maxrss would hold the process that started this one
    peak = int(status.partition("VmHWM:")[2].split()[0])
    said = {"cpu": time.process_time(), "mib": peak / 1024, "up_to_date": report.up_to_date}
    print(json.dumps(said))


# measures


def measures() -> Iterator[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        yield from growth(root)
        yield from fragments(root / "fragments")
        yield from fast_path(root / "fast")
        yield from commits(root / "commits")
        yield from items(root / "items")
    yield from start()


def growth(root: Path) -> Iterator[Measure]:
    """The no-op plan by the keys alone, from a hundredth of the size to thrice it."""
    taken: dict[int, tuple[float, float]] = {}
    root.mkdir(exist_ok=True)
    b = min(cpu(lookups(root)) for _ in range(3)) / LOOKUPS
    for clips in (CLIPS // 100, CLIPS // 10, CLIPS, 3 * CLIPS):
        here = root / str(clips)
        made(here, clips, SIX)
        taken[clips] = seconds, mib = min(planned(here) for _ in range(3))
        share = clips / 1e6
        goal = 1.0 if clips == CLIPS else None
        most = 0.08 if clips == CLIPS else None
        yield Measure(f"no-op plan, {clips:,} clips x 6 stages / B an action", seconds, b * clips * len(SIX), most)
        yield Measure(
            f"  its peak memory: 1024 MiB a million (at {clips:,})", mib, 1024 * max(share, 1e-9), goal, "MiB"
        )
        subprocess.run(["rm", "-r", str(here)], check=True)
    (a, (low, little)), (b, (high, much)) = sorted(taken.items())[-2:]
    for name, x, y, unit, base in (("CPU", low, high, "CPU s", 50.0), ("memory", little, much, "MiB", 10_240.0)):
        guess = y + (y - x) / (b - a) * (10 * CLIPS - b)
        yield Measure(f"  {name} at {10 * CLIPS:,} clips, extrapolated", guess, base * CLIPS / 1e6, None, unit)


def fragments(root: Path) -> Iterator[Measure]:
    """The same plan over recipes of one fragment and of a thousand."""
    clips = max(CLIPS // 5, 10_000)
    wanted = made(root, clips, STAGES["one"])
    one = min(planned(root, "one")[0] for _ in range(3))
    held = Actions(wanted.store).results(recipe(wanted), outputs(wanted.stages["motion"]))
    table = held.dataset.to_table()
    step = max(len(table) // 1000, 1)
    lance.write_dataset(table.slice(0, step), str(held.path), mode="overwrite")
    for start in range(step, step * 1000, step):
        lance.write_dataset(table.slice(start, step), str(held.path), mode="append")
    if step * 1000 < len(table):
        lance.write_dataset(table.slice(step * 1000), str(held.path), mode="append")
    many = min(planned(root, "one")[0] for _ in range(3))
    yield Measure(f"plan over 1000 fragments / over one, {clips:,} clips", many, one, 1.3)


def recipe(wanted: Config) -> Recipe:
    return Session(wanted, None).shelf.instances["motion"].recipe


def fast_path(root: Path) -> Iterator[Measure]:
    """The short cut beside a bare walk over the same files."""
    count = max(CLIPS // 10, 1000)
    footage(root, count)
    wanted = config(root, STAGES["one"])
    files = source.list_videos(wanted.source)
    told = {"state": way._state(wanted, files), "code": way._code(wanted), "under": way._under(wanted)}  # noqa: SLF001
    stamp = dict.fromkeys(way.COUNTS, count) | told
    stamps.write_stamp(wanted.store, wanted.name, stamp)
    assert way.up_to_date(wanted)
    gc.freeze()  # what this process has imported; an up-to-date build has not
    bare, ours = beside(lambda: walked(str(root / "videos")), lambda: way.up_to_date(wanted))
    gc.unfreeze()
    yield Measure(f"up to date, {count:,} videos / scandir + stat", ours, bare, 1.3)


def beside(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of two calls, the least of nine by turns."""
    pairs = [(cpu(one), cpu(other)) for _ in range(9)]
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def walked(folder: str) -> int:
    """Every file with its stat."""
    found = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                found += walked(entry.path)
            else:
                found += entry.stat().st_mtime_ns > 0
    return found


def commits(root: Path) -> Iterator[Measure]:
    """A build's ledger, in its own batches, beside Lance alone in batches of 10 000."""
    count = max(CLIPS // 10, 10_000)
    wanted = config(root, STAGES["one"])
    (root / "videos").mkdir(parents=True)
    instance = Session(wanted, None).shelf.instances["motion"]
    table = results(instance, chance(count))
    parts = [table.slice(start, 32) for start in range(0, count, 32)]

    def bare() -> None:
        path = str(root / "bare.lance")
        for start in range(0, count, 10_000):
            lance.write_dataset(table.slice(start, 10_000), path, mode="append" if start else "overwrite")

    def ours(n: int) -> None:
        store = Actions(root / f"store{n}")
        ledger = Ledger(
            {instance.recipe.id: store.results(instance.recipe, instance.writes)},
            Failures(root / f"store{n}"),
            retried=False,
        )
        for part in parts:
            ledger.take(Done([(instance.recipe.id, part)]))
        ledger.commit()

    numbers = count_from(0)
    alone, spent = beside(bare, lambda: ours(next(numbers)))
    yield Measure(f"commit of {count:,} results / bare appends of 10 000", spent, alone, 1.3)


def items(root: Path) -> Iterator[Measure]:
    """A no-op over 10 000 items: ours, one digest and one SQLite lookup an item (B), and joblib.Memory."""
    wanted = made(root, 10_000, STAGES["one"])
    way.plan(wanted)
    ours = min(cpu(lambda: way.plan(wanted)) for _ in range(3))
    b = min(cpu(lookups(root)) for _ in range(3))
    yield Measure("no-op over 10,000 items / B (xxh3 + SQLite lookup each)", ours, b, 1.0)
    yield Measure("  beside joblib.Memory", ours, cpu(memory(root)), None)


LOOKUPS = 10_000


def lookups(root: Path):
    """B: of so many keys a digest by xxh3 and a lookup in SQLite each."""
    import sqlite3

    keys = [os.urandom(200) for _ in range(LOOKUPS)]
    db = sqlite3.connect(root / "b.sqlite")
    db.execute("create table if not exists a (k blob primary key, v blob) without rowid")
    db.executemany("insert or replace into a values (?, ?)", [(xxhash.xxh3_128_digest(k), b"v" * 32) for k in keys])
    db.commit()

    def call() -> None:
        for key in keys:
            assert db.execute("select v from a where k = ?", (xxhash.xxh3_128_digest(key),)).fetchone()

    return call


def double(x: int, y: str) -> tuple[int, str]:
    return 2 * x, y


def memory(root: Path):
    from joblib import Memory

    cached = Memory(root / "joblib", verbose=0).cache(double)
    for n in range(10_000):
        cached(n, "a")

    def call() -> None:
        for n in range(10_000):
            cached(n, "a")

    return call


def start() -> Iterator[Measure]:
    """What it costs to ask for help."""

    def child(*command: str) -> float:
        return min(cpu(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(5))

    ours = child(
        sys.executable, "-c", "import sys; sys.argv = ['vbuild', '--help']; from vbuild.cli.main import main; main()"
    )
    yield Measure("vbuild --help / python -c 'import hydra'", ours, child(sys.executable, "-c", "import hydra"), 0.5)
