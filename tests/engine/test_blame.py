"""A failure says whose it is: of the clip, of the program, or of the place, which no clip is to blame for."""

import itertools

import made
import pytest
from footage import video
from project import Project, ran

from vbuild.cli.failures import failed
from vbuild.cli.main import run
from vbuild.config import FailurePolicy as Policy
from vbuild.config import Limits
from vbuild.dataset import read
from vbuild.executor.config import Local
from vbuild.store.failures import Failures
from vbuild.versions import recorded, versions


@pytest.fixture
def project(tmp_path, pool):
    """Three videos of six clips."""
    project = Project(tmp_path, {"tone": made.Tone(), "needy": made.Needy(file=str(tmp_path / "file"), gain=2.0)})
    for n in (2, 3, 4):
        project.put(f"{n}.mp4", pool[n])
    return project


def needy(project, **changes):
    """The same, with another end, and another recipe, for what is loaded is kept by that."""
    gain = next(GAINS)
    project.stages["needy"] = made.Needy(file=str(project.store.parent / "file"), gain=gain, **changes)


GAINS = itertools.count(2.25, 0.25)


QUICK = Policy(backoff=0.0)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("how", "loads", "said"),
    [
        ("server", False, "ConnectionRefusedError: nobody is there"),
        ("disk", False, "No space left on device; free space, and build again"),
        ("weights", False, "weights: none are here"),
        ("driver", True, "RuntimeError: no driver was found"),
        ("type", True, "TypeError: not so many arguments"),
    ],
)
def test_a_place_that_fails_stops_a_stage_and_is_put_down_of_nobody(project, how, loads, said, workers):
    """One line says why, all else is done, nothing is recorded, and the next build tries again."""
    needy(project, how=how, loads=loads)
    project.local = Local(workers=workers)
    report = project.build(failures=QUICK)
    (line,) = report.wrong
    assert line.startswith("needy stopped, and 6 of its actions wait for the next build: ")
    assert line.endswith(said)
    assert (ran(report)["tone"], report.failures) == (6, 0)
    assert len(Failures(project.store).all()) == 0
    assert all(row["needy_mean"] is None and row["tone_mean"] and row["error"] is None for row in rows(project))
    assert project.plan().stages[-1].ran == 6
    (project.store.parent / "file").touch()
    report = project.build(failures=QUICK)
    assert (ran(report), report.wrong) == ({"needy": 6}, [])
    assert all(row["needy_mean"] for row in rows(project))
    assert project.build(failures=QUICK).up_to_date


def rows(project):
    return list(project.rows().values())


def test_a_load_that_fails_is_not_tried_for_every_clip(project):
    """Once for each of the three works that are under way, and once more, in case it passes."""
    needy(project, loads=True)
    made.CALLS.clear()
    project.build(failures=QUICK)
    assert made.CALLS["load"] == 4


def test_what_passes_in_a_moment_stops_nothing(tmp_path, pool):
    """The second attempt is told apart from the first."""
    project = Project(tmp_path, {"deadly": made.Deadly(how="server", once=str(tmp_path / "once"))})
    project.put("0.mp4", pool[0])
    (tmp_path / "once").write_text("x")
    report = project.build(failures=QUICK)
    assert (report.wrong, report.failures) == ([], 0)


@pytest.mark.parametrize("how", ["exit", "slow"])
def test_loading_has_no_limit_of_time_and_a_death_of_it_is_of_the_place(project, how):
    """Who dies of loading stops, after two deaths; who takes long for it is waited for."""
    needy(project, how=how, loads=True)
    project.local = Local(workers=1)
    report = project.build(failures=QUICK, limits=Limits(seconds=2.0))
    assert ran(report)["tone"] == 6
    assert report.failures == 0
    if how == "slow":
        assert (ran(report)["needy"], report.wrong) == (6, [])
    else:
        assert "needy stopped" in report.wrong[0]
        assert "a worker process died twice while it loaded" in report.wrong[0]


