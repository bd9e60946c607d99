"""What every executor does: a pool of threads, which is a few lines of a user's, does it too."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from footage import video
from made import Deadly, Gaze, Glance, Needy, Pack, Point, Telling, Tone, Word
from project import Project, ran

from vbuild.config import FailurePolicy, Limits
from vbuild.decisions.dedup import Dedup
from vbuild.engine.errands import errands
from vbuild.errors import StageError
from vbuild.executor.config import ExecutorConfig, Inline, Local
from vbuild.executor.perform import perform
from vbuild.executor.protocol import Needs
from vbuild.executor.work import Done, Opening, Task
from vbuild.near.chores import Chore, Made
from vbuild.store.blobs import Blobs
from vbuild.windows import Windows


class Threads:
    """Runs tasks in threads, models too."""

    def __init__(self, count, blobs, build):
        self.count, self.blobs, self.build = count, blobs, build
        self.pool, self.flying = ThreadPoolExecutor(count), {}

    def room(self, needs):
        return max(0, 2 * self.count - len(self.flying))

    def submit(self, ticket, task):
        do = Done if isinstance(task, Opening) else lambda: perform(task, self.blobs, self.build)
        self.flying[self.pool.submit(do)] = ticket

    def next(self, within=None):
        done, _ = wait(self.flying, within, FIRST_COMPLETED)
        return next(((self.flying.pop(one), one.result()) for one in done), None)

    def fits(self, stages):
        return True

    def release(self):
        """Nothing is held that another model would want."""

    def pressed(self):
        return False

    def value(self, parcel):
        raise AssertionError("nothing is handed over")

    def drop(self, parcel):
        raise AssertionError("nothing is handed over")

    def close(self):
        self.pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, kw_only=True)
class Threaded(ExecutorConfig):
    """Where a configuration names it by `_target_`."""

    threads: int = 2

    def start(self, blobs, build, limits):
        return Threads(self.threads, blobs, build)


@dataclass(frozen=True)
class Bad(Chore):
    """It raises, or its process dies of it, or it goes; of one that leaves a rest, that goes."""

    how: str

    def run(self):
        if self.how == "raises":
            raise ValueError("no good")
        marker = Path(self.how.removeprefix("once "))
        if self.how == "dies" or (self.how.startswith("once") and not marker.exists()):
            marker.touch() if self.how != "dies" else None
            os._exit(3)
        return Made(pa.table({"how": [self.how]}), Bad("goes") if self.how == "rest" else None)


EXECUTORS = {
    "inline": Inline(),
    "threads": Threaded(),
    "one": Local(workers=1),
    "two": Local(workers=2),
    "hosts": Local(workers=2, hosts=2),
}
STAGES = {
    "tone": Tone(),
    "point": Point(),
    "word": Word(of="tone"),
    "pack": Pack(),
    "gaze": Gaze(batch=3),
    "glance": Glance(),
    "told": Telling(windows=Windows(frames=4, remainder=2, min=1)),
}


RAN = {"probe": 3, "split": 1, "word": 2} | dict.fromkeys(STAGES.keys() - {"word"}, 12)
"""Actions of three videos that look alike to a splitter, and of which a sentence is one of two."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Three videos of four clips."""
    folder = tmp_path_factory.mktemp("pool")
    return [video(folder / f"{n}.mp4", seconds=4, fps=8, size=(64, 48), seed=n) for n in range(3)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory, pool):
    """What all of them shall write."""
    return project(tmp_path_factory.mktemp("expected"), pool, Inline()).tables


@dataclass
class Outcome:
    """A build."""

    one: Project
    report: object
    tables: dict


def project(root, pool, executor, failures=None, **stages):
    one = Project(root, STAGES | stages, videos=pool[0].parent)
    one.local = executor
    report = one.build(failures=failures or FailurePolicy(backoff=0.01))
    return Outcome(one, report, one.tables())


