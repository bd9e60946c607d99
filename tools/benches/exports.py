"""Exports beside the bare library on the same bytes, and training beside bare PyAV on the same files.

Sizes follow VBUILD_BENCH_FILES (400), of the export.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pyarrow as pa
from torch.utils.data import DataLoader, Dataset

import vbuild
from benches.measure import Measure, wall
from benches.store import A_VIDEO, build, chance, videos
from vbuild.config import Config, Source
from vbuild.dataset.commit import commit
from vbuild.dataset.export.export import export
from vbuild.dataset.export.shards import MIB, shards
from vbuild.dataset.target import Group, Target
from vbuild.engine import build as run
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride
from vbuild.stages.transcode import Transcode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vbuild.dataset.read import Dataset as Built

FILES = int(os.environ.get("VBUILD_BENCH_FILES", "400"))
BYTES = 2 * MIB
SHARD = 100
"""MiB of a tar."""

SPEED = 1 / 0.9
"""The most seconds for one of the baseline's: nine tenths of its speed."""

FRAMES, SIZE, BATCH, WORKERS = 16, 224, 8, 2
EPOCHS = 4


def measures() -> Iterator[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        yield from webdataset(Path(folder) / "export")
        yield from training(Path(folder) / "training")


# exports


def filed(root: Path, count: int) -> Built:
    """A dataset of made-up clips whose files hold bytes by chance."""
    clips = [bytes(d).hex() for d in chance(count).tolist()]
    digests = [bytes(d).hex() for d in chance(count).tolist()]
    uris = [f"blobs/{d[:2]}/{d[2:]}.mp4" for d in digests]
    for uri in uris:
        (root / uri).parent.mkdir(parents=True, exist_ok=True)
        (root / uri).write_bytes(os.urandom(BYTES))
    start = np.arange(count) % A_VIDEO * 5.0
    table = pa.table(
        {
            "video_id": [f"{n // A_VIDEO:032x}" for n in range(count)],
            "uri": [f"/videos/{n // A_VIDEO:08d}.mp4" for n in range(count)],
            "start_s": start,
            "end_s": start + 5,
            "duration_s": np.full(count, 5.0),
            "motion_mean": np.random.default_rng(0).random(count),
            "transcode_uri": uris,
            "transcode_bytes": [BYTES] * count,
            "transcode_digest": digests,
            **{f"transcode_{name}": [value] * count for name, value in SHAPE.items()},
            "kept": [True] * count,
        }
    )
    group = Group("all", table.schema, chance(count), lambda rows: table.take(pa.array(rows)))
    target = Target("clips", "clip_id", pa.array(clips), (group,), {"clip_id": "scalar"})
    folder = root / "datasets" / "made"
    said = build(folder, 1)
    said["recipes"] = {"transcode": {"id": "t", "stage": "transcode", "version": 1}}
    said["config"] |= {"source": {"path": ["/videos"]}}
    commit(folder, [videos(count), target], said)
    return vbuild.open("made", store=root)


SHAPE = {"w": 1280, "h": 720, "fps": 25.0, "frames": 125, "codec": "h264"}


def webdataset(root: Path) -> Iterator[Measure]:
    """All bytes into tars, ours with its checks and lists, and tarfile alone over the same files in the same shards."""
    dataset = filed(root, FILES)
    rows = dataset.to_arrow()
    parts = shards(rows["clip_id"], np.full(FILES, BYTES), SHARD * MIB)
    said = [json.dumps(row, default=str).encode() for row in rows.to_pylist()]
    names, paths = rows["clip_id"].to_pylist(), rows["transcode_uri"].to_pylist()
    number = iter(range(100))

    def bare() -> None:
        folder = root / f"bare{next(number)}"
        folder.mkdir()
        for n, part in enumerate(parts):
            with tarfile.open(folder / f"{n:06d}.tar", "w") as tar:
                for row in part.tolist():
                    tar.add(paths[row], f"{names[row]}.mp4")
                    entry = tarfile.TarInfo(f"{names[row]}.json")
                    entry.size = len(said[row])
                    tar.addfile(entry, io.BytesIO(said[row]))

    def ours() -> None:
        export(dataset, "webdataset", root / f"ours{next(number)}", options={"shard_mb": SHARD})

    mine, base = by_turns(ours, bare, lambda: clear(root))
    size = FILES * BYTES / MIB
    yield Measure(f"export of {size:.0f} MiB as webdataset / tarfile alone", mine, base, SPEED, "s")
    last = root / "again"
    export(dataset, "webdataset", last, options={"shard_mb": SHARD})
    again = wall(lambda: export(dataset, "webdataset", last, options={"shard_mb": SHARD}))
    yield Measure("  again, with nothing changed / tarfile alone", again, base, None, "s")


def clear(root: Path) -> None:
    """Takes away what was written, so that the page cache holds what is read."""
    subprocess.run(["rm", "-rf", *map(str, [*root.glob("ours*"), *root.glob("bare*")])], check=True)


def by_turns(one: Callable[[], object], other: Callable[[], object], between: Callable[[], object]) -> list[float]:
    """The least wall seconds of three each."""
    pairs = []
    for _ in range(3):
        pairs.append((wall(one), wall(other)))
        between()
    return [min(times) for times in zip(*pairs, strict=True)]


# training


class Bare(Dataset):
    """The same files by PyAV alone: all frames decoded, those at even distances as arrays."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, n: int) -> np.ndarray:
        with av.open(self.paths[n]) as container:
            stream = container.streams.video[0]
            wanted = {int((k + 0.5) * stream.frames / FRAMES) for k in range(FRAMES)}
            frames = enumerate(container.decode(stream))
            return np.stack(
                [
                    f.reformat(SIZE, SIZE, "rgb24", interpolation="BICUBIC").to_ndarray()
                    for k, f in frames
                    if k in wanted
                ]
            )


def training(root: Path) -> Iterator[Measure]:
    """An epoch in workers that are warm."""
    (root / "videos").mkdir(parents=True)
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    from footage import grained, video

    size = (640, 360)
    video(root / "videos" / "film.mp4", seconds=96, size=size, gop=48, crf=23, picture=grained(1, size))
    config = Config(
        name="d", declared="d", source=Source(path=(str(root / "videos"),)), split=FixedStride(length=2.0),
        stages={"transcode": Transcode(preset="veryfast")}, executor=Local(), store=root, output=root / "datasets",
    )  # fmt: skip
    run(config)
    dataset = vbuild.open("d", store=root)
    several: dict[str, Any] = {"num_workers": WORKERS, "multiprocessing_context": "spawn", "persistent_workers": True}
    clips = dataset.torch(FRAMES, SIZE, fit="squash")
    ours = DataLoader(clips, batch_size=BATCH, collate_fn=list, **several)
    bare = DataLoader(
        Bare(dataset.to_arrow()["transcode_uri"].to_pylist()), batch_size=BATCH, collate_fn=list, **several
    )
    spent: list[list[float]] = [[], []]
    for _ in range(EPOCHS):
        for loader, seconds in zip((ours, bare), spent, strict=True):
            began = time.perf_counter()
            count = sum(len(batch) for batch in loader)
            seconds.append(time.perf_counter() - began)
            assert count == len(clips), count
    mine, base = (min(seconds[1:]) for seconds in spent)
    yield Measure(f"{len(clips)} clips, 640x360, {WORKERS} workers / bare PyAV", mine, base, SPEED, "s")