def test_a_place_that_fails_empties_no_dataset(project):
    """Clips that a condition cannot judge now keep the last build's word; what is new is not kept until it can."""
    project.where = {"bright": "needy_mean > 300"}
    project.stages["word"] = made.Word(of="tone")
    (project.store.parent / "file").touch()
    project.build(failures=QUICK)
    before = {clip: (row["kept"], row["dropped_by"]) for clip, row in project.rows().items()}
    assert {kept for kept, _ in before.values()} == {True, False}
    (project.store.parent / "file").unlink()
    needy(project)
    made.CALLS.clear()
    report = project.build(failures=QUICK)
    assert len(report.wrong) == 1
    assert {clip: (row["kept"], row["dropped_by"]) for clip, row in project.rows().items()} == before
    assert not made.CALLS["Word"]
    project.put("more.mp4", project.videos / ".." / "videos" / "2.mp4").write_bytes(b"")
    video(project.videos / "more.mp4", seconds=1.0, fps=4, size=(64, 48), seed=8)
    project.build(failures=QUICK)
    after = {clip: (row["kept"], row["dropped_by"]) for clip, row in project.rows().items()}
    assert before.items() <= after.items()
    assert [after[clip] for clip in after.keys() - before.keys()] == [(False, "bright: null")]


def test_a_stage_that_clips_come_of_leaves_the_dataset_as_it_was(project):
    """Without a split there is nothing to write."""
    (project.store.parent / "file").touch()
    project.build(failures=QUICK)
    before = project.tables()
    (project.store.parent / "file").unlink()
    project.split = made.NeedySplit(length=0.5, min=0.25, file=str(project.store.parent / "file"))
    report = project.build(failures=QUICK)
    assert report.wrong[1:] == ["clips of these are not known, so the dataset is as the last build left it"]
    assert project.tables() == before
    (project.store.parent / "file").touch()
    assert len(project.build(failures=QUICK).wrong) == 0
    assert len(project.rows()) == 12


def test_a_file_that_goes_while_it_is_built_is_put_down_of_nobody(project, tmp_path):
    """Its actions wait; those of other files are done."""
    del project.stages["needy"]
    project.stages["thief"] = made.Thief(to=str(tmp_path / "away.mp4"))
    report = project.build(failures=QUICK)
    (line,) = report.wrong
    assert line.startswith("4 actions wait for the next build, for what they read could not be read: ")
    assert "2.mp4: the file changed" in line
    assert ran(report)["tone"] == 3
    assert len(Failures(project.store).all()) == 0
    (tmp_path / "away.mp4").rename(project.videos / "2.mp4")
    del project.stages["thief"]
    report = project.build(failures=QUICK)
    assert (ran(report)["tone"], report.wrong) == (3, [])
    assert all(row["tone_mean"] for row in rows(project))


@pytest.mark.parametrize("how", ["type", "value", "SystemExit", "CancelledError", "KeyboardInterrupt"])
def test_whatever_a_stage_raises_fails_its_clip(tmp_path, how):
    """Nothing of it ends a build, or passes for a person's Ctrl-C."""
    project = Project(tmp_path, {"deadly": made.Deadly(how=how), "tone": made.Tone()})
    video(
        project.videos / "a.mp4",
        seconds=2,
        fps=4,
        size=(64, 48),
        picture=lambda t: made.np.full((48, 64, 3), 20 + 90 * int(t), made.np.uint8),
    )
    report = project.build()
    assert (ran(report)["deadly"], ran(report)["tone"], report.failures) == (1, 2, 1)
    (row,) = failed(read.open("d", store=project.store))
    assert row["kind"] == ("item" if how == "value" else "program")
    assert row["error"] == {"type": "TypeError", "value": "ValueError"}.get(how, how)
    assert 'made.py", line' in row["trace"]


@pytest.fixture
def other_av(monkeypatch):
    """A way to another version of PyAV, as far as anybody is told."""
    from vbuild import versions as told_by

    def change():
        old = told_by._version
        monkeypatch.setattr(told_by, "_version", lambda name: "0.1" if name == "av" else old(name))
        versions.cache_clear()
        recorded.cache_clear()

    yield change
    monkeypatch.undo()
    versions.cache_clear()
    recorded.cache_clear()


@pytest.mark.parametrize("how", ["type", "value"])
def test_what_failed_is_tried_again_under_other_versions(project, other_av, how):
    """Of the item and of the program alike, though the dataset was up to date; and no more until the next change."""
    needy(project, how=how)
    assert project.build().failures == 6
    made.CALLS.clear()
    assert project.build().up_to_date
    (project.store.parent / "file").touch()
    assert project.build().up_to_date
    other_av()
    report = project.build()
    assert (ran(report), report.failures) == ({"needy": 6}, 0)
    assert len(Failures(project.store).all()) == 0
    assert project.build().up_to_date


