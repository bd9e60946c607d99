"""The memory that each verb takes which reads a dataset, and each form of export, of clips that are made up.

Sizes follow VBUILD_BENCH_READ (1 000 000) and VBUILD_BENCH_WIDE. All clips have one and the same small file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa

from benches.measure import Measure
from benches.store import INDEXES, build, chance, nothing, rows, videos
from vbuild.dataset.commit import commit
from vbuild.dataset.tables.captions import CAPTIONS
from vbuild.dataset.tables.failures import FAILURES
from vbuild.dataset.target import Group, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

READ = int(os.environ.get("VBUILD_BENCH_READ", "1000000"))

MOST = 2048
"""MiB that a verb may take."""

FILE = "blobs/00/00.mp4"
SHAPE = {
    "source_w": 1280,
    "source_h": 720,
    "source_fps": 25.0,
    "transcode_w": 1280,
    "transcode_h": 720,
    "transcode_fps": 25.0,
    "transcode_frames": 125,
    "transcode_codec": "h264",
}

READING: dict[str, list[str]] = {
    "ls": ["ls"],
    "show": ["show", "made"],
    "log": ["log", "made"],
    "diff": ["diff", "made"],
    "failures": ["failures", "made"],
    "query, a condition": ["query", "made", "--where", "motion_mean > 0.5"],
    "query, words": ["query", "made", "red", "night"],
    "query, like a clip": ["query", "made", "--like", "CLIP"],
    "query, duplicates of a clip": ["query", "made", "--duplicates-of", "CLIP"],
    "query, sql": ["query", "made", "--sql", "select dropped_by, count(*) from clips group by all"],
    "query, columns of videos": ["query", "made", "--where", "codec = 'h264'", "--columns", "clip_id,codec"],
    "stats": ["stats", "made"],
    "what-if": ["what-if", "made", "where.still=motion_mean > 0.2"],
    "export, jsonl": ["export", "made", "--format", "jsonl", "--out", "OUT/jsonl", "files=relative"],
    "export, jsonl again": ["export", "made", "--format", "jsonl", "--out", "OUT/jsonl", "files=relative"],
    "export, parquet": ["export", "made", "--format", "parquet", "--out", "OUT/parquet", "files=relative"],
    "export, edl": ["export", "made", "--format", "edl", "--out", "OUT/edl"],
    "verify": ["verify"],
    "gc": ["gc", "--dry-run"],
    "restore": ["restore", "made", "BUILD"],
    "export, webdataset": ["export", "made", "--format", "webdataset", "--out", "OUT/webdataset", "shard_mb=8"],
    "export, mds": ["export", "made", "--format", "mds", "--out", "OUT/mds", "shard_mb=8"],
    "export, lance": ["export", "made", "--format", "lance", "--out", "OUT/lance"],
    "rm": ["rm", "made", "--yes"],
}
"""Verb → its words, in the order in which they run."""


def measures() -> Iterator[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        clip = made(root / "store")
        told = {"CLIP": clip, "OUT": str(root / "out"), "BUILD": "20260101T000001-000000"}
        for name, words in READING.items():
            began = time.perf_counter()
            most = peak([*(_with(word, told) for word in words), "--store", str(root / "store")])
            seconds = time.perf_counter() - began
            yield Measure(f"{name}, {READ:,} clips, {seconds:.0f} s: peak", most, MOST, 1.0, "MiB")
            if name != "export, jsonl":  # the next is the same again
                shutil.rmtree(root / "out", ignore_errors=True)


def _with(word: str, told: dict[str, str]) -> str:
    """A word in which what is meant stands in the place of its name."""
    head, slash, rest = word.partition("/")
    return f"{told[head]}{slash}{rest}" if head in told else word


def made(store: Path) -> str:
    """A dataset `made` of two builds, between which a few clips changed; the id of one of them."""
    file = store / FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(os.urandom(512))
    some = rows(READ)
    clips = some.table["clip_id"].combine_chunks()
    pairs = nothing("duplicates", "pair_id", dedup=pa.string(), clip_a=pa.string(), clip_b=pa.string())
    failed = nothing("failures", "failure_id", **{field.name: field.type for field in FAILURES})
    said = captions(clips, some.table["caption"])
    of_videos = videos(READ)
    encoded = files(len(clips))
    for number, changed in enumerate((some, some.changed(0.01)), 1):
        target = changed.target()
        target = Target("clips", "clip_id", clips, (*target.groups, encoded), INDEXES)
        row = build(store / "datasets" / "made", number)
        row["recipes"]["transcode"] = {"id": "transcode", "stage": "transcode", "version": 1}
        row["config"]["source"] = {"path": ["/videos"]}
        commit(store / "datasets" / "made", [of_videos, target, said, pairs, failed], row)
    return str(lance.dataset(str(store / "datasets" / "made" / "clips.lance")).head(1)["clip_id"][0].as_py())


def captions(clips: pa.Array, texts: pa.ChunkedArray) -> Target:
    """A window of each clip, with its caption."""
    count = len(clips)
    columns: dict[str, Any] = {
        "clip_id": clips, "captioner": ["caption"] * count, "window": np.zeros(count, np.int64),
        "start_s": np.zeros(count), "end_s": np.full(count, 5.0),
        "text": texts, "enhanced": pa.nulls(count, pa.string()), "status": ["success"] * count,
        "tokens": np.full(count, 12), "model": ["tiny"] * count,
    }  # fmt: skip
    table = pa.table(columns, schema=CAPTIONS)
    group = Group("caption", CAPTIONS, chance(count), lambda taken: table.take(pa.array(taken)))
    keys = pa.array([bytes(d).hex() for d in chance(count).tolist()])
    return Target("captions", "caption_id", keys, (group,), {"clip_id": "scalar"})


def files(count: int) -> Group:
    """The file of each clip, as `transcode` tells of it."""
    digests = [bytes(d).hex() for d in chance(count).tolist()]
    same = {name: [value] * count for name, value in {"transcode_uri": FILE, "transcode_bytes": 512, **SHAPE}.items()}
    table = pa.table({**same, "transcode_digest": digests})
    return Group("transcode", table.schema, chance(count), lambda taken: table.take(pa.array(taken)))


def peak(words: list[str]) -> float:
    """MiB of a process that runs a verb. Raises RuntimeError for one that fails."""
    code = (
        "import sys; from vbuild.cli.main import run; code = run(sys.argv[1:]); "
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
    return int(done.stderr.split()[-1]) / 1024
