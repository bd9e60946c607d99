"""Models run in processes of their own, on batches of all videos, and only what is to blame fails."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import lance
import pytest
from films import DARK, picture
from footage import video
from made import Gaze, Glance, Killing, Patient, Tone
from processes import until
from project import Project, ran

from vbuild.config import Limits
from vbuild.executor import folders, spool
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride


def project(root, films, stages, **local):
    made = Project(root, stages)
    for path in films:
        made.put(path.name, path)
    made.local = Local(workers=2, **local)
    return made


def noted(log):
    """Loads, and clips of each batch."""
    lines = [line.split()[0] for line in Path(log).read_text().splitlines()] if Path(log).exists() else []
    return lines.count("load"), [int(line) for line in lines if line != "load"]


def values(project, column="gaze"):
    return {key: row[column] for key, row in project.rows().items()}


def test_the_same_comes_of_any_number_of_processes_and_any_batch(tmp_path, films):
    """In this process, in one for models or two, alone or four together, whole clips and parts of clips."""
    found = []
    for n, (workers, hosts, batch) in enumerate([(0, 1, 16), (1, 1, 1), (2, 2, 4)]):
        one = project(tmp_path / "films", films, {"gaze": Gaze(batch=batch), "glance": Glance(batch=batch)})
        one.store = tmp_path / str(n)
        one.local = Local(workers=workers, hosts=hosts)
        report = one.build()
        assert ran(report)["gaze"] == ran(report)["glance"] == 21
        assert not report.failures
        found.append(one.tables())
        assert all(len(row["glance_means"]) == 8 for row in one.rows().values())
    assert found[0] == found[1] == found[2]


def test_batches_are_of_all_videos_and_full(tmp_path, films):
    """Clips of three videos make one batch, and the model is loaded once."""
    log = tmp_path / "log"
    one = project(tmp_path, films, {"gaze": Gaze(log=str(log), batch=21, how="slow to load")})
    one.build()
    assert noted(log) == (1, [21])


def test_loading_is_recorded_apart_and_counts_in_a_plan(tmp_path, films):
    """A clip's seconds hold none of it; what a plan expects holds it once."""
    one = project(tmp_path, films, {"gaze": Gaze(how="slow to load")})
    one.build()
    (recorded,) = (one.store / "actions").glob("*Gaze*/*.lance")
    assert max(lance.dataset(str(recorded)).to_table()["seconds"].to_pylist()) < 1
    one.stages["gaze"] = Gaze(how="slow to load", side=9)
    (ahead,) = (stage for stage in one.plan().stages if stage.name == "gaze")
    assert 4 < ahead.seconds < 8


def test_a_bad_clip_fails_alone(tmp_path, films):
    """Its batch is halved until it is found."""
    log = tmp_path / "log"
    one = project(tmp_path, films, {"tone": Tone(), "gaze": Gaze(how="bad", log=str(log))})
    report = one.build()
    assert report.failures == 2
    assert sum(value is not None for value in values(one).values()) == 19
    assert None not in values(one, "tone_mean").values()
    assert {row["message"] for row in one.rows("failures").values()} == {"ValueError: too dark"}


def test_too_little_memory_halves_and_is_remembered(tmp_path, films):
    """No clip fails, and after the first batch that is too large there is none."""
    log = tmp_path / "log"
    one = project(tmp_path, films, {"gaze": Gaze(how="narrow", log=str(log), batch=7)})
    report = one.build()
    assert not report.failures
    assert None not in values(one).values()
    _, sizes = noted(log)
    assert sum(size > 3 for size in sizes) == 1


def test_a_clip_that_kills_the_model_fails_alone(tmp_path, films):
    """All others are done, with no more starts than two for each that kills, and one."""
    log = tmp_path / "log"
    one = project(tmp_path, films, {"tone": Tone(), "gaze": Gaze(how="deadly", log=str(log))})
    report = one.build()
    assert report.failures == 2
    assert sum(value is not None for value in values(one).values()) == 19
    assert None not in values(one, "tone_mean").values()
    assert {row["error"] for row in one.rows("failures").values()} == {"WorkerDied"}
    assert noted(log)[0] <= 2 * len(DARK) + 1


