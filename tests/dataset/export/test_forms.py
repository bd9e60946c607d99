"""Every form of export is read back by what its users read it with, and follows what changes."""

import importlib
import io
import json
import pickle
import uuid
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from vbuild.dataset.export import curated
from vbuild.dataset.export.export import export
from vbuild.dataset.export.form import FORMS
from vbuild.dataset.export.publish import STATE
from vbuild.dataset.export.selection import name_of
from vbuild.errors import DatasetError, ExportError, UsageError


def paths(folder: Path) -> set[str]:
    """All files but the state."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return {p.as_posix() for p in found if p.parts[0] != STATE}


def kept(dataset):
    """The clips that are kept, in order."""
    return dataset.search(limit=100).to_pylist()


def frames(data) -> int:
    """Pictures of a video file."""
    with av.open(io.BytesIO(data) if isinstance(data, bytes) else str(data)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("form", FORMS)
def test_again_nothing_is_written(dataset, tmp_path, form):
    """The second export of the same build leaves every file as it is."""
    out = tmp_path / "out"
    first = export(dataset, form, out).files
    assert first.written
    assert first.kept == first.removed == 0
    second = export(dataset, form, out).files
    assert second.written == second.removed == 0
    assert second.kept == first.written
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["clips"], summary["videos"], summary["seconds"]) == (3, 2, 6.0)


@pytest.mark.parametrize(
    "form", ["curator", "webdataset", "mds", "litdata", "huggingface", "parquet", "jsonl", "cosmos_predict2"]
)
def test_what_left_is_removed(dataset, tmp_path, form):
    """Fewer clips: their files go, the others stay; more again: they come back, and the folder is as at first."""
    out = tmp_path / "out"
    export(dataset, form, out)
    before = {path: (out / path).read_bytes() for path in paths(out)}
    fewer = export(dataset, form, out, where="start_s = 0")
    assert fewer.clips == 2
    assert len(paths(out)) < len(before) or form in ("webdataset", "mds", "litdata")
    export(dataset, form, out)
    assert {path: (out / path).read_bytes() for path in paths(out)} == before


def test_jsonl_lists_clips_beside_their_files(dataset, tmp_path):
    """A line a clip with its columns and windows; the file is named for people, and is the store's."""
    out = tmp_path / "out"
    export(dataset, "jsonl", out)
    rows = [json.loads(line) for line in (out / "clips.jsonl").read_text().splitlines()]
    clips = kept(dataset)
    assert [row["clip_id"] for row in rows] == [clip["clip_id"] for clip in clips]
    assert rows[0]["file"] == f"clips/a_b_0000000_0002000_{clips[0]['clip_id'][:12]}.mp4"
    assert rows[0]["motion_mean"] == pytest.approx(clips[0]["motion_mean"])
    assert rows[0]["captions"][0]["text"] == clips[0]["caption"]
    assert "embed" not in rows[0]
    assert "row_digest" not in rows[0]
    for row, clip in zip(rows, clips, strict=True):
        assert (out / row["file"]).read_bytes() == Path(clip["transcode_uri"]).read_bytes()


@pytest.mark.parametrize(("files", "begins"), [("absolute", "/"), ("relative", "blobs/")])
def test_files_may_stay_in_the_store(dataset, tmp_path, files, begins):
    """Named by whole paths, or as the tables name them; nothing is copied."""
    out = tmp_path / "out"
    export(dataset, "jsonl", out, options={"files": files, "columns": ["clip_id"]})
    rows = [json.loads(line) for line in (out / "clips.jsonl").read_text().splitlines()]
    assert all(row["file"].startswith(begins) for row in rows)
    assert all((dataset.store / row["file"]).is_file() for row in rows)
    assert [set(row) for row in rows] == [{"file", "clip_id", "captions"}] * 3
    assert not (out / "clips").exists()


