"""What gc takes, and what it must not."""

import shutil
import subprocess
import sys
from datetime import timedelta

import lance
import pytest
from made import Tone

from vbuild.dataset.read import open as opened
from vbuild.errors import StoreError
from vbuild.maintenance.gc import LOOSE, gc
from vbuild.store import roots, stamps

NOW = timedelta(0)


def test_nothing_goes_that_the_dataset_uses(shop):
    """After the hardest gc the dataset is as it was, and nothing has to run."""
    shop.build()
    clips, blobs = shop.clips(), shop.blobs()
    gc(shop.store, keep_builds=1, older_than=NOW)
    assert shop.clips() == clips
    assert shop.blobs() == blobs
    assert shop.ran() == {}


def test_what_an_earlier_build_used_goes_with_it(shop):
    """The recipe of a parameter that no kept build has goes with its blobs; the other recipes stay."""
    shop.build()
    old = set(shop.blobs())
    shop.stage("transcode", crf=45)
    shop.build()
    new = set(shop.blobs()) - old
    gc(shop.store, keep_builds=2, older_than=NOW)
    assert set(shop.blobs()) == old | new
    swept = gc(shop.store, keep_builds=1, older_than=NOW)
    assert set(shop.blobs()) == new
    assert len(shop.recipes("transcode")) == len(shop.recipes("quality")) == 1
    assert swept.parts["transcode recipes"].gone == 1
    assert swept.parts[f"{LOOSE} blobs"].gone_bytes > 0
    assert shop.ran() == {}


def test_clusters_go_with_their_embedding(shop):
    """What is remembered of a recipe that no kept build has."""
    shop.build()
    kept, gone = (shop.store / "clusters" / name for name in (shop.recipes("quality")[0].stem, "0" * 32))
    for folder in (kept, gone):
        folder.mkdir(parents=True)
    gc(shop.store, keep_builds=1, older_than=NOW)
    assert kept.is_dir()
    assert not gone.exists()


def test_what_is_young_stays(shop):
    """By default nothing goes that is younger than a month."""
    shop.build()
    shop.stage("transcode", crf=45)
    shop.build()
    blobs = shop.blobs()
    swept = gc(shop.store, keep_builds=1)
    assert shop.blobs() == blobs
    assert swept.freed == 0


def test_a_dry_run_says_what_a_gc_does(shop):
    """The same figures, and nothing is touched, not even the epoch."""
    shop.build()
    shop.stage("transcode", crf=45)
    shop.build()
    blobs, epoch = shop.blobs(), stamps.epoch(shop.store)
    said = gc(shop.store, keep_builds=1, older_than=NOW, dry=True)
    assert (shop.blobs(), stamps.epoch(shop.store)) == (blobs, epoch)
    done = gc(shop.store, keep_builds=1, older_than=NOW)
    counts = [{name: (p.kept, p.gone) for name, p in swept.parts.items()} for swept in (said, done)]
    assert counts[0] == counts[1]


def test_clips_whose_video_is_gone_give_up_their_blobs(shop):
    """Of a recipe that is kept, the rows and blobs of clips that no kept build has go."""
    shop.build()
    (shop.videos / "1.mp4").unlink()
    shop.build()
    assert len(shop.blobs()) == 4
    gc(shop.store, keep_builds=1, older_than=NOW)
    assert len(shop.blobs()) == 2
    assert shop.ran() == {}
    shop.put(1)
    assert shop.ran() == {"transcode": 2}


def test_builds_that_go_take_their_versions_along(shop):
    """The builds that stay can be opened, those that went are gone; what tables hold stays known."""
    ids = []
    for crf in (40, 42, 44):
        shop.stage("transcode", crf=crf)
        ids.append(shop.build().build)
    gc(shop.store, keep_builds=2, older_than=NOW)
    for build in ids[1:]:
        assert opened("d", store=shop.store, build=build).clips.count_rows() == 4
    folder = shop.config.output / "d"
    assert lance.dataset(str(folder / "builds.lance")).to_table()["id"].to_pylist() == ids[1:]
    assert shop.build().build is None
    assert set(lance.dataset(str(folder / "clips.lance")).tags.list()) == {
        *ids[1:],
        *(f"{build}.digests" for build in ids[1:]),
        "kept",
    }


def test_a_dataset_that_lies_elsewhere_is_seen(shop, tmp_path):
    """What a dataset outside of the store uses stays; if its disk is away gc refuses, until it is given up."""
    shop.change(output=tmp_path / "disk" / "sets")
    shop.build()
    blobs = shop.blobs()
    gc(shop.store, keep_builds=1, older_than=NOW)
    assert shop.blobs() == blobs
    (tmp_path / "disk").rename(tmp_path / "away")
    with pytest.raises(StoreError, match="mount it"):
        gc(shop.store, keep_builds=1, older_than=NOW)
    assert shop.blobs() == blobs
    roots.forget(shop.store, shop.config.output / "d")
    gc(shop.store, keep_builds=1, older_than=NOW)
    assert shop.blobs() == []


def test_a_dataset_that_was_deleted_keeps_nothing(shop):
    """Deleting its folder gives a dataset up."""
    shop.build()
    shutil.rmtree(shop.config.output / "d")
    gc(shop.store, older_than=NOW)
    assert shop.blobs() == []
    assert not any(shop.recipes(stage) for stage in ("quality", "transcode", "probe", "perceptual"))


def test_the_recipes_of_a_build_that_changed_no_table_stay(shop):
    """A parameter that changed nothing still has its results afterwards."""
    shop.change(stages={**shop.config.stages, "tone": Tone()})
    shop.build()
    shop.stage("tone", blind=-2.0)
    assert shop.build().build is None
    gc(shop.store, keep_builds=1, older_than=NOW)
    assert shop.ran() == {}


def test_what_a_running_build_uses_stays(shop):
    """While it runs, its recipes, and blobs that no row names yet, are safe; when it is dead they are not."""
    shop.build()
    shutil.rmtree(shop.config.output / "d")
    recipe = shop.recipes("transcode")[0].stem
    code = (
        "import sys, time; from pathlib import Path\n"
        "from vbuild.store import roots; from vbuild.store.blobs import Blobs\n"
        "store = Path(sys.argv[1]); run = store / 'runs' / 'x'; run.mkdir(parents=True)\n"
        "live = roots.enter(store, run, store / 'datasets' / 'd', {'transcode': sys.argv[2]}, time.time())\n"
        "print(Blobs(store).put(b'fresh', '.bin').uri, flush=True); time.sleep(100)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(shop.store), recipe], stdout=subprocess.PIPE, text=True
    ) as process:
        fresh = shop.store / "blobs" / process.stdout.readline().strip()
        swept = gc(shop.store, older_than=NOW)
        assert swept.running == 1
        assert [path.stem for path in shop.recipes("transcode")] == [recipe]
        assert not shop.recipes("quality")
        assert len(shop.blobs()) == 5
        process.kill()
    gc(shop.store, older_than=NOW)
    assert not fresh.exists()
    assert not shop.recipes("transcode")


def test_the_short_cut_is_not_taken_after_a_gc(shop):
    """Stamps of before say nothing after it."""
    shop.build()
    assert shop.build().seconds < 1
    epoch = stamps.epoch(shop.store)
    gc(shop.store)
    assert stamps.epoch(shop.store) == epoch + 1
