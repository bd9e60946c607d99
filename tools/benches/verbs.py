"""The memory that each verb takes whose work grows with clips, and each form of export, of clips that are made up.

Sizes follow VBUILD_BENCH_READ (1 000 000) and VBUILD_BENCH_WIDE. Verbs that read are of a dataset whose clips all have
one and the same small file; those that plan, build and look after a store are of one that holds every result and every
file of six stages, and of which no video is read.
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

from benches.filled import SIX, fill
from benches.measure import Measure
from benches.store import INDEXES, build, chance, nothing, rows, videos
from vbuild.dataset.commit import commit
from vbuild.dataset.tables.captions import CAPTIONS
from vbuild.dataset.tables.failures import FAILURES
from vbuild.dataset.target import Group, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

READ = int(os.environ.get("VBUILD_BENCH_READ", "1000000"))

TOOLS = Path(__file__).resolve().parents[1]

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
    "restore": ["restore", "made", "BUILD"],
    "export, otio": ["export", "made", "--format", "otio", "--out", "OUT/otio"],
    "export, webdataset": ["export", "made", "--format", "webdataset", "--out", "OUT/webdataset", "shard_mb=8"],
    "export, webdataset in bins": [
        *("export", "made", "--format", "webdataset", "--out", "OUT/cosmos", "shard_mb=8", "layout=cosmos")
    ],
    "export, mds": ["export", "made", "--format", "mds", "--out", "OUT/mds", "shard_mb=8"],
    "export, litdata": ["export", "made", "--format", "litdata", "--out", "OUT/litdata", "shard_mb=8"],
    "export, lance": ["export", "made", "--format", "lance", "--out", "OUT/lance"],
    "rm": ["rm", "made", "--yes"],
}
"""Verb of a dataset → its words, in the order in which they run."""

FILED: dict[str, list[str]] = {
    "export, huggingface": ["export", "made", "--format", "huggingface", "--out", "OUT/huggingface"],
    "export, cosmos_predict2": ["export", "made", "--format", "cosmos_predict2", "--out", "OUT/predict"],
    "export, curator": ["export", "made", "--format", "curator", "--out", "OUT/curator"],
}
"""The forms that write a file or more a clip, which take an hour of a million: they are scaled from `SIZES`."""

SIZES = (READ // 20, READ // 5)

BUILDING: dict[str, list[str]] = {
    "models": ["models", "+dataset=made"],
    "plan": ["plan", "+dataset=made"],
    "explain": ["explain", "+dataset=made"],
    "build, of a dataset that is not there": ["build", "+dataset=made"],
    "build, up to date": ["build", "+dataset=made"],
    "build, a condition moved": ["build", "+dataset=made", "where.still=motion_mean > 0.5"],
    "explain, a clip": ["explain", "+dataset=made", "--clip", "CLIP"],
    "lock": ["lock", "+dataset=made"],
    "doctor": ["doctor", "--store", "STORE"],
    "verify": ["verify", "--store", "STORE"],
    "gc": ["gc", "--store", "STORE", "--dry-run"],
}
"""Verb of a store and what declares a dataset of it → its words, likewise."""


def measures() -> Iterator[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        yield from reading(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield from building(Path(folder))
    yield from scaled()


def reading(root: Path) -> Iterator[Measure]:
    """Verbs of a dataset."""
    clip = made(root / "store", READ)
    told = {"CLIP": clip, "OUT": str(root / "out"), "BUILD": "20260101T000001-000000"}
    for name, words in READING.items():
        yield _measured(name, [*(_with(word, told) for word in words), "--store", str(root / "store")], root)
        if name != "export, jsonl":  # the next is the same again
            shutil.rmtree(root / "out", ignore_errors=True)


def building(root: Path) -> Iterator[Measure]:
    """Verbs of a store and of what declares a dataset."""
    fill(root, READ, SIX)
    declared = root / "conf" / "dataset" / "made.yaml"
    declared.parent.mkdir(parents=True)
    declared.write_text(DECLARED.format(root=root))
    told = {"STORE": str(root / "store")}
    for name, words in BUILDING.items():
        yield _measured(name, [_with(word, told) for word in words], root)
        if name.startswith("build") and "CLIP" not in told:
            told["CLIP"] = _first(root / "store")


def scaled() -> Iterator[Measure]:
    """Forms whose files are as many as the clips, as if what they hold grew by so much a clip."""
    taken: dict[str, list[float]] = {name: [] for name in FILED}
    for count in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            made(root / "store", count)
            for name, words in FILED.items():
                told = [_with(word, {"OUT": str(root / "out")}) for word in words]
                taken[name].append(peak([*told, "--store", str(root / "store")], root))
                shutil.rmtree(root / "out")
    few, many = SIZES
    for name, (low, high) in taken.items():
        most = high + (high - low) / (many - few) * (READ - many)
        yield Measure(f"{name}, scaled to {READ:,} clips from {few:,} and {many:,}: peak", most, MOST, 1.0, "MiB")


DECLARED = """# @package _global_
defaults:
  - override /split: fixed_stride
