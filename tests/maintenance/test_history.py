"""What was built, what changed, and how it is brought back."""

import json
import shutil
from datetime import timedelta

import pytest

from vbuild.cli.main import run
from vbuild.dataset.read import open as opened
from vbuild.decisions.dedup import Dedup
from vbuild.errors import DatasetError
from vbuild.maintenance.gc import gc
from vbuild.maintenance.history import diff, find_build, log, restore


def folder(shop):
    return shop.config.output / "d"


def between(shop, a, b):
    return diff(folder(shop), find_build(folder(shop), a), find_build(folder(shop), b))


def test_the_log_says_what_changed(shop):
    """Each build with its counts, what ran, and in what it differs from the one before."""
    shop.build()
    shop.stage("transcode", crf=45)
    shop.change(where={"dark": "quality_black < 0.5"})
    shop.build()
    shop.put(2)
    stages = dict(shop.config.stages)
    del stages["embed"]
    shop.change(stages=stages, where={})
    shop.build()
    last, middle, first = log(folder(shop))
    assert first.changes == ["first build"]
    assert first.ran == {"probe": 2, "split": 1, "quality": 4, "embed": 4, "transcode": 4}
    assert middle.changes == ["stages.transcode.crf 40 → 45", "where.dark added (quality_black < 0.5)"]
    assert middle.ran == {"transcode": 4}
    assert last.changes == [
        "stages.embed taken away", "where.dark taken away (quality_black < 0.5)",
        "videos 2 → 3", "clips 4 → 6", "kept 4 → 6",
    ]  # fmt: skip
    assert last.counts == {"videos": 3, "clips": 6, "kept": 6, "failures": 0}


def test_a_diff_names_the_clips_that_came_went_and_changed(shop):
    """By clip id, with the stages whose columns have other values."""
    a = shop.build().build
    shop.put(2)
    (shop.videos / "1.mp4").unlink()
    shop.stage("transcode", crf=45)
    b = shop.build().build
    found = between(shop, a, b)
    uris = {row["clip_id"]: row["uri"][-5:] for row in shop.clips()}
    assert {uris[clip] for clip in found.added} == {"2.mp4"}
    assert len(found.added) == len(found.removed) == 2
    assert {uris[clip] for clip in found.changed} == {"0.mp4"}
    assert list(found.changed.values()) == [["transcode"]] * 2
    assert found.declared == ["stages.transcode.crf 40 → 45"]
    assert found.flips == []
    back = between(shop, b, a)
    assert (back.added, back.removed) == (found.removed, found.added)


def test_a_diff_says_which_decision_flipped_a_clip_and_why(shop):
    """By a condition that is new or moved, by values that moved, and by a dedup."""
    shop.build()
    values = sorted(row["quality_sharpness"] for row in shop.clips())
    low, high = (values[0] + values[1]) / 2, (values[2] + values[3]) / 2
    shop.change(where={"sharp": f"quality_sharpness > {low}"})
    shop.build()
    assert [(f.kept, f.decision) for f in between(shop, log(folder(shop))[1].build, "last").flips] == [(False, "sharp")]
    shop.change(where={"sharp": f"quality_sharpness > {high}"})
    shop.build()
    moved = between(shop, log(folder(shop))[1].build, "last").flips
    assert {f.reason for f in moved} == {f"where.sharp quality_sharpness > {low} → quality_sharpness > {high}"}
    shop.stage("quality", short_side=24)
    shop.build()
    moved = between(shop, log(folder(shop))[1].build, "last").flips
    assert moved
    assert all(f.reason.startswith("quality_sharpness ") for f in moved)
    shop.change(where={}, stages={**shop.config.stages, "dedup": Dedup(of="embed", eps=0.9)})
    shop.build()
    flips = between(shop, log(folder(shop))[-1].build, "last").flips
    assert {(f.kept, f.decision, f.reason) for f in flips} == {(False, "dedup", "stages.dedup added")}


def test_a_restored_build_is_served_and_the_next_build_goes_on_from_it(shop):
    """All tables are as they were; a build then brings them up to date, and runs nothing that is stored."""
    a = shop.build().build
    before = shop.clips()
    shop.stage("transcode", crf=45)
    shop.put(2)
    b = shop.build().build
    after = shop.clips()
    done = restore(shop.store, folder(shop), a)
    assert (done.source, done.missing) == (a, 0)
    assert shop.clips() == before
    served = opened("d", store=shop.store)
    assert served.build["id"] == done.build
    assert served.clips.count_rows() == 4
    assert served.videos.count_rows() == 2
    assert log(folder(shop))[0].changes == [f"restored {a}"]
    report = shop.build()
    assert not any(stage.ran for stage in report.stages)
    assert not report.up_to_date
    assert shop.clips() == after
    for build, rows in ((a, 4), (b, 6), (done.build, 4), (report.build, 6)):
        assert opened("d", store=shop.store, build=build).clips.count_rows() == rows


def test_a_restore_says_which_files_are_gone(shop):
    """Tables outlive blobs that somebody took away."""
    a = shop.build().build
    shop.stage("transcode", crf=45)
    shop.build()
    shutil.rmtree(shop.store / "blobs")
    assert restore(shop.store, folder(shop), a).missing == 4


def test_a_restored_build_keeps_what_it_uses_from_gc(shop):
    """Its recipes are those of the build that was brought back."""
    a = shop.build().build
    first = shop.blobs()
    shop.stage("transcode", crf=45)
    shop.build()
    restore(shop.store, folder(shop), a)
    gc(shop.store, keep_builds=1, older_than=timedelta(0))
    assert set(first) <= set(shop.blobs())


def test_builds_go_by_the_end_of_their_ids(shop):
    """An end or a beginning that one build alone has will do; else the builds are named."""
    build = shop.build().build
    assert find_build(folder(shop), build[-6:])["id"] == build
    with pytest.raises(DatasetError, match=f"no build nine; there are {build}"):
        find_build(folder(shop), "nine")


def test_the_verbs_print_tables_and_json(shop, capsys):
    """What people read, and what programs read."""

    def said(*arguments: str, code: int = 0) -> str:
        assert run(arguments) == code
        return capsys.readouterr().out

    shop.build()
    shop.stage("transcode", crf=45)
    shop.build()
    store = f"--store={shop.store}"
    for arguments in (
        ("log", "d", store), ("diff", "d", store), ("gc", store), ("verify", store, "--all", "--rerun=3"),
        ("restore", "d", log(folder(shop))[1].build, store),
    ):  # fmt: skip
        assert said(*arguments).endswith("\n")
        assert json.loads(said(*arguments, "--json"))
    assert "stages.transcode.crf 40 → 45" in said("log", "d", store)
    assert "~4 clips" in said("diff", "d", log(folder(shop))[-1].build, log(folder(shop))[-2].build, store)
    shop.blobs()[0].unlink()
    text = said("verify", store, "--all", code=1)
    assert "is gone (dropped" in text
