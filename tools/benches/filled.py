"""A store that holds every result and every file of six stages over clips that are made up: no video is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from vbuild import digest, source
from vbuild.config import Config, Source
from vbuild.engine import walk as walking
from vbuild.engine.session import Session
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip, Frames, Row, Stage
from vbuild.store.actions import schema
from vbuild.store.files import Files
from vbuild.values import digest_column, digests_of, value_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from vbuild.plan.items import Items
    from vbuild.plan.wiring import Instance

A_VIDEO = 50
"""Clips of one video."""

OLD = 1_000_000_000
"""Seconds since 1970: files of before."""


@dataclass(frozen=True, kw_only=True)
class Never(Stage):
    """A stage that has run on everything."""

    version: ClassVar = 1

    def run(self, clips: Sequence[Clip], model: object) -> Iterable[Row]:
        """Raises AssertionError."""
        raise AssertionError(f"{len(clips)} clips are to run through {model}")


@dataclass(frozen=True, kw_only=True)
class Measured(Never):
    """Two numbers of the footage."""

    phase: ClassVar = "measure"
    writes: ClassVar = {"mean": "float32", "least": "float32"}

    rate: float = 2.0

    def asks(self) -> Frames:
        return Frames(fps=self.rate)


@dataclass(frozen=True, kw_only=True)
class Embedded(Never):
    """A vector of the footage."""

    phase: ClassVar = "embed"
    dear: ClassVar = True
    writes: ClassVar = {"": "vector[256]"}

    def asks(self) -> Frames:
        return Frames(count=8)


@dataclass(frozen=True, kw_only=True)
class Said(Never):
    """A text of the footage."""

    phase: ClassVar = "annotate"
    dear: ClassVar = True
    writes: ClassVar = {"": "string"}

    def asks(self) -> Frames:
        return Frames(fps=1)


@dataclass(frozen=True, kw_only=True)
class Better(Never):
    """A text of a text: its keys are made of the digests of another stage."""

    phase: ClassVar = "annotate"
    dear: ClassVar = True
    reads: ClassVar = {"": ("",)}
    writes: ClassVar = {"": "string"}


@dataclass(frozen=True, kw_only=True)
class Packed(Never):
    """A blob of the footage."""

    phase: ClassVar = "produce"
    dear: ClassVar = True
    writes: ClassVar = {"": "blob", "frames": "int64"}

    def asks(self) -> Frames:
        return Frames(every=True)


SIX = {
    "motion": Measured(),
    "quality": Measured(rate=4.0),
    "embed": Embedded(),
    "caption": Said(),
    "better": Better(of="caption"),
    "transcode": Packed(),
}
"""Six stages of clips; the probe and the split come on top."""


def config(root: Path, stages: dict[str, Stage], where: dict[str, str] | None = None) -> Config:
    return Config(
        name="made",
        declared="made",
        source=Source(path=(str(root / "videos"),)),
        split=FixedStride(length=1.0, min=0.5),
        stages=stages,
        where=where or {},
        executor=Local(workers=0),
        store=root / "store",
        output=root / "store" / "datasets",
    )


def footage(root: Path, count: int) -> None:
    """Empty files in folders of a hundred, with ids in the memo as if they had been read."""
    for n in range(count):
        path = root / "videos" / f"{n // 100:05d}" / f"{n:08d}.mp4"
        if n % 100 == 0:
            path.parent.mkdir(parents=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.utime(path, (OLD, OLD))
    files = source.list_videos(Source(path=(str(root / "videos"),)))
    looks = (np.frombuffer(c, np.int64) for c in (files.sizes, files.mtimes, files.ctimes, files.inodes))
    Files(root / "store").add(files.uris, *looks, chance(count))


def chance(count: int) -> np.ndarray:
    """Digests by chance, (n,) V16."""
    return np.frombuffer(os.urandom(16 * count), "V16")


def results(instance: Instance, keys: np.ndarray, blobs: Path | None = None) -> pa.Table:
    """Made-up results of an instance under some keys."""
    n = len(keys)
    columns: dict[str, pa.Array] = {}
    for f in schema(instance.writes):
        columns[f.name] = values(f, n)
    fixed = pa.binary(16)
    columns |= {
        "key": pa.array(keys.tolist(), fixed),
        "warning": pa.nulls(n, pa.string()),
        "created": pa.array([datetime.now(UTC)] * n, pa.timestamp("us", "UTC")),
        "build": pa.array(["20260101T000001-000000"] * n),
    }
    for f, kind in instance.writes.items():
        if kind.blob:
            name = value_column(f)
            names = [f"{d[:2]}/{d[2:]}.bin" for d in (bytes(x).hex() for x in chance(n).tolist())]
            columns[f"{name}_uri"] = pa.array(names)
            columns[f"{name}_bytes"] = pa.array(np.zeros(n, np.int64))
            columns[f"{name}_digest"] = pa.array([digest.of_bytes(b"")] * n, fixed)
            if blobs is not None:
                link(blobs, names)
    if instance.name == "probe":
        told = {"width": 1280, "height": 720, "time_base_num": 1, "time_base_den": 1000, "start_pts": 0}
        for name, value in {**told, "end_pts": A_VIDEO * 1000, "stream": 0}.items():
            columns[name] = pa.array([value] * n, pa.int64())
    if instance.name == "split":
        columns |= {f.name: pa.array([[]] * n, f.type) for f in schema(instance.writes) if f.name.startswith("lost")}
        starts = [[k * 1000 for k in range(A_VIDEO)]] * n
        columns["start_pts"] = pa.array(starts, pa.list_(pa.int64()))
        columns["end_pts"] = pa.array([[s + 1000 for s in row] for row in starts], pa.list_(pa.int64()))
    shape = schema(instance.writes)
    for f, kind in instance.writes.items():
        name = value_column(f)
        columns[digest_column(f)] = digests_of(columns[f"{name}_digest" if kind.blob else name])
    return pa.table([columns[name] for name in shape.names], schema=shape)


def values(f: pa.Field, n: int) -> pa.Array:
    """Values by chance, so that no two results are equal; of whole numbers one and the same."""
    if pa.types.is_fixed_size_list(f.type):
        size = f.type.list_size
        flat = np.random.default_rng().standard_normal(n * size, np.float32)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=f.type)
    if pa.types.is_string(f.type):
        rest = "a text that is as long as captions are, which is some thirty words " * 3
        return pa.array([f"{bytes(head).hex()} {rest}" for head in chance(n).tolist()], f.type)
    if pa.types.is_floating(f.type):
        return pa.array(np.random.default_rng().random(n), f.type)
    if pa.types.is_integer(f.type):
        return pa.array(np.full(n, 7), f.type)
    return pa.nulls(n, f.type)


def link(blobs: Path, names: list[str]) -> None:
    """A name for each blob; one file has as many as a file system allows."""
    for shard in {name[:2] for name in names}:
        (blobs / shard).mkdir(parents=True, exist_ok=True)
    for start in range(0, len(names), 30_000):
        first, *rest = names[start : start + 30_000]
        (blobs / first).write_bytes(b"")
        for name in rest:
            os.link(blobs / first, blobs / name)


class Filling(walking._Way):  # noqa: SLF001
    """Walks as a plan does, and puts a made-up result wherever one is missing."""

    def _run(self, items: Items, wave: tuple[Instance, ...]) -> Iterator[None]:
        for instance in wave:
            session = self.session
            rows = session.lookup.look(items, instance)
            _, once = np.unique(items.actions[instance.name].keys[rows], return_index=True)
            keys = items.actions[instance.name].keys[rows[np.sort(once)]]
            if len(keys):
                session.shelf.results(instance.name).append(results(instance, keys, session.blobs.folder))
            session.lookup.settle(items, instance)
        yield from ()


def fill(root: Path, clips: int, stages: dict[str, Stage], shard: int = 2_000) -> Config:
    """A store that holds everything of a made-up dataset."""
    footage(root, clips // A_VIDEO)
    wanted = config(root, stages)
    filling = Session(Config(**{**vars(wanted), "executor": Local(workers=0), "shard": shard}), None)
    walking._Way, way = Filling, walking._Way  # noqa: SLF001
    walking.walk(filling, lambda _: None)
    walking._Way = way  # noqa: SLF001
    for name in filling.shelf.instances:
        dataset = filling.shelf.results(name).dataset
        dataset.optimize.compact_files()
        dataset.cleanup_old_versions()
    return wanted
