"""A build runs what is missing and nothing else, whatever changed."""

import dataclasses
from collections import Counter
from typing import ClassVar

import lance
import made
import pytest
from project import Project, dropped, hits, ran

from vbuild.decisions.dedup import Dedup
from vbuild.engine import ledger, up_to_date
from vbuild.errors import StageError
from vbuild.split.fixed_stride import FixedStride
from vbuild.stages.describe import Describe
from vbuild.stages.motion import Motion
from vbuild.stages.perceptual import Perceptual
from vbuild.stages.preview import Preview
from vbuild.stages.quality import Quality
from vbuild.stages.transcode import Transcode
from vbuild.store import lance_io

REAL = {
    "motion": Motion(short_side=64),
    "quality": Quality(short_side=64),
    "embed": Perceptual(),
    "dedup": Dedup(of="embed"),
    "caption": Describe(of={"motion": "motion", "quality": "quality"}),
    "preview": Preview(level=1),
    "transcode": Transcode(preset="ultrafast"),
}
STILL = {"still": "motion_mean >= 0.0005"}
"""The shipped stages: the still is dropped, and of the twins one."""

CHEAP = {
    "tone": made.Tone(),
    "point": made.Point(),
    "dedup": Dedup(of="point", eps=0.001),
    "word": made.Word(of="tone"),
    "pack": made.Pack(),
}


@pytest.fixture
def real(tmp_path, shots):
    """The shipped stages over two moving shots, a still and a twin, built."""
    project = Project(tmp_path, REAL, where=STILL)
    for name, shot in {"a.mp4": shots[0], "b.mp4": shots[1], "still.mp4": shots[3], "twin.mkv": shots[4]}.items():
        project.put(name, shot)
    project.report = project.build()
    return project


@pytest.fixture
def cheap(tmp_path, pool):
    """Stages of the tests over four videos, built."""
    project = Project(tmp_path, CHEAP)
    for n in range(4):
        project.put(f"{n}.mp4", pool[n])
    project.report = project.build()
    return project


def test_the_first_build_runs_all_that_is_wanted(real):
    """What is cheap sees all clips, what is dear those that are left: neither the still nor the twin."""
    assert real.report.clips == 8
    assert dropped(real) == {None: 4, "still": 2, "dedup": 2}
    every = {"probe": 4, "split": 2, "motion": 8, "quality": 8, "embed": 8}
    assert ran(real.report) == {**every, "caption": 4, "preview": 4, "transcode": 4}
    for row in real.rows().values():
        assert (row["transcode_uri"] is not None) == row["kept"]
        assert (row["caption"] is not None) == row["kept"]


def test_the_same_again_runs_nothing_and_writes_nothing(real):
    """The stamp tells at a glance; and without it no action runs and no table gets a version."""
    before = real.versions()
    assert up_to_date(real.config()) is not None
    assert real.build().up_to_date
    report = real.again()
    assert report.up_to_date
    assert report.build is None
    assert not ran(report)
    assert hits(report) == {**ran(real.report), "split": 4}
    assert real.versions() == before


def test_a_file_more_runs_its_own_actions(real, shots):
    """Of five files four are known."""
    before = real.rows()
    real.put("c.mp4", shots[2])
    report = real.build()
    every = dict.fromkeys(("motion", "quality", "embed", "preview", "transcode"), 2)
    assert {"probe": 1, **every}.items() <= ran(report).items()
    assert report.changed["clips"] == {"added": 2, "updated": 0, "deleted": 0}
    assert before.items() <= real.rows().items()


@pytest.mark.parametrize("name", ["z.mp4", "deep/down/a.mp4"])
def test_a_file_that_is_renamed_or_moved_runs_nothing(real, name):
    """Only its path follows, in both tables."""
    old, before = real.videos / "a.mp4", real.tables()
    (real.videos / name).parent.mkdir(parents=True, exist_ok=True)
    new = old.rename(real.videos / name)
    report = real.build()
    assert not ran(report)
    assert set(real.rows("videos")) == set(before["videos"]) - {str(old)} | {str(new)}
    for clip_id, row in real.tables()["clips"].items():
        was = before["clips"][clip_id]
        assert row == {**was, "uri": str(new) if was["uri"] == str(old) else was["uri"]}


