"""Text embeddings of the stage t5 are in the exports of Cosmos-Curate's kind, each beside the text that it is of."""

import json
import pickle
import tarfile
import uuid
from pathlib import Path

import models_tiny
import numpy as np
import pyarrow.parquet as pq
import pytest
from embedded import film
from project import Project
from safetensors.numpy import load_file
from serving import served

import vbuild
from vbuild.dataset.export import curated
from vbuild.dataset.export.export import export
from vbuild.executor.config import Local
from vbuild.models.server import Server
from vbuild.stage import Windows
from vbuild.stages.caption import Caption
from vbuild.stages.describe import Describe
from vbuild.stages.perceptual import Perceptual
from vbuild.stages.t5 import T5
from vbuild.stages.transcode import Transcode


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A video of a second that is one clip of three windows, each with a caption of a server and its vectors."""
    folder = tmp_path_factory.mktemp("texts")
    t5 = T5(model=str(models_tiny.make(folder / "t5", "t5")), of="said", device="cpu")
    with served() as server:
        windows = Windows(frames=6, remainder=4, min=1)
        said = Caption(model=None, served="tiny", server=Server(base_url=server.url), windows=windows)
        stages = {"said": said, "t5": t5, "transcode": Transcode(preset="ultrafast"), "embed": Perceptual()}
        made = Project(folder, stages)
        made.local = Local(workers=1)
        made.put("a.mp4", film(folder))
        assert not made.build().failures
    return made


@pytest.fixture
def dataset(project):
    return vbuild.open("d", store=project.store)


def told(dataset):
    """The clip, its windows in order, and their vectors as the stage wrote them."""
    (clip,) = dataset.search().to_pylist()
    windows = sorted(dataset.captions.search().to_list(), key=lambda window: window["window"])
    held = load_file(clip["t5_uri"])
    vectors = [held[str(n)] for n in range(len(windows))]
    assert len(vectors) == 3
    assert all(vector.dtype == np.float16 and vector.shape[1] == 32 for vector in vectors)
    return clip, windows, vectors


def alike(held, wanted):
    """Whether these are lists of the same arrays."""
    return [(one.dtype, one.tolist()) for one in held] == [(one.dtype, one.tolist()) for one in wanted]


def test_a_window_has_a_pickle_of_its_own(dataset, tmp_path):
    """Of a list with its one array, called as its video and its text are."""
    out = tmp_path / "out"
    done = export(dataset, "cosmos_predict2", out)
    assert done.remarks == []
    root = out / "cosmos_predict2_video2world_dataset"
    clip, windows, vectors = told(dataset)
    names = sorted((root / "t5_xxl").iterdir(), key=lambda path: int(path.stem.split("_")[1]))
    assert [name.stem for name in names] == [f"{curated.span_uuid(clip)}_{span}" for span in ("0_5", "6_11", "12_15")]
    for name, window, vector in zip(names, windows, vectors, strict=True):
        assert alike(pickle.loads(name.read_bytes()), [vector])
        assert (root / "metas" / f"{name.stem}.txt").read_text() == window["text"]
        assert (root / "videos" / f"{name.stem}.mp4").is_file()


def test_a_clip_of_a_shard_has_those_of_all_its_windows(dataset, tmp_path, monkeypatch):
    """One pickle, in order, under the key that its video has."""
    monkeypatch.setattr("vbuild.dataset.export.bins.SHORTEST", 0.5)
    out = tmp_path / "out"
    assert export(dataset, "webdataset", out, options={"layout": "cosmos"}).remarks == []
    clip, _, vectors = told(dataset)
    (path,) = out.rglob("t5_xxl/part_000000/000000.tar")
    with tarfile.open(path) as tar:
        (member,) = tar
        assert member.name == f"{clip['clip_id']}.pickle"
        assert alike(pickle.load(tar.extractfile(member)), vectors)


def test_vectors_of_another_captioner_are_not_taken(project, tmp_path):
    """They are of other texts than those beside them."""
    stages = {**project.stages, "described": Describe()}
    other = Project(tmp_path, stages, store=project.store, videos=project.videos, name="other")
    other.local = project.local
    other.build()
    dataset = vbuild.open("other", store=project.store)
    done = export(dataset, "cosmos_predict2", tmp_path / "out", options={"captioner": "described"})
    assert done.remarks == ["t5_xxl/ is left out: no stage t5 of described is in the dataset"]
    assert not list((tmp_path / "out").rglob("*.pickle"))
    assert export(dataset, "cosmos_predict2", tmp_path / "both", options={"captioner": "said"}).remarks == []
    assert len(list((tmp_path / "both").rglob("*.pickle"))) == 3


def test_vectors_for_searches_as_cosmos_curate_writes_them(dataset, tmp_path):
    """A file a video: id, embedding, and what people want to see of a clip as JSON."""
    out = tmp_path / "out"
    options = {"upload_cds_parquet": True, "generate_embeddings": False, "output_path": "/somewhere"}
    export(dataset, "curator", out, options=options)
    clip, windows, _ = told(dataset)
    table = pq.read_table(out / "cds_parquet" / f"{uuid.uuid5(uuid.NAMESPACE_URL, clip['uri'])}_0.parquet")
    assert table.column_names == ["id", "embedding", "$meta"]
    (row,) = table.to_pylist()
    assert row["id"] == curated.span_uuid(clip)
    assert np.allclose(row["embedding"], clip["embed"])
    assert json.loads(row["$meta"]) == {
        "clip_location": f"/somewhere/clips/{row['id']}.mp4",
        "model_name": "perceptual",
        "model_version": "unspecified",
        "source_video_location": clip["uri"],
        "caption": " | ".join(window["text"] for window in windows),
    }
    assert (out / "clips" / f"{row['id']}.mp4").read_bytes() == Path(clip["transcode_uri"]).read_bytes()
    assert not list(out.glob("*_embd*"))
