"""A dataset that was built is read clip by clip: rows in an order that stays, frames, and files."""

import json
import pickle
from pathlib import Path

import lance
import numpy as np
import pytest
from footage import video
from made import Encoded, Tone
from project import Project

import vbuild
from vbuild.dataset.export.selection import Selection
from vbuild.errors import DatasetError
from vbuild.stages.transcode import Transcode

GREYS = {"b.mp4": (40, 200), "a.mp4": (90, 150, 60)}
PLACES = [("a.mp4", 0), ("a.mp4", 1), ("a.mp4", 2), ("b.mp4", 0), ("b.mp4", 1)]
KEPT = [place for place in PLACES if place != ("b.mp4", 0)]


def made(folder, **more):
    """Two videos, five clips of one grey each, of which the darkest is dropped."""
    project = Project(folder, {"tone": Tone(), **more}, where={"lit": "tone_mean > 50"})
    for name, greys in GREYS.items():

        def picture(time, greys=greys):
            return np.full((48, 64, 3), greys[min(int(time), len(greys) - 1)], np.uint8)

        project.put(name, video(folder / name, seconds=len(greys), fps=4, size=(64, 48), gop=12, picture=picture))
    project.build()
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """With a file of each clip."""
    return made(tmp_path_factory.mktemp("read"), transcode=Transcode(crf=10), copy=Transcode(codec="copy"))


@pytest.fixture
def dataset(project):
    return vbuild.open("d", store=project.store)


def places(rows):
    """Which clips they are: file and second."""
    files = [Path(uri).name for uri in rows["uri"].to_pylist()]
    return list(zip(files, rows["start_s"].to_pylist(), strict=True))


def in_batches(batches):
    """The same of all."""
    return [place for batch in batches for place in places(batch)]


def one(dataset, name, second):
    """A clip by its place."""
    rows = dataset.to_arrow(["clip_id", "uri", "start_s"], everything=True)
    return dataset.clip(rows["clip_id"][places(rows).index((name, second))].as_py())


def test_all_clips_are_scanned_in_order(dataset):
    """In batches, by video and time, those that were kept by default; bookkeeping is no column."""
    batches = list(dataset.scan(batch=3))
    assert [len(batch) for batch in batches] == [3, 1]
    assert in_batches(batches) == KEPT
    assert batches[0].schema.names == dataset.columns()
    assert "row_digest" not in dataset.columns()
    assert in_batches(dataset.scan(everything=True, batch=2)) == PLACES


def test_some_columns_of_some_clips(dataset):
    """As they are asked for and in that order; files by whole paths, which are there."""
    (batch,) = dataset.scan(["transcode_uri", "tone_mean"], "tone_mean > 70")
    assert batch.schema.names == ["transcode_uri", "tone_mean"]
    assert [round(mean, -1) for mean in batch["tone_mean"].to_pylist()] == [90, 150, 200]
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in batch["transcode_uri"].to_pylist())
    assert list(dataset.scan(where="tone_mean > 1000")) == []
    assert dataset.to_arrow(["clip_id"], "tone_mean > 1000").schema.names == ["clip_id"]


def test_what_cannot_be_scanned_is_said(dataset):
    """Before anything is read."""
    with pytest.raises(DatasetError, match="columns=tone_maen: d has no such column; did you mean 'tone_mean'"):
        dataset.scan(["tone_maen"])
    with pytest.raises(DatasetError, match="d has no column 'tone_maen'; did you mean 'tone_mean'"):
        dataset.scan(where="tone_maen > 1")
    with pytest.raises(DatasetError, match="batch=0: a whole number of 1 or more"):
        dataset.scan(batch=0)


def test_the_whole_of_it_for_other_libraries(dataset):
    """As Arrow, pandas and Polars."""
    assert places(dataset.to_arrow()) == KEPT
    assert dataset.to_pandas(["tone_step"])["tone_step"].tolist() == [2, 4, 1, 6]
    assert dataset.to_polars(["tone_step"], everything=True)["tone_step"].to_list() == [2, 4, 1, 1, 6]