def test_bytes_that_are_replaced_run_their_actions(real, shots):
    """The path is as before and the content is not: its clips are other clips."""
    path = real.put("b.mp4", shots[2])
    report = real.build()
    every = dict.fromkeys(("motion", "quality", "embed", "preview", "transcode"), 2)
    assert {"probe": 1, **every}.items() <= ran(report).items()
    assert report.changed["clips"] == {"added": 2, "updated": 0, "deleted": 2}
    assert sum(row["uri"] == str(path) for row in real.rows().values()) == 2


def test_a_file_that_is_deleted_takes_its_clips_along(real):
    """They leave the dataset, nothing runs, and nothing of them is lost: it may come back."""
    kept = {clip_id: row for clip_id, row in real.rows().items() if not row["uri"].endswith("b.mp4")}
    away = (real.videos / "b.mp4").rename(real.videos.parent / "b.mp4")
    report = real.build()
    assert not ran(report)
    assert report.changed["clips"] == {"added": 0, "updated": 0, "deleted": 2}
    assert real.rows() == kept
    away.rename(real.videos / "b.mp4")
    assert not ran(real.build())
    assert len(real.rows()) == 8


def test_a_keeper_that_leaves_brings_its_duplicates_back(real):
    """What was dropped for it gets the stages that it never had."""
    keepers = {row["duplicate_of"] for row in real.rows().values() if row["duplicate_of"]}
    gone = next(row["uri"] for clip_id, row in real.rows().items() if clip_id in keepers)
    (real.videos / gone).unlink()
    report = real.build()
    assert set(ran(report)) <= {"caption", "preview", "transcode"}
    assert dropped(real) == {None: 4, "still": 2}


def test_two_files_of_equal_bytes_are_built_once(cheap, pool):
    """Both have a row in `videos`, the clips go by the first of their paths."""
    twin = cheap.put("0-again.mp4", pool[0])
    assert not ran(cheap.build())
    videos = cheap.rows("videos")
    first, second = (videos[str(cheap.videos / name)] for name in ("0-again.mp4", "0.mp4"))
    assert {**first, "uri": ""} == {**second, "uri": ""}
    assert first["status"] == "ok"
    assert sum(row["uri"] == str(twin) for row in cheap.rows().values()) == first["clips"]


def test_another_parameter_runs_its_stage_alone(real):
    """A crf of 30 encodes the clips that are kept; the old crf is known."""
    before = real.tables()
    real.stages["transcode"] = Transcode(preset="ultrafast", crf=30)
    report = real.build()
    assert ran(report) == {"transcode": 4}
    assert set(report.changed) == {"clips"}
    assert report.changed["clips"] == {"added": 0, "updated": 4, "deleted": 0}
    assert real.tables()["clips"] != before["clips"]
    real.stages["transcode"] = Transcode(preset="ultrafast")
    assert not ran(real.build())
    assert real.tables() == before


def test_a_predicate_that_moves_runs_no_stage_that_measures(real):
    """What newly survives gets its later stages, what falls gets the predicate's name, and back is nothing."""
    real.where = {}
    report = real.build()
    assert ran(report) == {"caption": 1, "preview": 1, "transcode": 1}
    assert dropped(real) == {None: 5, "dedup": 3}
    means = sorted(row["motion_mean"] for row in real.rows().values())
    real.where = {"still": f"motion_mean > {means[-1]}"}
    report = real.build()
    assert not ran(report)
    assert dropped(real) == {"still": 8}
    for row in real.rows().values():
        assert row["transcode_uri"] is row["preview_uri"] is None
        assert row["motion_mean"] is not None
    real.where = STILL
    assert not ran(real.build())
    assert dropped(real) == {None: 4, "still": 2, "dedup": 2}


def test_null_drops_and_says_so(cheap):
    """Where a predicate cannot be answered it drops, under its name with `: null`."""
    means = sorted(row["tone_mean"] for row in cheap.rows().values())
    cheap.stages["tone"] = made.Tone(blind=means[2])
    cheap.where = {"still": f"tone_mean > {means[2]}"}
    cheap.build()
    found = dropped(cheap)
    blind = sum(mean < means[2] for mean in means)
    assert found["still: null"] == blind
    assert found["still"] == sum(mean == means[2] for mean in means)
    cheap.where = {"still": f"tone_mean is null or tone_mean > {means[2]}"}
    cheap.build()
    assert "still: null" not in dropped(cheap)


