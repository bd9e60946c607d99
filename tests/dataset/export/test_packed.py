"""Shards of MosaicML Streaming and of LitData hold what their formats say, and their own libraries read them."""

import itertools
import json
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny

from vbuild.dataset.export.export import export
from vbuild.dataset.export.packed import cells, pack
from vbuild.dataset.export.samples import Sample
from vbuild.errors import ExportError

FORMS = ("mds", "litdata")


def kept(dataset):
    """The clips that are kept, by id."""
    return {clip["clip_id"]: clip for clip in dataset.search(limit=100).to_pylist()}


def packed(data):
    """The samples of a shard, and what stands before them: uint32 count, uint32 bounds, more."""
    (count,) = struct.unpack_from("<I", data)
    bounds = struct.unpack_from(f"<{count + 1}I", data, 4)
    assert bounds[-1] == len(data)
    return data[4 * (count + 2) : bounds[0]], [data[a:b] for a, b in itertools.pairwise(bounds)]


def fields(sample, sizes):
    """The fields of a sample, of which it tells the sizes that are not given."""
    place = 4 * sizes.count(None)
    told = iter(struct.unpack_from(f"<{sizes.count(None)}I", sample))
    found = []
    for size in sizes:
        length = next(told) if size is None else size
        found.append(sample[place : place + length])
        place += length
    assert place == len(sample)
    return found