def test_a_clip_that_takes_too_long_fails_alone_and_loading_has_no_limit(tmp_path, films):
    """Seconds count while the model runs: not while it is loaded, nor while a batch waits for it."""
    one = project(tmp_path, films[:1], {"gaze": Gaze(how="slow to load")})
    assert not one.build(limits=Limits(seconds=2)).failures
    one.stages["gaze"] = Gaze(how="endless", batch=2)
    report = one.build(limits=Limits(seconds=2))
    assert report.failures == 2
    assert {row["error"] for row in one.rows("failures").values()} == {"OutOfTime"}


@pytest.mark.parametrize("how", ["unloadable", "deadly to load"])
def test_a_model_that_cannot_be_loaded_is_said_once_and_of_no_clip(tmp_path, films, how):
    """The stage stops, the others go on, and the next build tries again."""
    log = tmp_path / "log"
    one = project(tmp_path, films, {"tone": Tone(), "gaze": Gaze(how=how, log=str(log))})
    report = one.build()
    assert len(report.wrong) == 1
    assert report.wrong[0].startswith("gaze stopped, and 21 of its actions wait for the next build: ")
    assert not one.rows("failures")
    assert None not in values(one, "tone_mean").values()
    assert noted(log)[0] <= 4
    again = one.build()
    assert again.wrong
    assert ran(again) == {}


def test_a_part_that_fails_fails_its_clip_alone(tmp_path, films):
    """Of clips in parts."""
    one = project(tmp_path, films, {"glance": Glance(limit=60)})
    report = one.build()
    assert report.failures == 2
    assert sum(value is not None for value in values(one, "glance_means").values()) == 19


def test_what_lies_between_stays_within_its_budget(tmp_path, films, monkeypatch):
    """However small it is, and of however many shapes, everything is done and nothing is left behind."""
    budget = 3000
    monkeypatch.setattr("vbuild.executor.local.parcels", lambda memory: budget)
    peaks = []
    close = spool.Spool.close

    def closing(self):
        peaks.append(self.room.peak)
        close(self)

    monkeypatch.setattr(spool.Spool, "close", closing)
    stages = {f"gaze{side}": Gaze(side=side) for side in (8, 9, 10, 11)}
    one = project(tmp_path, films, stages | {"glance": Glance()})
    report = one.build()
    assert not report.failures
    assert all(None not in values(one, name).values() for name in stages)
    assert 0 < peaks[0] <= budget
    assert not spools()


def spools():
    return [path for path in Path("/dev/shm").glob(f"{folders.PARCELS}*") if not alive(path)]


def alive(path):
    """Whether a build holds it that lives, such as another test's."""
    folders.sweep()
    return path.exists()


def test_what_was_handed_over_does_not_run_again_when_a_worker_dies(tmp_path, films):
    """The pass goes on with what is left."""
    log = tmp_path / "log"
    killer = Killing(marker=str(tmp_path / "once"))
    one = project(tmp_path, films, {"gaze": Gaze(log=str(log), batch=1), "killing": killer})
    report = one.build()
    assert not report.failures
    assert None not in values(one).values()
    assert sum(noted(log)[1]) == 21


CODE = """
import signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from made import Gaze
from vbuild import stops
from vbuild.cli.main import exit_code
from vbuild.executor.config import Local
from project import Project
signal.signal(signal.SIGTERM, stops.stop)
one = Project(Path(sys.argv[1]), {"gaze": Gaze(how="endless", log=sys.argv[2])})
one.local = Local(workers=1)
sys.exit(exit_code(lambda: one.build() and 0))
"""