def test_it_goes_to_other_processes(dataset):
    """Opened or not, it is pickled."""
    assert dataset.clips.count_rows() == 5
    again = pickle.loads(pickle.dumps(dataset))
    assert in_batches(again.scan()) == KEPT


def test_a_clip_is_decoded_from_its_file(dataset):
    """So many frames, of a size, in the clip's own colours; every frame of it unless fewer are asked for."""
    for (name, second), grey in zip(KEPT, (90, 150, 60, 200), strict=True):
        clip = one(dataset, name, second)
        found = clip.frames(count=2, size=16)
        assert found.pixels.shape == (2, 16, 16, 3)
        assert found.pixels.mean() == pytest.approx(grey, abs=4)
        every = clip.frames(short_side=24)
        assert every.pixels.shape == (4, 24, 32, 3)
        assert every.times.tolist() == pytest.approx([0, 0.25, 0.5, 0.75])
        assert clip.frames(fps=2, size=(20, 10)).pixels.shape == (2, 10, 20, 3)
        assert clip.bytes() == clip.path.read_bytes()
        assert clip.bytes()[4:8] == b"ftyp"
        assert clip.row["transcode_uri"] == str(clip.path)


def test_a_clip_without_a_file_is_decoded_from_its_source(dataset):
    """The one that was dropped before it was encoded."""
    clip = one(dataset, "b.mp4", 0)
    assert clip.path is None
    assert clip.frames().pixels.shape == (4, 48, 64, 3)
    assert clip.frames().pixels.mean() == pytest.approx(40, abs=4)
    with pytest.raises(DatasetError, match=f"clip {clip.id}: it has no file of its own .* dropped before"):
        clip.bytes()
    with pytest.raises(DatasetError, match=r"frames: .*one of fps, count and every is needed"):
        clip.frames(fps=1, count=2)


def test_a_copy_is_decoded_from_the_clips_start(tmp_path):
    """Its file begins on the keyframe before the clip, and those frames are none of the clip's."""
    project = made(tmp_path, copy=Transcode(codec="copy"))
    dataset = vbuild.open("d", store=project.store)
    clip = one(dataset, "a.mp4", 1)
    assert clip.row["copy_start"] == -1
    found = clip.frames()
    assert len(found.times) == 4
    assert found.pixels.mean() == pytest.approx(150, abs=4)
    assert found.pixels.std() < 4


def test_any_stage_may_make_the_files(tmp_path):
    """A clip, its training and its exports take them by one rule: the first that tells what a file is."""
    project = made(tmp_path, small=Encoded(crf=30, preset="ultrafast"), large=Transcode(preset="ultrafast"))
    dataset = vbuild.open("d", store=project.store)
    assert dataset.media == ["small", "large"]
    clip = one(dataset, "a.mp4", 1)
    assert str(clip.path) == clip.row["small_uri"]
    assert clip.frames(count=1).pixels.mean() == pytest.approx(150, abs=6)
    assert Selection(dataset).instance == "small"
    assert Selection(dataset, media="large").instance == "large"
    rows = [sample["clip_id"] for sample in dataset.torch(frames=1, size=16).loader(1)]
    assert len(rows) == 4


def test_another_file_in_the_place_of_a_source_is_not_taken_for_it(tmp_path):
    """Nor one that is gone."""
    project = made(tmp_path)
    clip = one(vbuild.open("d", store=project.store), "b.mp4", 1)
    assert clip.frames().pixels.mean() == pytest.approx(200, abs=4)
    source = project.videos / "b.mp4"
    with source.open("ab") as file:
        file.write(b"more")
    with pytest.raises(DatasetError, match=r"b.mp4: it has \d+ bytes and had \d+ .* build d again"):
        clip.frames()
    source.unlink()
    with pytest.raises(DatasetError, match=r"b.mp4: it cannot be read \(No such file or directory\)"):
        clip.frames()
    with pytest.raises(DatasetError, match="add stage transcode"):
        clip.bytes()


