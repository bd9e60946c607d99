"""Vectors of embedders that Curator has too lie under its names for them."""

import json

import pyarrow.parquet as pq
import pytest
import tiny
from footage import video
from project import Project

import vbuild
from vbuild.dataset.export import curated
from vbuild.dataset.export.export import export
from vbuild.dataset.export.selection import Selection
from vbuild.stages.cosmos_embed1 import CosmosEmbed1
from vbuild.stages.internvideo2 import InternVideo2
from vbuild.stages.perceptual import Perceptual
from vbuild.stages.transcode import Transcode


@pytest.fixture
def dataset(tmp_path, tmp_path_factory, monkeypatch):
    """A clip with vectors of two sizes of Cosmos-Embed1, of InternVideo2, and of a stage that Curator has not."""
    tiny.code_apart(tmp_path_factory.mktemp("modules"), monkeypatch)
    at = {"device": "cpu"}
    small, large = (
        tiny.cosmos(tmp_path / f"Cosmos-Embed1-{size}", embed_dim=d) for size, d in (("224p", 8), ("336p", 4))
    )
    file = tiny.checkpoint(tmp_path / "iv" / "model.pt", side=4, patch=56, dim=512)
    stages = {
        "looks": Perceptual(),
        "embed": CosmosEmbed1(model=str(small), trust_remote_code=True, **at),
        "finer": CosmosEmbed1(model=str(large), trust_remote_code=True, **at),
        "acts": InternVideo2(model=str(file.parent), text=str(tiny.bert(tmp_path / "bert")), **at),
        "transcode": Transcode(preset="ultrafast"),
    }
    made = Project(tmp_path, stages)
    made.put("a.mp4", video(tmp_path / "a.mp4", seconds=1.0, fps=8, size=(64, 48), seed=2))
    report = made.build()
    assert not report.failures, report.firsts
    return vbuild.open("d", store=made.store)


def test_folders_of_vectors_bear_curators_names(dataset, tmp_path):
    """The first of a stage that Curator has lies where its readers look; a second, and others, by their column."""
    out = tmp_path / "out"
    export(dataset, "curator", out, options={"pickles": True})
    widths = {}
    for folder in out.glob("*_embd_parquet"):
        (file,) = folder.iterdir()
        widths[folder.name.removesuffix("_parquet")] = len(pq.read_table(file)["embedding"][0].as_py())
    assert widths == {"looks_embd": 329, "ce1_embd": 8, "finer_embd": 4, "iv2_embd": 512}
    assert {folder.name for folder in out.glob("*_embd")} == set(widths)


def test_vectors_for_searches_tell_curators_name(dataset, tmp_path):
    """With the size of Cosmos-Embed1; what Curator has not bears the stage's own."""
    clips = Selection(dataset)
    assert {column: curated.embedder(clips, column) for column in clips.embeddings} == {
        "embed": "cosmos-embed1-224p",
        "finer": "cosmos-embed1-336p",
        "acts": "internvideo2",
        "looks": "perceptual",
    }
    out = tmp_path / "out"
    export(dataset, "curator", out, options={"upload_cds_parquet": True})
    (file,) = (out / "cds_parquet").iterdir()
    (told,) = pq.read_table(file)["$meta"].to_pylist()
    assert json.loads(told)["model_name"] == curated.embedder(clips, next(iter(clips.embeddings)))