@pytest.fixture(params=EXECUTORS, scope="module")
def built(request, tmp_path_factory, pool):
    """A build by each."""
    return project(tmp_path_factory.mktemp("built"), pool, EXECUTORS[request.param])


@pytest.fixture(params=EXECUTORS)
def executor(request):
    """Each."""
    return EXECUTORS[request.param]


def test_each_writes_the_same(built, expected):
    """The tables of all are those of one."""
    assert built.tables == expected


def test_each_action_runs_once(built):
    """However many there are."""
    assert ran(built.report) == RAN


def test_nothing_runs_twice(built):
    """The next build finds all of it."""
    assert ran(built.one.again()) == {}


def test_a_changed_parameter_runs_what_it_changes(built):
    """And nothing else."""
    built.one.stages = STAGES | {"gaze": Gaze(batch=3, side=9)}
    assert ran(built.one.again()) == {"gaze": 12}
    built.one.stages = dict(STAGES)


@pytest.mark.parametrize("stage", ["point", "gaze"])
def test_what_a_stage_raises_fails_its_clips_alone(executor, tmp_path, pool, stage):
    """All else is done."""
    bad = {"point": Point(fails=300), "gaze": Gaze(how="unready")}[stage]
    made = project(tmp_path, pool, executor, **{stage: bad})
    assert Counter(row["stage"] for row in made.one.rows("failures").values()) == {stage: 12}
    assert ran(made.report) == {name: n for name, n in RAN.items() if name != stage}


def test_a_model_that_cannot_be_loaded_stops_its_stage(executor, tmp_path, pool):
    """It is said once, of no clip."""
    made = project(tmp_path, pool, executor, gaze=Gaze(how="unloadable"))
    assert len(made.report.wrong) == 1
    assert not made.one.rows("failures")
    assert ran(made.report) == {name: n for name, n in RAN.items() if name != "gaze"}


def test_models_that_are_too_large_for_one_another_all_run(executor, tmp_path, pool):
    """Nothing waits for ever, and nothing runs twice."""
    large = {name: Gaze(side=side, gib=1e6) for name, side in (("gaze", 8), ("stare", 9))}
    made = project(tmp_path, pool, executor, **large)
    assert not made.report.failures
    assert ran(made.report) == RAN | {"stare": 12}


def test_too_little_memory_for_many_is_enough_for_few(executor, tmp_path, pool):
    """No clip fails of a batch that was too large."""
    made = project(tmp_path, pool, executor, gaze=Gaze(how="narrow", batch=7))
    assert not made.report.failures
    assert ran(made.report) == RAN


def test_what_a_place_lacks_waits_for_the_next_build(executor, tmp_path, pool):
    """It is put down of no clip; all else is done, and the next build does that alone."""
    needy = Needy(file=str(tmp_path / "file"))
    made = project(tmp_path, pool, executor, needy=needy)
    assert (len(made.report.wrong), made.report.failures, ran(made.report)) == (1, 0, RAN)
    (tmp_path / "file").touch()
    report = made.one.build()
    assert (report.wrong, ran(report)) == ([], {"needy": 12})


def test_what_may_pass_is_tried_again(executor, tmp_path, pool):
    """In the same build, that action alone."""
    once = tmp_path / "once"
    fails = Deadly(how="interrupted", once=str(once), dark=300)
    made = project(tmp_path, pool, executor, deadly=fails, failures=FailurePolicy(attempts=3, backoff=0.01))
    assert once.stat().st_size > 2
    assert (made.report.failures, ran(made.report)["deadly"]) == (0, 12)


@pytest.fixture
def started(executor, tmp_path):
    """Each, by itself."""
    made = executor.start(Blobs(tmp_path), "b", Limits())
    yield made
    made.close()


NOTHING = Task("u", 0, (), ())
"""A task of no actions."""