def of_mds(folder):
    """The samples of a folder by the layout that MosaicML Streaming documents."""
    index = json.loads((folder / "index.json").read_text())
    assert index["version"] == 2
    for shard in index["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        head, samples = packed(data)
        assert len(samples) == shard["samples"]
        assert len(data) == shard["raw_data"]["bytes"]
        assert json.loads(head).items() <= shard.items()
        for sample in samples:
            found = fields(sample, shard["column_sizes"])
            columns = zip(shard["column_names"], shard["column_encodings"], found, strict=True)
            yield {name: decoded(kind, cell) for name, kind, cell in columns}


def decoded(kind, cell):
    """A value of one of the encodings that we write."""
    if kind.startswith("ndarray:"):
        _, numbers, size = kind.split(":")
        vector = np.frombuffer(cell, numbers)
        assert vector.shape == (int(size),)
        return vector
    return {"bytes": bytes, "str": bytes.decode, "json": json.loads}[kind](cell)


def of_litdata(folder):
    """The samples of a folder by the layout that LitData documents."""
    index = json.loads((folder / "index.json").read_text())
    config = index["config"]
    protocol, tree = json.loads(config["data_spec"])
    assert (protocol, tree["type"]) == (1, "builtins.dict")
    names = json.loads(tree["context"])
    assert len(tree["children_spec"]) == len(names) == len(config["data_format"])
    for chunk in index["chunks"]:
        data = (folder / chunk["filename"]).read_bytes()
        head, samples = packed(data)
        assert (head, len(samples), len(data)) == (b"", chunk["chunk_size"], chunk["chunk_bytes"])
        for sample in samples:
            found = dict(zip(names, fields(sample, [None] * len(names)), strict=True))
            texts = {name: found[name].decode() for name in ("clip_id", "caption")}
            yield {**found, **texts, "json": json.loads(found["json"]), "embed": np.frombuffer(found["embed"], "f4")}


READ = {"mds": of_mds, "litdata": of_litdata}


def assert_holds(samples, clips):
    """Each clip once: its file, its columns, its caption and its vector."""
    assert sorted(sample["clip_id"] for sample in samples) == sorted(clips)
    for sample in samples:
        clip = clips[sample["clip_id"]]
        assert sample["video"] == Path(clip["transcode_uri"]).read_bytes()
        assert sample["caption"] == clip["caption"]
        assert sample["json"]["motion_mean"] == pytest.approx(clip["motion_mean"])
        assert sample["json"]["captions"][0]["text"] == clip["caption"]
        assert np.allclose(sample["embed"], clip["embed"])


@pytest.mark.parametrize("form", FORMS)
def test_samples_lie_as_the_format_says(dataset, tmp_path, form):
    """In one shard by default, as these clips are small."""
    export(dataset, form, tmp_path / "out")
    assert_holds(list(READ[form](tmp_path / "out")), kept(dataset))


@pytest.mark.parametrize("form", FORMS)
def test_a_clip_that_leaves_changes_its_shard_and_the_index(dataset, tmp_path, monkeypatch, form):
    """Shards hold no more than was asked for on average; those of the other clips stay."""
    monkeypatch.setattr("vbuild.dataset.export.packed.MIB", 100)
    out = tmp_path / "out"
    clips = kept(dataset)
    first = export(dataset, form, out, options={"shard_mb": 1}).files
    index = json.loads((out / "index.json").read_text())
    count = len(index.get("shards") or index["chunks"])
    assert count > 1
    assert_holds(list(READ[form](out)), clips)
    gone = min(clips)  # no shard is empty: of several clips in one, one goes
    second = export(dataset, form, out, options={"shard_mb": 1}, where=f"clip_id != '{gone}'")
    assert second.files.written + second.files.removed < first.written
    assert_holds(list(READ[form](out)), {ident: clip for ident, clip in clips.items() if ident != gone})


@pytest.mark.parametrize("form", FORMS)
def test_no_clips_are_an_index_of_nothing(dataset, tmp_path, form):
    """And no shard."""
    export(dataset, form, tmp_path / "out", where="start_s > 100")
    assert list(READ[form](tmp_path / "out")) == []


@pytest.mark.parametrize("form", FORMS)
def test_vectors_and_captions_are_as_asked_for(dataset, tmp_path, form):
    """Vectors may stay away; the caption may be of any column."""
    out = tmp_path / "out"
    export(dataset, form, out, options={"embeddings": False, "caption": "clip_id"})
    index = (out / "index.json").read_text()
    assert "ndarray" not in index
    assert "numpy" not in index
    (shard,) = [p for p in out.iterdir() if p.suffix in (".mds", ".bin")]
    for ident in kept(dataset):
        assert shard.read_bytes().count(ident.encode()) >= 3


def test_what_a_clip_lacks_is_empty_or_nan(tmp_path):
    """Of a vector as many as it would have, of its own type."""
    sample = Sample({"clip_id": "a"}, tmp_path / "a.mp4", "{}", None, {"embed": None})
    held = cells(sample, {"embed": ("float16", 3)})
    assert held["caption"] == b""
    assert np.isnan(np.frombuffer(held["embed"], "f2")).tolist() == [True] * 3


def test_a_shard_that_is_too_large_is_refused(tmp_path):
    """Before anything of it is written."""
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(1 << 32)
    with pytest.raises(ExportError, match=r"a shard of 4\.3 GB is more than 4 GiB; give a smaller shard_mb"):
        pack(tmp_path / "shard", [[large]])
    assert not (tmp_path / "shard").exists()


# their own libraries, each in an environment of its own

MOSAICML = ("mosaicml-streaming==0.13.0", "catalogue", "python-snappy", "cramjam", "zstd", "brotli")

BY_MOSAICML = """
import importlib.util, sys, types

# the package itself imports what it has for pictures too, for which torchvision is wanted
package = types.ModuleType("streaming")
package.__path__ = list(importlib.util.find_spec("streaming").submodule_search_locations)
sys.modules["streaming"] = package
from streaming.base.dataset import StreamingDataset

samples = StreamingDataset(local=sys.argv[1], batch_size=1, shuffle=False)
"""

LITDATA = ("litdata==0.2.76", "lightning-utilities", "boto3", "botocore", "s3transfer", "jmespath", "obstore")

BY_LITDATA = """
import sys
import litdata

samples = litdata.StreamingDataset(sys.argv[1])
"""

TOLD = """
import hashlib, json
import numpy as np

for n in range(len(samples)):
    sample = dict(samples[n])
    sample["video"] = hashlib.sha256(sample["video"]).hexdigest()
    sample["embed"] = np.asarray(sample["embed"]).tolist()
    print("=", json.dumps(sample))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("form", "packages", "script"), [("mds", MOSAICML, BY_MOSAICML), ("litdata", LITDATA, BY_LITDATA)]
)
def test_its_own_library_reads_it(dataset, tmp_path, monkeypatch, form, packages, script):
    """Samples of all clips, out of several shards."""
    import hashlib

    monkeypatch.setattr("vbuild.dataset.export.packed.MIB", 100)
    out = tmp_path / "out"
    export(dataset, form, out, options={"shard_mb": 1})
    python = tiny.interpreter(tmp_path / "env", *packages)
    done = subprocess.run(
        [python, "-W", "ignore", "-c", script + TOLD, str(out)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    clips = kept(dataset)
    samples = [json.loads(line[2:]) for line in done.stdout.splitlines() if line.startswith("= ")]
    assert sorted(sample["clip_id"] for sample in samples) == sorted(clips)
    for sample in samples:
        clip = clips[sample["clip_id"]]
        assert sample["video"] == hashlib.sha256(Path(clip["transcode_uri"]).read_bytes()).hexdigest()
        assert sample["caption"] == clip["caption"]
        held = sample["json"] if form == "mds" else json.loads(sample["json"])
        assert held["clip_id"] == clip["clip_id"]
        assert np.allclose(sample["embed"], clip["embed"])