source: {{path: {root}/videos}}
split: {{length: 1.0, min: 0.5}}
store: {root}/store
stages:
  motion: {{_target_: benches.filled.Measured}}
  quality: {{_target_: benches.filled.Measured, rate: 4.0}}
  embed: {{_target_: benches.filled.Embedded}}
  caption: {{_target_: benches.filled.Said}}
  better: {{_target_: benches.filled.Better, of: caption}}
  transcode: {{_target_: benches.filled.Packed}}
"""
"""What `fill` filled, as a person writes it."""


def _measured(name: str, words: list[str], folder: Path) -> Measure:
    began = time.perf_counter()
    most = peak(words, folder)
    seconds = time.perf_counter() - began
    return Measure(f"{name}, {READ:,} clips, {seconds:.0f} s: peak", most, MOST, 1.0, "MiB")


def _first(store: Path) -> str:
    """The id of a clip of the dataset."""
    return str(lance.dataset(str(store / "datasets" / "made" / "clips.lance")).head(1)["clip_id"][0].as_py())


def _with(word: str, told: dict[str, str]) -> str:
    """A word in which what is meant stands in the place of its name."""
    head, slash, rest = word.partition("/")
    return f"{told[head]}{slash}{rest}" if head in told else word


def made(store: Path, count: int) -> str:
    """A dataset `made` of two builds, between which a few of its clips changed; the id of one of them."""
    file = store / FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(os.urandom(512))
    some = rows(count)
    clips = some.table["clip_id"].combine_chunks()
    pairs = nothing("duplicates", "pair_id", dedup=pa.string(), clip_a=pa.string(), clip_b=pa.string())
    failed = nothing("failures", "failure_id", **{field.name: field.type for field in FAILURES})
    said = captions(clips, some.table["caption"])
    of_videos = videos(count)
    encoded = files(len(clips))
    for number, changed in enumerate((some, some.changed(0.01)), 1):
        target = changed.target()
        target = Target("clips", "clip_id", clips, (*target.groups, encoded), INDEXES)
        row = build(store / "datasets" / "made", number)
        row["recipes"]["transcode"] = {"id": "transcode", "stage": "transcode", "version": 1}
        row["config"]["source"] = {"path": ["/videos"]}
        commit(store / "datasets" / "made", [of_videos, target, said, pairs, failed], row)
    return _first(store)


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


def peak(words: list[str], folder: Path) -> float:
    """MiB of a process that runs a verb in a folder. Raises RuntimeError for one that fails."""
    code = (
        "import sys; from vbuild.cli.main import run; code = run(sys.argv[1:]); "
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0], file=sys.stderr); sys.exit(code)"
    )
    paths = os.pathsep.join(map(str, [TOOLS, TOOLS.parent]))
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
    return int(done.stderr.split()[-1]) / 1024