def test_each_compares_vectors(executor, tmp_path, pool):
    """The pairs, and who is dropped, are those of one; what an errand leaves undone is done too."""
    found = []
    for name, config in (("one", Inline()), ("each", executor)):
        made = Project(tmp_path / name, {"point": Point(), "near": Dedup(of="point", eps=0.5)}, videos=pool[0].parent)
        made.local = config
        assert made.build().decisions[0].new > 1
        found.append(made.tables())
    assert found[0] == found[1]
    assert found[0]["duplicates"]
    assert any(row["duplicate_of"] for row in found[0]["clips"].values())


@pytest.mark.parametrize("how", ["raises", "dies"])
def test_an_errand_that_cannot_be_done_is_said(executor, tmp_path, how):
    """No clip is to blame; a worker that dies of it dies alone."""
    if how == "dies" and not (isinstance(executor, Local) and executor.workers):
        pytest.skip("it would take this process with it")
    started = executor.start(Blobs(tmp_path), "b", Limits())
    try:
        with pytest.raises(StageError, match=r"^near: .*(no good|worker process died)"):
            list(errands(started, "near", [Bad(how), Bad("goes")]))
    finally:
        started.close()


def test_an_errand_survives_another_that_dies(executor, tmp_path):
    """What was in flight when a worker died is done again, alone."""
    if not (isinstance(executor, Local) and executor.workers):
        pytest.skip("it would take this process with it")
    started = executor.start(Blobs(tmp_path), "b", Limits())
    marker = tmp_path / "died"
    try:
        tables = list(errands(started, "near", [Bad("goes"), Bad(f"once {marker}"), Bad("rest")]))
    finally:
        started.close()
    assert sorted(table["how"][0].as_py() for table in tables) == sorted(["goes", f"once {marker}", "rest", "goes"])


def test_there_is_room_where_nothing_runs(started):
    """For a pass; however large, for it would never run otherwise."""
    assert started.room(Needs()) >= 1
    assert started.room(Needs(memory=1 << 60)) >= 1


def test_room_ends_and_comes_back(started):
    """When as much was taken as is liked, and when it is done; each task is told of once, under its own ticket."""
    tickets = set()
    while started.room(Needs()) and len(tickets) < 100:
        started.submit(len(tickets), NOTHING)
        tickets.add(len(tickets))
    assert 1 <= len(tickets) < 100
    told = [started.next() for _ in tickets]
    assert sorted(ticket for ticket, _ in told) == sorted(tickets)
    assert all(done.finished and not done.tables and not done.failures for _, done in told)
    assert started.room(Needs())


def test_a_model_may_be_sent_for_and_let_go(started):
    """And sent for anew; a task runs before, between and after."""
    for n in (0, 2):
        started.submit(n, Opening("r", Gaze()))
        started.submit(n + 1, NOTHING)
        assert {started.next()[0], started.next()[0]} == {n, n + 1}
        started.release()
    started.submit(4, NOTHING)
    assert started.next()[0] == 4


def test_nothing_is_pressed_and_nothing_too_large_where_nothing_is(started):
    """Passes wait for no room, and models of no size fit anywhere."""
    assert not started.pressed()
    assert started.fits([])
    assert started.fits([Tone(), Gaze()])


def test_it_may_be_closed_while_tasks_wait(executor, tmp_path):
    """As Ctrl-C does; at once, without a word."""
    made = executor.start(Blobs(tmp_path), "b", Limits())
    for n in range(made.room(Needs())):
        made.submit(n, NOTHING)
    made.close()


def test_a_configuration_names_one(tmp_path, pool, monkeypatch):
    """By its class, which may be a user's."""
    from vbuild.compose import load

    monkeypatch.chdir(tmp_path)
    words = ["+dataset=folder", f"source.path={pool[0].parent}"]
    assert load([*words, "executor=inline"]).executor == Inline()
    assert load([*words, "executor.workers=3"]).executor == Local(workers=3)
    folder = tmp_path / "conf" / "executor"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(f"_target_: {Threaded.__module__}.Threaded\nthreads: 5\n")
    assert load([*words, "executor=mine", "executor.threads=4"]).executor == Threaded(threads=4)