def test_parquet_holds_vectors(dataset, tmp_path):
    """All columns, read by pyarrow and by polars."""
    import polars

    out = tmp_path / "out"
    export(dataset, "parquet", out)
    table = pq.read_table(out / "data")
    assert sorted(table["clip_id"].to_pylist()) == sorted(clip["clip_id"] for clip in kept(dataset))
    vectors = {clip["clip_id"]: clip["embed"] for clip in kept(dataset)}
    assert all(row["embed"] == vectors[row["clip_id"]] for row in table.select(["clip_id", "embed"]).to_pylist())
    frame = polars.read_parquet(out / "data" / "*.parquet")
    assert set(frame["captions"][0][0]) >= {"text", "status"}
    assert all((out / file).is_file() for file in frame["file"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves shards open
def test_webdataset_is_read_by_its_library(dataset, tmp_path):
    """Samples of mp4, json, txt and npy."""
    wds = importlib.import_module("webdataset")
    out = tmp_path / "out"
    export(dataset, "webdataset", out)
    samples = list(wds.WebDataset(str(out / "shards" / "000000.tar"), shardshuffle=False).decode())
    clips = {name_of(clip): clip for clip in kept(dataset)}
    assert {sample["__key__"] for sample in samples} == set(clips)
    for sample in samples:
        clip = clips[sample["__key__"]]
        assert frames(sample["mp4"]) == clip["transcode_frames"] == 20
        assert sample["txt"] == clip["caption"]
        assert sample["json"]["clip_id"] == clip["clip_id"]
        assert np.allclose(sample["embed.npy"], clip["embed"])


def test_shards_grow_in_number_with_what_they_hold(dataset, tmp_path, monkeypatch):
    """No shard holds more than was asked for on average, and every clip lies in one."""
    monkeypatch.setattr("vbuild.dataset.export.webdataset.MIB", 1000)
    out = tmp_path / "out"
    export(dataset, "webdataset", out, options={"shard_mb": 1})
    counts = json.loads((out / ".nv-meta" / ".info.json").read_text())["shard_counts"]
    assert len(counts) > 1
    assert sum(counts.values()) == 3


def test_the_shards_of_cosmos_curate(dataset, tmp_path, monkeypatch):
    """Three tars of one name in the folder of a bin, wdinfo.json beside them, and the list of bins."""
    import tarfile

    monkeypatch.setattr("vbuild.dataset.export.bins.SHORTEST", 1.0)
    out = tmp_path / "out"
    done = export(dataset, "webdataset", out, options={"layout": "cosmos"})
    assert done.remarks == ["t5_xxl/ is left out: no stage t5 is in the dataset"]
    place = "v0/resolution_lt_720/aspect_ratio_4_3/duration_5_10"
    assert paths(out) - {"croissant.json", "summary.json"} == {
        f"{place}/video/part_000000/000000.tar",
        f"{place}/metas/part_000000/000000.tar",
        f"{place}/wdinfo.json",
        "v0/wdinfo_list.csv",
    }
    info = json.loads((out / place / "wdinfo.json").read_text())
    assert info["data_list"] == ["part_000000/000000.tar"]
    assert info["total_key_count"] == 3
    names = []
    for kind in ("video", "metas"):
        with tarfile.open(out / place / kind / "part_000000/000000.tar") as tar:
            names.append([member.name.partition(".")[0] for member in tar])
    assert names[0] == names[1] == sorted(clip["clip_id"] for clip in kept(dataset))


def test_clips_under_five_seconds_are_in_no_bin(dataset, tmp_path):
    """As Cosmos-Curate leaves them out."""
    out = tmp_path / "out"
    export(dataset, "webdataset", out, options={"layout": "cosmos"})
    assert paths(out) == {"v0/wdinfo_list.csv", "croissant.json", "summary.json"}


def test_huggingface_is_read_by_datasets(dataset, tmp_path, monkeypatch):
    """load_dataset gives a column of videos that are the clips' files, the text, and the vectors."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = importlib.import_module("datasets")
    out = tmp_path / "out"
    export(dataset, "huggingface", out, options={"licence": "cc-by-4.0"})
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert isinstance(loaded.features["video"], datasets.Video)
    rows = list(loaded.cast_column("video", datasets.Video(decode=False)))
    clips = {clip["clip_id"]: clip for clip in kept(dataset)}
    assert {row["clip_id"] for row in rows} == set(clips)
    for row in rows:
        assert frames(Path(row["video"]["path"])) == 20
        assert row["text"] == clips[row["clip_id"]]["caption"]
        assert np.allclose(row["embed"], clips[row["clip_id"]]["embed"])
    assert (out / "README.md").read_text().startswith("---\nlicense: cc-by-4.0\n")


def test_huggingface_splits_by_a_column(dataset, tmp_path, monkeypatch):
    """Any column of few values parts the clips."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = importlib.import_module("datasets")
    out = tmp_path / "out"
    export(dataset, "huggingface", out, options={"split": "tone_step"})
    steps = [str(clip["tone_step"]) for clip in kept(dataset)]
    assert {path.split("/")[1] for path in paths(out) if path.startswith("data/")} == set(steps)
    assert datasets.__version__
    with pytest.raises(ExportError, match="split=fold: d has no such column"):
        export(dataset, "huggingface", tmp_path / "other", options={"split": "fold"})


def test_lance_holds_the_files(dataset, tmp_path):
    """A clip's bytes are a blob that opens as a file."""
    import lance

    out = tmp_path / "out"
    export(dataset, "lance", out)
    held = lance.dataset(str(out / "clips.lance"))
    ids = held.to_table(columns=["clip_id"])["clip_id"].to_pylist()
    clips = {clip["clip_id"]: clip for clip in kept(dataset)}
    for blob, ident in zip(held.take_blobs("video", indices=range(len(ids))), ids, strict=True):
        assert blob.read() == Path(clips[ident]["transcode_uri"]).read_bytes()


def test_an_edit_list_is_read_by_the_splitter(dataset, tmp_path):
    """Spans come back as scenes of the same frames."""
    from vbuild.split.written import edited

    out = tmp_path / "out"
    export(dataset, "edl", out)
    assert paths(out) == {"a b.mp4.edl", "deep/c.mp4.edl", "croissant.json", "summary.json"}
    spans = edited("a b.mp4.edl", (out / "a b.mp4.edl").read_text())
    assert [(bound.start.index(10), bound.end.index(10)) for bound in spans] == [(0, 20), (20, 40)]


def test_a_timeline_is_read_by_its_library(dataset, tmp_path):
    """Clips lie in it by frames of the source, with what is known of them."""
    otio = importlib.import_module("opentimelineio")
    out = tmp_path / "out"
    export(dataset, "otio", out)
    timeline = otio.adapters.read_from_file(str(out / "a b.mp4.otio"))
    clips = [clip for clip in kept(dataset) if clip["uri"].endswith("a b.mp4")]
    shown = list(timeline.find_clips())
    assert [one.name for one in shown] == [clip["clip_id"] for clip in clips]
    assert [one.source_range.start_time.to_seconds() for one in shown] == [0.0, 2.0]
    assert [one.source_range.duration.to_seconds() for one in shown] == [2.0, 2.0]
    assert shown[0].metadata["vbuild"]["caption"] == clips[0]["caption"]


# Curator's tree


def test_curators_tree(dataset, tmp_path):
    """Its folders and names: a file, a preview and metadata a clip, a file of vectors and of metadata a video."""
    out = tmp_path / "out"
    export(dataset, "curator", out, options={"pickles": True})
    clips = kept(dataset)
    ids = [
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{c['uri']}_{int(c['start_s'] * 10)}_{int(c['end_s'] * 10)}"))
        for c in clips
    ]
    videos = {str(uuid.uuid5(uuid.NAMESPACE_URL, f"{clip['uri']}_0")) for clip in clips}
    assert paths(out) - {"croissant.json", "summary.json"} == {
        *(f"clips/{i}.mp4" for i in ids),
        *(f"metas/v0/{i}.json" for i in ids),
        *(f"previews/{i}/0_19.webp" for i in ids),
        *(f"embed_embd/{i}.pickle" for i in ids),
        *(f"embed_embd_parquet/{v}.parquet" for v in videos),
        *(f"processed_videos/{name}.json" for name in ("a b.mp4", "deep/c.mp4")),
        *(f"processed_clip_chunks/{name}_0.json" for name in ("a b.mp4", "deep/c.mp4")),
    }
    assert np.allclose(pickle.loads((out / f"embed_embd/{ids[0]}.pickle").read_bytes()), clips[0]["embed"])
    tables = [pq.read_table(path) for path in (out / "embed_embd_parquet").iterdir()]
    assert {name for table in tables for name in table.column_names} == {"id", "embedding"}
    assert {i for table in tables for i in table["id"].to_pylist()} == set(ids)


def test_curators_metadata_of_a_clip(dataset, tmp_path):
    """Its keys in its order, with what the clip's own file holds."""
    out = tmp_path / "out"
    export(dataset, "curator", out)
    clip = kept(dataset)[0]
    ident = curated.span_uuid(clip)
    data = json.loads((out / f"metas/v0/{ident}.json").read_text())
    assert list(data) == [
        *("span_uuid", "source_video", "duration_span", "width_source", "height_source", "framerate_source"),
        *("clip_location", "width", "height", "framerate", "num_frames", "video_codec", "num_bytes"),
        *("motion_score", "windows", "valid"),
    ]
    assert data["duration_span"] == [0.0, 2.0]
    assert data["clip_location"] == f"clips/{ident}.mp4"
    assert data["num_bytes"] == (out / "clips" / f"{ident}.mp4").stat().st_size
    assert data["num_frames"] == 20
    assert data["motion_score"]["global_mean"] == pytest.approx(clip["motion_mean"])
    assert data["windows"] == [{"start_frame": 0, "end_frame": 19, "describe_caption": clip["caption"]}]
    assert data["valid"] is True


def test_curators_counts_of_a_video(dataset, tmp_path):
    """What passed, what was dropped, and all texts."""
    out = tmp_path / "out"
    export(dataset, "curator", out)
    video = json.loads((out / "processed_videos/deep/c.mp4.json").read_text())
    assert list(video)[1:] == [
        *("height", "width", "framerate", "num_frames", "duration", "video_codec", "pixel_format", "audio_format"),
        *("num_total_clips", "num_clip_chunks"),
    ]
    assert (video["num_frames"], video["num_total_clips"], video["num_clip_chunks"]) == (40, 2, 1)
    chunk = json.loads((out / "processed_clip_chunks/deep/c.mp4_0.json").read_text())
    assert (chunk["num_clips_passed"], chunk["num_clips_transcoded"], chunk["num_clips_with_webp"]) == (1, 1, 1)
    assert (chunk["num_clips_with_caption"], chunk["num_clips_with_embeddings"]) == (1, 1)
    assert (len(chunk["clips"]), len(chunk["filtered_clips"])) == (1, 1)
    assert list(chunk["all_windows"]) == chunk["clips"]
    assert chunk["num_clips_filtered_by_motion"] == 0


def test_curators_switches(dataset, tmp_path):
    """Each leaves its part out."""
    out = tmp_path / "out"
    off = dict.fromkeys(("upload_clips", "generate_embeddings", "generate_previews", "generate_captions"), False)
    export(dataset, "curator", out, options=off)
    assert {path.partition("/")[0] for path in paths(out)} == {
        *("metas", "processed_videos", "processed_clip_chunks", "croissant.json", "summary.json"),
    }


def test_curators_helpers_of_paths():
    """As its own class has them."""
    assert curated.get_output_path_clips("/o/") == "/o/clips"
    assert curated.get_output_path_clips("/o", filtered=True) == "/o/filtered_clips"
    assert curated.get_output_path_metas("/o", "v0") == "/o/metas/v0"
    assert curated.get_output_path_iv2_embd_parquet("/o") == "/o/iv2_embd_parquet"
    assert curated.get_output_path_processed_clip_chunks("/o") == "/o/processed_clip_chunks"


def test_windows_of_cosmos_predict2(dataset, tmp_path):
    """A video and a text of each window."""
    out = tmp_path / "out"
    export(dataset, "cosmos_predict2", out)
    root = out / "cosmos_predict2_video2world_dataset"
    clip = kept(dataset)[0]
    name = f"{curated.span_uuid(clip)}_0_19"
    assert frames(root / "videos" / f"{name}.mp4") == 20
    assert (root / "metas" / f"{name}.txt").read_text() == clip["caption"]
    assert len(list(root.rglob("*.mp4"))) == 3


def test_a_window_is_cut_out_frame_for_frame(dataset, tmp_path):
    """A clip of several windows gives a file of each, with its own pictures."""
    from vbuild.dataset.export.cosmos_predict2 import cut

    source = Path(kept(dataset)[0]["transcode_uri"])
    cut(source, tmp_path / "w.mp4", 0.5, 1.5)

    def pictures(path):
        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]

    whole, part = pictures(source), pictures(tmp_path / "w.mp4")
    assert len(part) == 10
    assert all(np.abs(a - b).mean() < 4 for a, b in zip(whole[5:15], part, strict=True))


# errors


def test_what_there_is_not_is_said(dataset, tmp_path):
    """A form, an option, a condition, a stage."""
    with pytest.raises(UsageError, match="--format webdatset: there is no such form; did you mean 'webdataset'"):
        export(dataset, "webdatset", tmp_path / "o")
    with pytest.raises(UsageError, match="shard: there is no such key; did you mean 'shard_mb'"):
        export(dataset, "webdataset", tmp_path / "o", options={"shard": 1})
    with pytest.raises(DatasetError, match="d has no column 'speed'"):
        export(dataset, "jsonl", tmp_path / "o", where="speed > 1")
    with pytest.raises(ExportError, match="media=motion: it makes no file of a clip in d"):
        export(dataset, "jsonl", tmp_path / "o", media="motion")
    assert not (tmp_path / "o").exists() or not paths(tmp_path / "o")


def test_a_file_that_is_gone_from_the_store_is_said(shop, tmp_path):
    """With its path, and what to do."""
    import shutil

    import vbuild

    store = tmp_path / "store"
    shutil.copytree(shop.store, store)
    dataset = vbuild.open("d", store=store)
    Path(kept(dataset)[0]["transcode_uri"]).unlink()
    with pytest.raises(ExportError, match="the file is gone from the store; build d again"):
        export(dataset, "jsonl", tmp_path / "out")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own
@pytest.mark.parametrize("form", FORMS)
def test_the_description_is_valid_croissant(dataset, tmp_path, form):
    """As its own library judges."""
    mlcroissant = importlib.import_module("mlcroissant")
    out = tmp_path / "out"
    export(dataset, form, out)
    assert mlcroissant.Dataset(str(out / "croissant.json")).metadata.name == "d"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own
@pytest.mark.parametrize(("form", "records"), [("jsonl", "list_records"), ("parquet", "table_records")])
def test_the_description_tells_the_columns(dataset, tmp_path, form, records):
    """Its own library reads rows by it."""
    mlcroissant = importlib.import_module("mlcroissant")
    out = tmp_path / "out"
    export(dataset, form, out, options={"columns": ["clip_id", "start_s", "transcode_frames"]})
    rows = list(mlcroissant.Dataset(str(out / "croissant.json")).records(records))
    held = {row[f"{records}/clip_id"].decode(): row[f"{records}/transcode_frames"] for row in rows}
    assert held == {clip["clip_id"]: 20 for clip in kept(dataset)}
