"""What Megatron-Energon keeps beside tars says where each sample and each of its files lies, and it reads by it."""

import json
import sqlite3
import struct
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tiny
import yaml

from vbuild.dataset.export.export import export
from vbuild.dataset.export.selection import name_of

SMALL = {"shard_mb": 1}


@pytest.fixture
def several(monkeypatch):
    """Shards of a few clips, so that there are several."""
    monkeypatch.setattr("vbuild.dataset.export.webdataset.MIB", 100)


def kept(dataset):
    """The clips that are kept, by their names in tars."""
    return {name_of(clip): clip for clip in dataset.search(limit=100).to_pylist()}


def test_each_sample_begins_where_the_index_of_its_tar_says(dataset, tmp_path, several):
    """And the last ends there."""
    out = tmp_path / "out"
    export(dataset, "webdataset", out, options=SMALL)
    seen = set()
    for tar in (out / "shards").glob("*.tar"):
        data = Path(f"{tar}.idx").read_bytes()
        bounds = struct.unpack(f"<{len(data) // 8}Q", data)
        with tarfile.open(tar) as stream:
            members = {member.offset: member for member in stream}
            names = [members[start].name.partition(".")[0] for start in bounds[:-1]]
            assert len(set(names)) == len(names) == len({m.name.partition(".")[0] for m in members.values()})
            assert bounds[-1] == stream.offset
        seen |= set(names)
    assert seen == set(kept(dataset))


def test_the_database_says_where_each_file_lies(dataset, tmp_path, several):
    """In which tar, from which byte on, and how many."""
    out = tmp_path / "out"
    export(dataset, "webdataset", out, options=SMALL)
    meta = out / ".nv-meta"
    counts = json.loads((meta / ".info.json").read_text())["shard_counts"]
    assert len(counts) > 1
    tars = list(counts)
    assert yaml.safe_load((meta / "split.yaml").read_text())["split_parts"] == {"train": tars, "val": [], "test": []}
    with closing(sqlite3.connect(meta / "index.sqlite")) as database:
        samples = database.execute("select * from samples").fetchall()
        assert {tars[tar]: [s[0] for s in samples].count(tar) for tar, *_ in samples} == counts
        for tar, key, number, _, _ in samples:
            where = "select part_name, content_byte_offset, content_byte_size from sample_parts"
            rows = database.execute(f"{where} where tar_file_id = {tar} and sample_index = {number}").fetchall()
            data = (out / tars[tar]).read_bytes()
            parts = {name: data[place : place + size] for name, place, size in rows}
            clip = kept(dataset)[key]
            assert set(parts) == {"mp4", "json", "txt", "embed.npy"}
            assert parts["mp4"] == Path(clip["transcode_uri"]).read_bytes()
            assert json.loads(parts["json"])["clip_id"] == clip["clip_id"]


def test_it_follows_what_changes(dataset, tmp_path, several):
    """A shard that left has no index; what is left tells of what is there, with an id of its own."""
    out = tmp_path / "out"
    export(dataset, "webdataset", out, options=SMALL)
    before = (out / ".nv-meta/index.uuid").read_text()
    ident = min(clip["clip_id"] for clip in kept(dataset).values())
    export(dataset, "webdataset", out, options=SMALL, where=f"clip_id = '{ident}'")
    assert {path.name for path in (out / "shards").iterdir()} == {"000000.tar", "000000.tar.idx"}
    assert (out / ".nv-meta/index.uuid").read_text() != before
    with closing(sqlite3.connect(out / ".nv-meta/index.sqlite")) as database:
        assert database.execute("select count(*) from samples").fetchone() == (1,)
    export(dataset, "webdataset", out, options=SMALL, where="start_s > 100")
    assert not (out / "shards").exists()
    assert yaml.safe_load((out / ".nv-meta/split.yaml").read_text())["split_parts"]["train"] == []


# its own library, in an environment of its own

ENERGON = (
    *("megatron-energon==7.4.1", "mfusepy", "multi-storage-client", "rapidyaml", "s3fs", "filetype", "xattr", "cffi"),
    *("jsonschema", "jsonschema-specifications", "referencing", "rpds-py", "opentelemetry-api", "wcmatch", "bracex"),
    *("prettytable", "wcwidth", "lark", "importlib-metadata", "jmespath"),
)