def test_the_first_predicate_that_drops_gives_its_name(cheap):
    """Predicates stand as the stages do that they read, then as written."""
    cheap.where = {"late": "word_length < 0", "early": "tone_step < 0 and duration_s < 0", "first": "duration_s < 0"}
    cheap.build()
    assert set(dropped(cheap)) == {"first"}


def test_another_split_runs_the_spans_that_are_new(cheap, pool):
    """Half of the clips of half the length are new spans, and those of one second are known."""
    known = len(cheap.rows())
    cheap.split = FixedStride(length=1.0, stride=0.5, min=1.0)
    report = cheap.build()
    assert ran(report)["split"] == len({row["duration"] for row in cheap.rows("videos").values()})
    assert "probe" not in ran(report)
    new = len(cheap.rows()) - known
    assert new > 0
    assert ran(report)["tone"] == new
    assert hits(report)["tone"] == known
    cheap.split = FixedStride(length=1.0, min=0.5)
    assert not ran(cheap.build())


def test_a_knob_runs_nothing(cheap):
    """Batch sizes, a stage's own knobs, workers and shards enter no key, and move no stamp."""
    cheap.stages["word"] = dataclasses.replace(cheap.stages["word"], pace=7, batch=1)
    cheap.stages["tone"] = dataclasses.replace(cheap.stages["tone"], batch=1)
    cheap.local, cheap.shard = dataclasses.replace(cheap.local, workers=1), 1
    assert up_to_date(cheap.config()) is not None
    report = cheap.again()
    assert report.up_to_date
    assert not ran(report)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word2(made.Word):
    """The same stage, a version later, that writes the same."""

    version: ClassVar[int] = 2

    @classmethod
    def title(cls) -> str:
        """The name of the first."""
        return made.Word.title()


def test_equal_output_of_a_new_version_stops_there(cheap):
    """Early cutoff: what reads the stage finds the digests that it knows."""
    cheap.stages |= {"word": made.Word(of="tone"), "length": made.Length(of="word")}
    cheap.build()
    before = cheap.tables()
    cheap.stages["word"] = Word2(of="tone")
    report = cheap.build()
    assert set(ran(report)) == {"word"}
    assert cheap.tables() == before


def test_other_output_goes_on_only_where_it_differs(cheap):
    """Longer words of another style have the same length in tens for all but a few clips."""
    cheap.stages["length"] = made.Length(of="word")
    cheap.build()
    steps = {row["word_length"] for row in cheap.rows().values() if row["kept"]}
    cheap.stages["word"] = made.Word(of="tone", style="a clip of Step")
    report = cheap.build()
    assert set(ran(report)) == {"word"}
    cheap.stages["word"] = made.Word(of="tone", style="a clip of a step")
    report = cheap.build()
    lengths = {row["word_length"] for row in cheap.rows().values() if row["kept"]}
    assert set(ran(report)) == {"word", "length"}
    assert ran(report)["length"] == len(lengths - steps)


@pytest.mark.parametrize("shard", [1, 3])
def test_the_size_of_a_shard_changes_no_result(tmp_path, pool, shard):
    """Videos one by one, or three at a time, come to the same rows."""
    projects = []
    for size in (shard, 256):
        project = Project(tmp_path, CHEAP, where={"w": "word_length > 16"}, store=tmp_path / str(size))
        project.shard = size
        projects.append(project)
    for n in range(8):
        projects[0].put(f"{n}.mp4", pool[n])
    reports = [project.build() for project in projects]
    assert projects[0].tables() == projects[1].tables()
    assert ran(reports[0]) == ran(reports[1])