def endless(tmp_path):
    """A build, in a group of its own, whose model is at work and does not end."""
    log, here = tmp_path / "log", Path(__file__).parents[1]
    words = [sys.executable, "-c", CODE, str(tmp_path), str(log), str(here), str(here.parent)]
    build = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: noted(log)[1])
    return build


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_build_is_stopped_while_a_model_is_at_work(tmp_path, films, sign):
    """At once, without a traceback, and nothing is left: no process and no parcel."""
    project(tmp_path, films, {})
    build = endless(tmp_path)
    os.kill(build.pid, sign) if sign == signal.SIGTERM else os.killpg(build.pid, sign)
    _, said = build.communicate(timeout=120)
    assert build.returncode == 130
    assert said.splitlines()[-1].startswith("vbuild: stopped; what was done is kept")
    assert "Traceback" not in said
    assert not spools()


def test_a_build_that_is_killed_leaves_no_parcels_for_long(tmp_path, films):
    """The next build of anybody takes them away."""
    one = project(tmp_path, films, {"gaze": Gaze()})
    build = endless(tmp_path)
    os.kill(build.pid, signal.SIGKILL)
    build.communicate(timeout=30)
    one.build()
    assert not spools()
    assert None not in values(one).values()


def test_rows_are_stored_while_a_long_pass_goes_on(tmp_path, monkeypatch):
    """A model's rows do not wait for the end of the video that they are of."""
    monkeypatch.setattr("vbuild.engine.ledger.SECONDS", 0.0)
    path = video(tmp_path / "long.mp4", seconds=40, fps=8, size=(64, 48), picture=picture(1))
    waits = Patient(results=str(tmp_path / "store" / "actions" / Gaze.title()))
    one = project(tmp_path, [path], {"gaze": Gaze(batch=1), "patient": waits})
    one.split = FixedStride(length=1.0, min=0.5)
    one.build()
    assert {row["patient"] for row in one.rows().values()} == {True}


def test_models_are_sent_for_before_the_footage_is_decoded(tmp_path, films):
    """A pass that hands nothing over until a model is being loaded does not wait for ever."""
    log = str(tmp_path / "log")
    one = project(tmp_path, films[:1], {"gaze": Gaze(log=log), "patient": Patient(log=log)})
    one.build()
    assert {row["patient"] for row in one.rows().values()} == {True}


def test_waiting_for_room_counts_for_nobody(tmp_path, films, monkeypatch):
    """Neither as seconds of a stage nor against the limit of a pass, which here waits for longer than that is."""
    monkeypatch.setattr("vbuild.executor.local.parcels", lambda memory: 700)  # one parcel, or two
    one = project(tmp_path, films[:2], {"tone": Tone(), "gaze": Gaze(how="slow", batch=1)})
    one.split = FixedStride(length=2.0, min=1.5)
    report = one.build(limits=Limits(seconds=2.0))
    assert not report.failures
    seconds = {stage.name: stage.seconds for stage in report.stages}
    assert seconds["gaze"] > 6 * 1.5
    assert seconds["tone"] < 1.5


def test_a_batch_may_take_as_long_as_its_clips_together(tmp_path, films):
    """The limit is of one clip: nobody dies of a batch that is within it."""
    log = tmp_path / "log"
    one = project(tmp_path, films[:1], {"gaze": Gaze(how="slow", batch=4, log=str(log))})
    assert not one.build(limits=Limits(seconds=2.5)).failures
    loads, sizes = noted(log)
    assert loads == 1
    assert max(sizes) > 1


@pytest.mark.parametrize(("memory", "processes", "passes"), [(2.0, 1, 1), (1.0, 2, 2)])
def test_models_that_do_not_fit_together_take_turns(tmp_path, films, memory, processes, passes):
    """One is done with all clips and gone before the other is loaded; those that fit share a process and a decode."""
    log = tmp_path / "log"
    stages = {name: Gaze(side=side, log=str(log), gib=0.6) for name, side in (("gaze", 8), ("stare", 9))}
    one = project(tmp_path, films, {"tone": Tone(), **stages}, device_memory=memory)
    report = one.build()
    assert ran(report)["gaze"] == ran(report)["stare"] == 21
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len({pid for _, pid in lines}) == processes
    loads = [n for n, (what, _) in enumerate(lines) if what == "load"]
    assert len(loads) == 2
    if passes == 2:
        assert sum(int(what) for what, _ in lines[1 : loads[1]]) == 21
    assert not ran(one.again())