BY_ENERGON = """
import hashlib, json, sys
from megatron.energon import Cooker, DefaultTaskEncoder, TextSample, WorkerConfig
from megatron.energon import basic_sample_keys, get_loader, get_val_dataset, stateless
from megatron.energon.cache.file_store import WebdatasetFileStore
from megatron.energon.epathlib import EPath


@stateless
def cook(sample):
    (clip,) = sample["mp4"].get_video().video_clips
    said = {"json": sample["json"], "txt": sample["txt"], "embed": sample["embed.npy"].tolist(), "shape": clip.shape}
    return TextSample(**basic_sample_keys(sample), text=json.dumps(said))


class Encoder(DefaultTaskEncoder):
    cookers = [Cooker(cook)]


workers = WorkerConfig(rank=0, world_size=1, num_workers=0)
made = get_val_dataset(sys.argv[1], split_part="train", worker_config=workers, batch_size=1, task_encoder=Encoder())
for batch in get_loader(made):
    print("=", json.dumps([batch.__key__[0], json.loads(batch.text[0])]))
store = WebdatasetFileStore(EPath(sys.argv[1]))
for name in sys.argv[2:]:
    print("*", json.dumps([name, hashlib.sha256(store[f"{name}.mp4"][0]).hexdigest()]))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_own_library_reads_it(dataset, tmp_path, several):
    """Samples of all clips in a row, and single files by their names."""
    import hashlib

    out = tmp_path / "out"
    export(dataset, "webdataset", out, options=SMALL)
    python = tiny.interpreter(tmp_path / "env", *ENERGON)
    clips = kept(dataset)
    done = subprocess.run(
        [python, "-W", "ignore", "-c", BY_ENERGON, str(out), *clips],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    read = dict(json.loads(line[2:]) for line in lines if line.startswith("= "))
    assert len(read) == len(clips)
    for name, clip in clips.items():
        said = next(said for key, said in read.items() if key.endswith(name))
        assert said["shape"] == [20, 3, 48, 64]
        assert said["txt"] == clip["caption"]
        assert said["json"]["clip_id"] == clip["clip_id"]
        assert np.allclose(said["embed"], clip["embed"])
    files = dict(json.loads(line[2:]) for line in lines if line.startswith("* "))
    assert files == {
        name: hashlib.sha256(Path(c["transcode_uri"]).read_bytes()).hexdigest() for name, c in clips.items()
    }


def listed(out):
    """All that the database says, in its order."""
    with closing(sqlite3.connect(out / ".nv-meta/index.sqlite")) as database:
        tables = ("samples", "sample_parts", "shards")
        return {table: database.execute(f"select * from {table} order by rowid").fetchall() for table in tables}


def test_of_shards_that_stay_the_database_keeps_what_it_says(dataset, tmp_path, several):
    """Only those that changed are read: one that stays may by now be anything of its size."""
    out, afresh = tmp_path / "out", tmp_path / "afresh"
    export(dataset, "webdataset", out, options=SMALL)
    before = {tar.name: tar.read_bytes() for tar in (out / "shards").glob("*.tar")}
    with tarfile.open(out / "shards" / max(before, key=lambda name: len(before[name]))) as stream:
        changed = f"clip_id != '{kept(dataset)[stream.next().name.partition('.')[0]]['clip_id']}'"
    export(dataset, "webdataset", afresh, options=SMALL, where=changed)
    after = {tar.name: tar.read_bytes() for tar in (afresh / "shards").glob("*.tar")}
    same = [name for name in after if after[name] == before.get(name)]
    assert 0 < len(same) < len(after)
    for name in same:
        (out / "shards" / name).write_bytes(bytes(len(after[name])))
    export(dataset, "webdataset", out, options=SMALL, where=changed)
    assert listed(out) == listed(afresh)
    assert (out / ".nv-meta/index.sqlite").read_bytes() == (afresh / ".nv-meta/index.sqlite").read_bytes()