def test_what_several_shards_ask_for_runs_once(tmp_path, pool):
    """Though they go at once: the words of equal steps are said for one of them, and the others wait for it."""
    project = Project(tmp_path, {"tone": made.Tone(), "word": made.Word(of="tone")})
    project.local, project.shard = dataclasses.replace(project.local, workers=2), 1
    for n in range(8):
        project.put(f"{n}.mp4", pool[n])
    seen = {}
    report = project.build(watch=lambda progress: seen.update({progress.stage: progress}))
    assert seen["word"].done == ran(report)["word"] == len({row["tone_step"] for row in project.rows().values()})
    assert all(row["word"] for row in project.rows().values())


def test_workers_change_no_result(tmp_path, shots):
    """In the build's own process, in one worker and in two: equal tables, and blobs equal to the byte."""
    projects = []
    for workers in (0, 1, 2):
        project = Project(tmp_path, REAL, where=STILL, store=tmp_path / f"store{workers}")
        project.local = dataclasses.replace(project.local, workers=workers)
        projects.append(project)
    for n, shot in enumerate(shots):
        projects[0].put(f"{n}{shot.suffix}", shot)
    reports = [project.build() for project in projects]
    assert ran(reports[0]) == ran(reports[1]) == ran(reports[2])
    tables = [project.tables() for project in projects]
    assert tables[0] == tables[1] == tables[2]
    blobs = [project.blobs() for project in projects]
    assert len(blobs[0]) >= 8
    assert blobs[0] == blobs[1] == blobs[2]


def test_two_datasets_share_what_they_have_in_common(cheap, tmp_path):
    """Another dataset over the store runs what the first has not; parameters differ, spans do not."""
    other = Project(tmp_path, CHEAP | {"pack": made.Pack(level=2)}, store=cheap.store, name="other")
    report = other.build()
    assert set(ran(report)) == {"pack"}
    assert up_to_date(cheap.config()) is not None
    assert {k: (v["tone_mean"], v["word"]) for k, v in other.rows().items()} == {
        k: (v["tone_mean"], v["word"]) for k, v in cheap.rows().items()
    }


def test_two_instances_of_one_recipe_run_once(tmp_path, pool):
    """A stage that stands twice, with the same parameters, is one recipe."""
    project = Project(tmp_path, {"tone": made.Tone(), "shade": made.Tone(), "other": made.Tone(gain=2.0)})
    project.put("0.mp4", pool[2])
    made.CALLS.clear()
    report = project.build()
    assert made.CALLS["Tone"] == 6
    assert ran(report) == {"probe": 1, "split": 1, "tone": 3, "other": 3}
    assert hits(report) == {"shade": 3}
    for row in project.rows().values():
        assert row["tone_mean"] == row["shade_mean"]


def test_actions_that_are_counted_are_those_that_ran(cheap):
    """The report says what the stages say themselves; clips that read equal columns share an action."""
    cheap.stages |= {"word": made.Word(of="tone", style="counted"), "length": made.Length(of="word")}
    made.CALLS.clear()
    report = cheap.build()
    assert Counter({"Word": ran(report)["word"], "Length": ran(report)["length"]}) == made.CALLS
    steps = {row["tone_step"] for row in cheap.rows().values() if row["kept"]}
    assert ran(report)["word"] == len(steps)


def test_no_recipe_keeps_many_fragments(tmp_path, pool, monkeypatch):
    """However small the commits were: a build joins what it left in pieces, and the next finds it all."""
    monkeypatch.setattr(ledger, "ROWS", 1)
    project = Project(tmp_path, {"tone": made.Tone()}, split=FixedStride(length=0.25, min=0.1))
    for n in range(12):
        project.put(f"{n}.mp4", pool[n])
    assert ran(project.build())["tone"] > lance_io.FRAGMENTS
    recipes = sorted((project.store / "actions").glob("*/*.lance"))
    assert max(len(lance.dataset(str(path)).get_fragments()) for path in recipes) <= lance_io.FRAGMENTS <= 128
    assert not ran(project.again())


def test_new_columns_under_an_old_version_are_refused(cheap, monkeypatch):
    """In one line, before anything runs, by a plan too: what is stored does not hold them."""
    monkeypatch.setattr(made.Tone, "writes", {**made.Tone.writes, "more": "int64"})
    for verb in (cheap.again, cheap.plan):
        with pytest.raises(StageError, match=r"made.Tone: it writes 'more', .* of version 1 do not hold; raise its"):
            verb()
