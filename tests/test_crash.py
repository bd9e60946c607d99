"""Builds that end in the middle, by a kill, a full disk, a closed store or a clock, cost only what was not stored."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import lance
import made
import numpy as np
import pytest
from footage import video
from processes import running, until
from project import Project, ran

from vbuild.dataset import commit
from vbuild.decisions.dedup import Dedup
from vbuild.engine import finish
from vbuild.errors import StoreError
from vbuild.store import actions as actions_of_store
from vbuild.store import failures

STAGES = {
    "tone": made.Tone(),
    "point": made.Point(),
    "dedup": Dedup(of="point", eps=0.02),
    "word": made.Word(of="tone", fails=0),
    "pack": made.Pack(level=100),
    "gaze": made.Gaze(),
}

CODE = """
import resource, signal, sys
from pathlib import Path
from project import Project
from test_crash import STAGES
from vbuild.cli.main import exit_code
from vbuild.engine import ledger
from vbuild.executor.config import Local
ledger.SECONDS = 0.05
project = Project(Path(sys.argv[1]), STAGES, store=Path(sys.argv[2]))
project.local, project.shard = Local(workers=int(sys.argv[3])), 2
if size := int(sys.argv[4]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
print("ready", flush=True)
sys.stdin.read(1)
code = exit_code(lambda: project.build() and 0)
if code == 0:
    print("built", flush=True)
sys.exit(code)
"""


def builder(root, store, workers=0, size=0):
    """A process in a group of its own that is ready to build a dataset, and does at a sign."""
    tests = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(root), str(store), str(workers), str(size)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)])},
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def go(process):
    """Sends it off."""
    process.stdin.write("g")
    process.stdin.flush()


def shades(seed):
    """A colour in each second, some of them in several videos."""

    def picture(at: float) -> np.ndarray:
        level = 15 + (seed * 37 + int(at) * 53) % 220
        return np.broadcast_to(np.array([level, level * 3 % 256, level * 7 % 256], np.uint8), (48, 64, 3)).copy()

    return picture


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Eight videos of 2 s and what a build of them leaves that nobody disturbs; and in how many files."""
    root = tmp_path_factory.mktemp("crash")
    project = Project(root, STAGES, store=root / "clean")
    for n in range(8):
        path = video(root / f"{n}.mp4", seconds=2.0, fps=4, size=(64, 48), gop=4, picture=shades(n))
        project.put(path.name, path)
    process = builder(root, project.store)
    go(process)
    assert process.communicate(timeout=100)[0] == "built\n"
    return project, written(project.store)


def actions(store):
    """Every stored result: stage and key → when and in which build it was made."""
    found = {}
    for path in sorted((store / "actions").glob("*/*.lance")):
        table = lance.dataset(str(path)).to_table(columns=["key", "created", "build"])
        for row in table.to_pylist():
            key = (path.parent.name, path.stem, row["key"])
            assert key not in found, "an action is stored twice"
            found[key] = (row["created"], row["build"])
    return found


def assert_finished(clean, store, before=None):
    """The next build leaves what a clean one leaves, repeats nothing, and finds nothing more to do."""
    project = Project(clean.videos.parent, STAGES, store=store)
    before = actions(store) if before is None else before
    report = project.build()
    after = actions(store)
    assert before.items() <= after.items(), "what was committed ran again"
    assert sum(ran(report).values()) == len(after) - len(before)
    assert project.tables() == clean.tables()
    assert project.blobs().items() >= clean.blobs().items()
    assert after.keys() == actions(clean.store).keys()
    assert project.again().up_to_date


def written(store):
    """How many files a store holds: how far a build is, whatever the machine does beside it."""
    return sum(len(names) for _, _, names in os.walk(store))


def reached(process, store, files):
    """Waits until a build has written so many files, or is over."""
    while written(store) < files and process.poll() is None:
        time.sleep(0.002)


def kill(process, store, files, wait=0.0):
    """Kills a build, all its processes at once, when it has written so many files, and a while later."""
    reached(process, store, files)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=100)
    return process.returncode


def crash(clean, store, seed):
    """Kills one build at a moment that chance chooses, then builds to the end; its exit code."""
    project, files = clean
    chance = random.Random(seed)
    process = builder(project.videos.parent, store, workers=int(seed % 5 == 4))
    go(process)
    code = kill(process, store, chance.uniform(0, files), chance.uniform(0, 0.01))
    assert_finished(project, store)
    return code


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_build_is_finished_by_the_next(clean, tmp_path, seed):
    """Whenever it dies, nothing that was committed runs again, and the tables and blobs are those of a clean build."""
    crash(clean, tmp_path / "store", seed)


@pytest.mark.slow
def test_a_hundred_killed_builds_are_finished(clean, tmp_path):
    """The same at a hundred moments more; some of them must have hit a build that ran."""
    codes = [crash(clean, tmp_path / f"store{seed}", seed) for seed in range(10, 110)]
    assert codes.count(-signal.SIGKILL) > 80


