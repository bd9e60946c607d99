"""What verify finds, and that the next build makes it good."""

import lance
import numpy as np
import pyarrow as pa
import pytest
from made import Tone

from vbuild.engine import plan
from vbuild.maintenance.rerun import rerun
from vbuild.maintenance.verify import verify


def said(done) -> list[str]:
    return [f"{p.what}: {p.why}" for p in done.problems]


def test_a_sound_store_is_sound(shop):
    """Every result, blob and table of a build is looked at, and nothing is found."""
    shop.build()
    done = verify(shop.store, sample=1.0)
    assert said(done) == []
    assert (done.results, done.blobs, done.tables) == (2 + 1 + 3 * 4, 4, 5)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("harm", "why"),
    [(flip, "are not those"), (truncate, "bytes, and had"), (lambda path: path.unlink(), "is gone")],
    ids=["flipped", "truncated", "deleted"],
)
def test_a_damaged_blob_is_found_and_made_again(shop, harm, why):
    """Its record and what is left of it are dropped, and one action makes it as it was."""
    shop.build()
    victim = shop.blobs()[0]
    before = victim.read_bytes()
    harm(victim)
    dry = verify(shop.store, sample=1.0, repair=False)
    done = verify(shop.store, sample=1.0)
    assert said(dry) == said(done)
    (line,) = said(done)
    assert why in line
    assert not victim.exists()
    assert [s.reasons for s in plan(shop.config).stages if s.ran] == [{"evicted": 1}]
    assert shop.ran() == {"transcode": 1}
    assert victim.read_bytes() == before
    assert said(verify(shop.store, sample=1.0)) == []


def test_a_file_that_is_no_blob_is_left_alone(shop):
    """A damaged result that names it is dropped and made again."""
    shop.build()
    precious = shop.store / "precious.mp4"
    precious.write_bytes(b"precious")
    (path,) = shop.recipes("transcode")
    results = lance.dataset(str(path))
    (name,) = (name for name in results.schema.names if name.endswith("_uri"))
    key = results.to_table()["key"][0].as_py().hex()
    results.update({name: "'../precious.mp4'"}, where=f"key = X'{key}'")
    (line,) = said(verify(shop.store, sample=1.0))
    assert "no blob is called so" in line
    assert precious.read_bytes() == b"precious"
    assert shop.ran() == {"transcode": 1}


def test_a_value_that_was_changed_is_found(shop):
    """A result whose digest is not that of its value is dropped and made again."""
    shop.build()
    (path,) = shop.recipes("perceptual")
    clips = shop.clips()
    results = lance.dataset(str(path))
    table = results.to_table()
    vectors = np.array(table["value"].to_pylist(), np.float32)
    vectors[1, 0] += 0.25
    changed = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
    table = table.set_column(table.column_names.index("value"), results.schema.field("value"), changed)
    lance.write_dataset(table, str(path), mode="overwrite")
    (line,) = said(verify(shop.store, sample=1.0))
    assert "its digest is not that of its value" in line
    assert shop.ran() == {"embed": 1}
    assert shop.clips() == clips


def test_a_damaged_recipe_and_a_damaged_table_are_said(shop):
    """Files of Lance that were cut off or deleted are told by name."""
    shop.build()
    for file in (shop.recipes("quality")[0] / "data").iterdir():
        truncate(file)
    for file in (shop.config.output / "d" / "videos.lance" / "data").iterdir():
        file.unlink()
    lines = said(verify(shop.store, sample=1.0))
    assert len(lines) == 2
    assert lines[0].startswith("results quality/")
    assert lines[1].startswith("d/videos of build")


def test_a_note_that_says_something_else_is_dropped(shop):
    """The recipe in words must be that of the folder."""
    shop.build()
    note = shop.recipes("quality")[0].with_suffix(".json")
    note.write_text(note.read_text().replace('"version": 1', '"version": 2'))
    assert len(said(verify(shop.store))) == 1
    assert not note.exists()
    assert said(verify(shop.store)) == []


def test_a_sample_looks_at_some(shop):
    """At least one result of each recipe."""
    shop.build()
    assert verify(shop.store, sample=0.5).results == 1 + 1 + 3 * 2


def test_actions_run_again_alike(shop):
    """All actions of a build, the probe, the split and the encoder among them, give what was stored."""
    shop.build()
    lines, left = rerun(shop.store, 1000)
    assert left == []
    assert {line.said for line in lines} == {"equal"}
    assert {line.instance for line in lines} == {"probe", "split", "quality", "embed", "transcode"}
    assert len({line.key for line in lines if line.instance == "transcode"}) == 4


def test_an_action_that_gives_something_else_is_told(shop, monkeypatch):
    """A stage whose code changed without a word is found out."""
    shop.change(stages={"tone": Tone()})
    shop.build()
    before = Tone.run
    monkeypatch.setattr(
        Tone, "run", lambda self, clips, model: ({**row, "step": -1} for row in before(self, clips, model))
    )
    lines, _ = rerun(shop.store, 1000)
    assert {line.field for line in lines if not line.same} == {"step"}
    assert all("→ -1" in line.said for line in lines if not line.same)


def test_a_dataset_whose_videos_are_gone_is_named(shop):
    """What cannot run again is said, and is no fault."""
    shop.build()
    for path in shop.videos.iterdir():
        path.unlink()
    lines, left = rerun(shop.store, 5)
    assert lines == []
    assert left[0].startswith("d: its actions cannot run again")
