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
from itertools import count as count_from
from pathlib import Path
from typing import TYPE_CHECKING

import lance
import xxhash

from benches.filled import SIX, chance, config, fill, footage, results
from benches.measure import Measure, cpu
from vbuild import engine as way
from vbuild import source
from vbuild.engine.ledger import Ledger
from vbuild.engine.session import Session
from vbuild.executor.work import Done
from vbuild.stage import outputs
from vbuild.store import stamps
from vbuild.store.actions import Actions
from vbuild.store.failures import Failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vbuild.config import Config
    from vbuild.digest import Recipe

CLIPS = int(os.environ.get("VBUILD_BENCH_CLIPS", "1000000"))


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
        fill(here, clips, SIX)
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
    wanted = fill(root, clips, STAGES["one"])
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
    wanted = fill(root, 10_000, STAGES["one"])
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
