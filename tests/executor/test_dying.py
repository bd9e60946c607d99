"""What ends a worker fails by name, and everything else is done."""

import time

import numpy as np
import pytest
from footage import video
from made import Deadly, Tone
from project import Project

from vbuild.cli.failures import failed
from vbuild.config import FailurePolicy as Policy
from vbuild.config import Limits
from vbuild.dataset import read
from vbuild.errors import TooManyFailuresError, UsageError
from vbuild.executor.config import Local
from vbuild.store.failures import Failures


def half_dark(time: float) -> np.ndarray:
    """Dark in its second second, bright in the others, and noisy, so that no two frames are one."""
    level = 20 if 1 <= time < 2 else 150
    return (np.random.default_rng(round(time * 1000)).normal(level, 8, (48, 64, 3))).clip(0, 255).astype(np.uint8)


@pytest.fixture
def project(tmp_path):
    """Three videos of three clips; one clip of one of them is dark."""
    made = Project(tmp_path, {"tone": Tone(), "deadly": Deadly()})
    video(made.videos / "a.mp4", seconds=3, size=(64, 48), seed=1)
    video(made.videos / "b.mp4", seconds=3, size=(64, 48), picture=half_dark)
    video(made.videos / "c.mp4", seconds=3, size=(64, 48), picture=lambda t: half_dark(t + 10))
    made.local = Local(workers=2)
    return made


def deadly(project, how, **changes):
    """The same with a bad end."""
    project.stages["deadly"] = Deadly(how=how, **changes)


def outcome(project):
    """Per stage, how many clips have a value; and the errors."""
    rows = project.rows().values()
    return {
        "tone": sum(row["tone_mean"] is not None for row in rows),
        "deadly": sum(row["deadly"] is not None for row in rows),
        "errors": [row["error"] for row in rows if row["error"]],
    }


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", "EXIT(3)"),
        ("kill", "SIGKILL"),
        ("crash", "SIGSEGV"),
        ("hang", "longer than limits.seconds=3"),
        ("memory", "MemoryError"),
    ],
)
def test_what_ends_a_worker_fails_alone(project, how, said):
    """A worker that exits, is killed, crashes, hangs or takes too much memory costs the one action that made it so."""
    deadly(project, how)
    limits = Limits(seconds=3.0) if how == "hang" else Limits(memory=2.0)
    report = project.build(limits=limits)
    assert report.failures == 1
    found = outcome(project)
    assert (found["tone"], found["deadly"], len(found["errors"])) == (9, 8, 1)
    assert said in found["errors"][0]
    (row,) = Failures(project.store).all().to_pylist()
    assert row["kind"] == ("item" if how in ("hang", "memory") else "program")
    assert ("made.py" in row["trace"]) == (how not in ("exit", "kill"))


def test_a_failure_is_listed_by_name(project):
    """The listing names the stage, the file, the span, the class of the error, and the attempts."""
    deadly(project, "interrupted")
    project.build()
    (row,) = failed(read.open("d", store=project.store))
    assert (row["stage"], row["uri"], row["start_s"]) == ("deadly", str(project.videos / "b.mp4"), pytest.approx(1.0))
    assert (row["error"], row["attempts"]) == ("InterruptedError", 1)
    assert "av" in row["versions"]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_may_pass_is_tried_again_in_the_same_build(project, tmp_path, workers):
    """After a while, and that action alone."""
    project.local = Local(workers=workers)
    deadly(project, "interrupted", once=str(tmp_path / "once"))
    began = time.monotonic()
    report = project.build(failures=Policy(attempts=2, backoff=0.5))
    assert time.monotonic() - began >= 0.5
    assert report.failures == 0
    assert {s.name: s.ran for s in report.stages}["deadly"] == 9
    assert outcome(project)["deadly"] == 9


def test_attempts_end(project):
    """What fails at each attempt is recorded with their number."""
    deadly(project, "interrupted")
    project.local = Local(workers=0)
    report = project.build(failures=Policy(attempts=3, backoff=0.01))
    assert report.failures == 1
    (row,) = failed(read.open("d", store=project.store))
    assert row["attempts"] == 3


@pytest.mark.parametrize(("retry", "how", "runs"), [
    ("never", "interrupted", 0), ("transient", "interrupted", 1), ("always", "interrupted", 1),
    ("changed", "interrupted", 0),
])  # fmt: skip
def test_who_is_tried_again_in_the_next_build(project, retry, how, runs):
    """`failures.retry` chooses which of those that failed before run again; nothing else does."""
    project.local = Local(workers=0)
    deadly(project, how)
    project.build()
    counts = {s.name: s.ran + s.failed for s in project.build(failures=Policy(retry=retry)).stages}
    ran = {s.name: s.reasons for s in project.plan(failures=Policy(retry=retry)).stages}
    assert sum(ran["deadly"].values()) == runs
    assert counts["deadly"] == 1 or retry == "never"


def test_too_many_failures_end_a_build_and_keep_what_was_done(project):
    """The build says which limit it is over; the next one goes on from what is there."""
    deadly(project, "interrupted")
    project.local = Local(workers=0)
    with pytest.raises(TooManyFailuresError, match=r"failures\.max=0: 1 actions failed"):
        project.build(failures=Policy(max=0))
    report = project.build()
    assert {s.name: s.hits for s in report.stages}["tone"] > 0
    assert not report.wrong
    assert project.build(failures=Policy(max=0)).wrong == ["failures.max=0: 1 actions failed"]


@pytest.mark.parametrize("wrong", [{"max": -1}, {"max_rate": 2.0}, {"attempts": 0}])
def test_limits_of_nothing_are_refused(wrong):
    """With the name of the key."""
    with pytest.raises(UsageError, match=f"^{next(iter(wrong))}="):
        Policy(**wrong)
    with pytest.raises(UsageError, match=r"^seconds="):
        Limits(seconds=0.0)
