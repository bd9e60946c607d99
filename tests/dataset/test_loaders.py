"""A dataset reads well in the libraries that people have, with no vbuild: all its clips, or the kept ones alone."""

import duckdb
import lance
import lancedb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from footage import video
from made import Point, Tone, Word
from project import Project

from vbuild.stages.transcode import Transcode

GREYS = (30, 90, 150, 210)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Four clips, of which the darkest is dropped, with numbers, a vector, a text, and a file each."""
    folder = tmp_path_factory.mktemp("loaders")
    stages = {"tone": Tone(), "spot": Point(), "word": Word(of="tone"), "file": Transcode(preset="ultrafast")}
    made = Project(folder, stages, where={"lit": "tone_mean > 50"})
    film = video(
        folder / "a.mp4", seconds=4, fps=4, size=(64, 48), gop=4,
        picture=lambda at: np.full((48, 64, 3), GREYS[min(int(at), 3)], np.uint8),
    )  # fmt: skip
    made.put("a.mp4", film)
    made.build()
    return made


@pytest.fixture
def folder(project):
    return project.store / "datasets" / "d"


STEPS = [2, 4, 6]
"""What `tone_step` of the kept clips is, in order."""


def test_lancedb(project, folder):
    """Tables by name; conditions, words and vectors; a file by the path in the store; kept clips by their tag."""
    database = lancedb.connect(str(folder))
    assert {"clips", "videos", "captions", "duplicates", "failures", "builds"} <= {*database.list_tables().tables}
    clips = database.open_table("clips")
    assert clips.count_rows() == 4
    assert "row_digest" not in clips.schema.names
    rows = clips.search().where("kept").select(["tone_step", "file_uri"]).to_list()
    assert sorted(row["tone_step"] for row in rows) == STEPS
    assert all((project.store / row["file_uri"]).is_file() for row in rows)
    assert len(clips.search("clip", query_type="fts").to_list()) == 3
    assert clips.search([0.5] * 4, vector_column_name="spot").limit(1).to_list()[0]["clip_id"]
    clips.checkout("kept")
    assert sorted(clips.to_arrow()["tone_step"].to_pylist()) == STEPS


def test_lance_with_no_condition(folder):
    """The tag `kept` is a version like any other."""
    kept = lance.dataset(str(folder / "clips.lance"), version="kept")
    assert sorted(kept.to_table(columns=["tone_step"])["tone_step"].to_pylist()) == STEPS
    assert lance.dataset(str(folder / "clips.lance")).count_rows() == 4


def test_duckdb(folder):
    """Conditions and joins over tables as Arrow hands them over, vectors and all."""
    clips, videos = (lance.dataset(str(folder / f"{name}.lance")) for name in ("clips", "videos"))
    assert clips is not videos
    found = duckdb.sql("select tone_step, codec from clips join videos using (uri) where kept order by tone_step")
    assert found.fetchall() == [(step, "h264") for step in STEPS]
    (row,) = duckdb.sql("select * from clips where not kept").fetchall()
    assert "row_digest" not in [column for column, *_ in duckdb.sql("select * from clips").description]
    assert len(row) == len(clips.schema.names)


def test_polars(folder):
    """Lazily, with conditions pushed down; and whole."""
    clips = pl.scan_pyarrow_dataset(lance.dataset(str(folder / "clips.lance")))
    found = clips.filter(pl.col("kept")).select("tone_step", "spot", "word").collect()
    assert sorted(found["tone_step"].to_list()) == STEPS
    assert found["spot"].to_numpy().shape == (3, 4)
    assert clips.collect().shape[0] == 4


def test_pandas(folder):
    """By lancedb, and by parquet."""
    table = lancedb.connect(str(folder)).open_table("clips").to_pandas()
    assert isinstance(table, pd.DataFrame)
    assert sorted(table[table["kept"]]["tone_step"]) == STEPS
    assert table["word"].str.startswith("a clip").sum() == 3


def test_datasets(folder, tmp_path):
    """Of the hub's library: from Arrow as it is, and mapped."""
    datasets = pytest.importorskip("datasets")
    kept = lance.dataset(str(folder / "clips.lance"), version="kept").to_table()
    made = datasets.Dataset(kept)
    assert sorted(made["tone_step"]) == STEPS
    assert len(made[0]["spot"]) == 4
    assert made.filter(lambda row: row["tone_step"] > 2, cache_file_name=str(tmp_path / "cache.arrow")).num_rows == 2