def test_files_are_found_by_what_tables_say(dataset):
    """By the path in the store, and by the whole path."""
    ref = dataset.clips.search().where("kept").limit(1).to_list()[0]["transcode_uri"]
    assert ref.startswith("blobs/")
    assert dataset.blob(ref).bytes() == dataset.blob(str(dataset.store / ref)).bytes()
    with pytest.raises(DatasetError, match=r"blobs/00/1\.mp4: no such file is in the store; build d again"):
        dataset.blob("blobs/00/1.mp4")


def test_a_clip_is_named_by_the_beginning_of_its_id(dataset):
    """As much as tells it from others."""
    whole = one(dataset, "a.mp4", 0).id
    assert dataset.clip(whole[:8]).id == whole
    with pytest.raises(DatasetError, match="xyz: a clip id is hex"):
        dataset.clip("xyz")
    with pytest.raises(DatasetError, match="00000000: d has no such clip"):
        dataset.clip("00000000")


def test_tables_and_builds_are_named(dataset):
    """Every table at the build's version; one that is not there, and a build, are answered with what there is."""
    assert dataset.failures.count_rows() == 0
    assert dataset.at(dataset.build["id"]).clips.version == dataset.clips.version
    with pytest.raises(DatasetError, match="d: it has no table 'clip'; did you mean 'clips'"):
        dataset.table("clip")
    with pytest.raises(DatasetError, match="d: it has no build x"):
        dataset.at("x")


def test_clips_of_a_video_that_came_later_stand_where_they_belong(tmp_path):
    """Rows lie in the table in the order in which they came; they are read in that of videos and times."""
    made = Project(tmp_path, {"tone": Tone()})
    for grey, name in ((60, "m.mp4"), (90, "z.mp4"), (120, "a.mp4")):
        film = tmp_path / name
        made.put(
            name,
            video(film, seconds=2, fps=4, size=(64, 48), picture=lambda _, g=grey: np.full((48, 64, 3), g, np.uint8)),
        )
        made.build()
    dataset = vbuild.open("d", store=made.store)
    order = [(name, second) for name in ("a.mp4", "m.mp4", "z.mp4") for second in (0, 1)]
    assert in_batches(dataset.scan(batch=4)) == order
    assert places(dataset.search(limit=3)) == order[:3]


def test_a_dataset_that_was_built_before_is_read_and_brought_up_to_date(tmp_path):
    """When bookkeeping was a column of its tables: it is no column here, and after the next build it is none there."""
    project = made(tmp_path)
    folder = project.store / "datasets" / "d"
    versions = {}
    for path in folder.glob("[!b]*.lance"):
        table = lance.dataset(str(path))
        table.checkout_version(f"{vbuild.open('d', store=project.store).build['id']}.digests").restore()
        for tag in table.tags.list():
            lance.dataset(str(path)).tags.delete(tag)
        versions[path.stem] = lance.dataset(str(path)).version
    lance.dataset(str(folder / "builds.lance")).update({"tables": f"'{json.dumps(versions)}'"})
    old = vbuild.open("d", store=project.store)
    assert "row_digest" in old.clips.schema.names
    for rows in (old.to_arrow(), old.search(), old.sql("select * from kept")):
        assert "row_digest" not in rows.column_names
        assert sorted(places(rows)) == KEPT
    report = project.again()
    assert (sum(s.ran for s in report.stages), report.changed["clips"]) == (0, {"added": 0, "updated": 0, "deleted": 0})
    new = vbuild.open("d", store=project.store)
    assert "row_digest" not in new.clips.schema.names
    assert new.to_arrow(everything=True) == old.to_arrow(everything=True)
    assert project.again().build is None