def many(project, bad, good):
    """Videos of a second each, some of them text."""
    for path in project.videos.iterdir():
        path.unlink()
    source = video(project.store.parent / "v.mp4", seconds=1.0, fps=4, size=(64, 48))
    for n in range(good):
        (project.videos / f"good{n}.mp4").write_bytes(
            source.read_bytes() + bytes([0, 0, 0, 8, 102, 114, 101, 101]) * (n + 1)
        )
    for n in range(bad):
        (project.videos / f"bad{n}.mp4").write_text(f"no video {n}")


@pytest.mark.parametrize(
    ("bad", "good", "wrong"),
    [
        (1, 2, []),
        (2, 0, ["none of 2 videos can be used"]),
        (4, 17, []),
        (5, 16, ["probe failed on 5 of 21 actions, which is more than failures.tolerate=0.2"]),
    ],
)
def test_a_few_broken_videos_among_many_are_no_failure_of_the_build(tmp_path, bad, good, wrong):
    """More than are tolerated are, and none that can be used; the next build says so too."""
    project = Project(tmp_path, {"tone": made.Tone()})
    many(project, bad, good)
    assert project.build().wrong == wrong
    assert project.build().wrong == wrong
    assert not project.build(failures=Policy(tolerate=0.5)).wrong or not good


def test_a_stage_that_fails_on_all_fails_the_build(project, capsys):
    """With a line that names it, the first failure of each kind, and the command that lists them."""
    needy(project, how="type")
    report = project.build()
    assert report.wrong == ["needy failed on all 6 actions that it tried"]
    (first,) = report.firsts
    assert (first.stage, first.kind, first.error, first.count) == ("needy", "program", "TypeError", 6)
    from vbuild.cli.summary import show

    show(report)
    said = capsys.readouterr().out
    assert "failed: needy: the program's own fault: TypeError: not so many arguments: " in said
    assert "(and 5 more)" in said
    assert "vbuild failures d lists them; --trace tells where in the code" in said


def test_counts_agree(project, tmp_path, capsys):
    """Of the build, of `failures`, `log` and `diff`: videos that cannot be read too, and clips that share an action."""
    needy(project, how="value")
    project.stages["word"] = made.Word(of="tone", fails=0)
    (project.videos / "text.mp4").write_text("no video")
    (project.videos / "gone.mp4").symlink_to(tmp_path / "nowhere")
    project.build()
    project.stages["word"] = made.Word(of="tone", fails=1)
    report = project.build()

    def said(*arguments: str) -> str:
        capsys.readouterr()
        assert run([*arguments, "--store", str(project.store)]) == 0
        return capsys.readouterr().out

    listed = failed(read.open("d", store=project.store))
    assert len(listed) == report.failures == sum(stage.failed for stage in report.stages)
    assert {row["stage"] for row in listed} == {"probe", "needy", "word"}
    assert f"  {report.failures}  " in said("log", "d").splitlines()[1]
    assert f"→ {report.failures}\n" in said("diff", "d")
    assert len(said("failures", "d").splitlines()) == 1 + report.failures
    traced = said("failures", "d", "--trace")
    assert traced.count('made.py", line') >= 6
    assert "text.mp4" in traced


def test_files_that_cannot_be_read_are_listed(project, tmp_path):
    """By the reason, beside what failed of those that could."""
    names = tmp_path / "list.txt"
    names.write_text("videos/2.mp4\nvideos/nowhere.mp4\n")
    (tmp_path / "file").touch()
    project.videos = names
    report = project.build()
    (row,) = failed(read.open("d", store=project.store))
    assert (row["stage"], report.failures) == ("source", 1)
    assert row["uri"].endswith("nowhere.mp4")


def test_a_dataset_of_which_nothing_is_kept_says_which_condition_did_it(project):
    """And how many clips each dropped."""
    (project.store.parent / "file").touch()
    project.where = {"dark": "tone_mean < 150", "never": "needy_mean < 0"}
    report = project.build()
    assert report.kept == 0
    dark, never = (decided.dropped for decided in report.decisions)
    assert dark + never == 6
    assert report.notes == [f"no clip is kept: dark dropped {dark}, never dropped {never}"]