@pytest.mark.parametrize("seed", range(10))
def test_a_build_that_is_stopped_is_finished_by_the_next(clean, tmp_path, seed):
    """Ctrl-C reaches the build and its workers whenever it comes, once or twice: no traceback, and nothing is lost."""
    project, files = clean
    chance = random.Random(seed)
    process = builder(project.videos.parent, tmp_path / "store", workers=seed % 2)
    go(process)
    reached(process, tmp_path / "store", chance.uniform(0, files))
    time.sleep(chance.uniform(0, 0.01))
    for _ in range(1 + seed % 3 // 2):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    done, said = process.communicate(timeout=100)
    assert process.returncode == 130 or done == "built\n", said
    assert "Traceback" not in said
    assert_finished(project, tmp_path / "store")


def test_one_store_bears_one_kill_after_another(clean, tmp_path):
    """Every build goes a little further than the one before."""
    project, files = clean
    store = tmp_path / "store"
    for part in (0.3, 0.5, 0.7):
        process = builder(project.videos.parent, store)
        go(process)
        assert kill(process, store, part * files) == -signal.SIGKILL
    assert_finished(project, store)


def test_workers_do_not_outlive_a_build_that_is_killed(clean, tmp_path):
    """Where only the build's own process is killed, its workers end by themselves."""
    process = builder(clean[0].videos.parent, tmp_path / "store", 1)
    go(process)
    workers = until(lambda: workers_of(process.pid))
    process.kill()
    process.communicate(timeout=100)
    until(lambda: not any(map(running, workers)))
    assert_finished(clean[0], tmp_path / "store")


def workers_of(pid):
    """The processes that a process has started and that run."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [child for child in listed.read_text().split() if b"loky" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.parametrize(("size", "workers"), [(100, 0), (1500, 0), (6000, 0), (12_000, 0), (12_000, 1)])
def test_a_full_disk_ends_a_build_in_one_line(clean, tmp_path, size, workers):
    """No file may grow larger, wherever that is met; nothing is put down as failed, and with room it goes on."""
    project, _ = clean
    store = tmp_path / "store"
    process = builder(project.videos.parent, store, workers, size)
    go(process)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 1, said
    assert "Traceback" not in said
    line = said.strip().splitlines()[-1]
    assert "File too large" in line or "the disk is full" in line, said
    assert "free space" in line, said
    assert_finished(project, store)


@pytest.mark.parametrize("how", ["closed", "a file"])
def test_a_store_that_cannot_be_written_is_said_before_work(clean, tmp_path, how):
    """In one line, and nothing has run."""
    store = tmp_path / "store"
    if how == "a file":
        store.write_text("")
    elif os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    else:
        store.mkdir(mode=0o500)
    made.CALLS.clear()
    with pytest.raises(StoreError, match=f"{store}.* cannot be written"):
        Project(clean[0].videos.parent, STAGES, store=store).build()
    assert not made.CALLS


@pytest.mark.parametrize("harm", ["manifest", "data", "manifests"])
def test_a_damaged_recipe_is_made_again(clean, tmp_path, caplog, harm):
    """What is lost runs again and nothing else, and the dataset is as it was."""
    project = Project(clean[0].videos.parent, STAGES, store=tmp_path / "store")
    project.build()
    before = actions(project.store)
    (recipe,) = (project.store / "actions").glob("*Tone/*.lance")
    if harm == "data":
        next((recipe / "data").iterdir()).write_bytes(b"")
    else:
        manifests = sorted((recipe / "_versions").glob("*.manifest"))
        for manifest in manifests if harm == "manifests" else manifests[:1]:
            manifest.write_bytes(manifest.read_bytes()[:20])
    (project.store / "stamps" / "d.json").unlink()
    report = project.build()
    assert recipe.name in caplog.text
    assert ran(report).keys() == {"tone"}
    assert project.tables() == clean[0].tables()
    kept = {key: value for key, value in before.items() if "Tone" not in key[0]}
    assert kept.items() <= actions(project.store).items()
    assert project.again().up_to_date


@pytest.mark.parametrize("table", ["clips", "videos", "builds"])
def test_a_damaged_table_is_brought_back(clean, tmp_path, caplog, table):
    """By the next build, from the results in the store, of which none runs again."""
    project = Project(clean[0].videos.parent, STAGES, store=tmp_path / "store")
    project.build()
    path = project.store / "datasets" / "d" / f"{table}.lance"
    for file in (path / "data").iterdir():
        file.write_bytes(file.read_bytes()[:50])
    (project.store / "stamps" / "d.json").unlink()
    assert not ran(project.build())
    assert path.name in caplog.text
    assert project.tables() == clean[0].tables()
    assert project.again().up_to_date


def set_back(monkeypatch, years):
    """Sets the clock of this process back, behind the times of the videos too."""
    away = timedelta(days=365 * years)
    seconds = time.time
    monkeypatch.setattr(time, "time", lambda: seconds() - away.total_seconds())
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))

    class Earlier(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - away

    for module in (commit, finish, actions_of_store, failures):
        monkeypatch.setattr(module, "datetime", Earlier)


def test_a_clock_that_is_set_back_changes_nothing(clean, tmp_path, monkeypatch):
    """A later build at an earlier time sees what the one before did, and its own is the newest."""
    project = Project(clean[0].videos.parent, STAGES, store=tmp_path / "store")
    project.build()
    before = actions(project.store)
    set_back(monkeypatch, years=30)
    project.stages = {**STAGES, "pack": made.Pack(level=2)}
    report = project.build()
    assert ran(report).keys() == {"pack"}
    assert before.items() <= actions(project.store).items()
    assert project.again().up_to_date
    project.stages = STAGES
    assert not ran(project.build())
    assert project.tables() == clean[0].tables()
    assert len({path.name for path in (project.store / "runs").iterdir()}) >= 4
