"""The dataset: commits and queries beside bare LanceDB on the same rows, and the memory of every verb.

Sizes follow VBUILD_BENCH_CLIPS (100 000) and, of the verbs' memory, VBUILD_BENCH_READ: `tools/bench verbs` alone.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import lancedb
import numpy as np
import pyarrow as pa

import vbuild
from benches.measure import Measure, cpu
from vbuild.dataset.commit import commit
from vbuild.dataset.indexes import bring_indexes
from vbuild.dataset.target import Group, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIPS = int(os.environ.get("VBUILD_BENCH_CLIPS", "100000"))

A_VIDEO = 50
"""Clips of one video."""

WIDE = int(os.environ.get("VBUILD_BENCH_WIDE", "256"))
"""Numbers of a vector; with 32 a million clips take 1 GB here."""

QUERIES = 60

WORDS = (
    *("red", "blue", "night", "street", "car", "dog", "water", "tree", "slow", "fast"),
    *("close", "wide", "bright", "dark", "person", "crowd", "road", "sky", "rain", "snow"),
)

GROUPS = {
    "base": ("video_id", "uri", "start_s", "end_s", "duration_s"),
    "motion": ("motion_mean", "motion_min_patch"),
    "quality": ("quality_sharpness", "quality_black"),
    "embed": ("embed",),
    "caption": ("caption",),
    "decisions": ("kept", "dropped_by", "duplicate_of", "error"),
}
"""Group → its columns."""

INDEXES: dict[str, Any] = {
    "clip_id": "scalar", "kept": "scalar", "motion_mean": "scalar", "embed": "vector", "caption": "text",
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Made-up clips."""

    table: pa.Table
    digests: dict[str, np.ndarray]
    """Group → (n,) V16."""

    def target(self) -> Target:
        """As a build would hand them to a commit."""
        groups = tuple(
            Group(
                name,
                pa.schema([self.table.schema.field(column) for column in columns]),
                self.digests[name],
                lambda rows, columns=columns: self.table.select(list(columns)).take(pa.array(rows)),
            )
            for name, columns in GROUPS.items()
        )
        return Target("clips", "clip_id", self.table["clip_id"].combine_chunks(), groups, INDEXES)

    def changed(self, share: float) -> Rows:
        """With another score in a share of them."""
        some = np.random.default_rng(1).random(len(self.table)) < share
        motion = self.table["motion_mean"].to_numpy().copy()
        motion[some] += 0.001
        digests = self.digests["motion"].copy()
        digests[some] = chance(int(some.sum()))
        place = self.table.column_names.index("motion_mean")
        table = self.table.set_column(place, "motion_mean", pa.array(motion, pa.float32()))
        return Rows(table, {**self.digests, "motion": digests})


def chance(count: int) -> np.ndarray:
    """Digests by chance, (n,) V16."""
    return np.frombuffer(os.urandom(16 * count), "V16")


def rows(n: int) -> Rows:
    rng = np.random.default_rng(0)
    start = np.arange(n) % A_VIDEO * 5.0
    vectors = rng.standard_normal((n, WIDE), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    words = rng.choice(WORDS, (n, 12))
    kept = rng.random(n) < 0.7
    columns = {
        "clip_id": [bytes(d).hex() for d in chance(n).tolist()],
        "video_id": [f"{video:032x}" for video in (np.arange(n) // A_VIDEO).tolist()],
        "uri": [f"/videos/{video:08d}.mp4" for video in (np.arange(n) // A_VIDEO).tolist()],
        "start_s": start,
        "end_s": start + 5,
        "duration_s": np.full(n, 5.0),
        "motion_mean": rng.random(n, np.float32),
        "motion_min_patch": rng.random(n, np.float32),
        "quality_sharpness": rng.random(n, np.float32),
        "quality_black": rng.random(n, np.float32),
        "embed": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), WIDE),
        "caption": [" ".join(line) for line in words.tolist()],
        "kept": kept,
        "dropped_by": [None if k else "still" for k in kept.tolist()],
        "duplicate_of": pa.nulls(n, pa.string()),
        "error": pa.nulls(n, pa.string()),
    }
    schema = pa.schema([pa.field("clip_id", pa.string(), nullable=False)])
    table = pa.table(columns)
    return Rows(table.cast(pa.schema([*schema, *list(table.schema)[1:]])), {name: chance(n) for name in GROUPS})


def videos(n: int) -> Target:
    """The videos of as many clips."""
    count = n // A_VIDEO
    schema = pa.schema([("video_id", pa.string()), ("codec", pa.string()), ("clips", pa.int64())])
    codecs = [("h264", "vp9")[v % 2] for v in range(count)]
    columns = {"video_id": [f"{v:032x}" for v in range(count)], "codec": codecs, "clips": [A_VIDEO] * count}
    table = pa.table(columns, schema=schema)
    keys = pa.array([f"/videos/{v:08d}.mp4" for v in range(count)])
    return Target(
        "videos", "uri", keys, (Group("video", schema, chance(count), lambda r: table.take(pa.array(r))),), {}
    )


def nothing(table: str, key: str, **columns: pa.DataType) -> Target:
    schema = pa.schema(list(columns.items()))
    group = Group(table, schema, chance(0), lambda _: schema.empty_table())
    return Target(table, key, pa.array([], pa.string()), (group,), {})


def build(folder: Path, number: int) -> dict[str, Any]:
    where = {"still": "motion_mean > 0.1"}
    stages = {name: {"_target_": f"made.{name}", "version": 1} for name in ("motion", "quality", "embed", "caption")}
    return {
        "id": f"20260101T00000{number}-000000", "time": datetime.now(UTC), "seconds": 1.0, "versions": {},
        "config": {"declared": "made", "store": str(folder.parents[1]), "where": where, "stages": stages},
        "recipes": {name: {"id": name, "stage": name, "version": 1} for name in stages},
        "counts": {"videos": 1, "clips": 1, "kept": 1, "failures": 0, "ran": {}},
    }  # fmt: skip


def made(root: Path, some: Rows, number: int = 1) -> None:
    """A dataset `made` of clips in a store."""
    folder = root / "datasets" / "made"
    pairs = nothing("duplicates", "pair_id", dedup=pa.string(), clip_a=pa.string(), clip_b=pa.string())
    targets = [videos(len(some.table)), some.target(), pairs]
    commit(folder, targets, build(folder, number))


def bare(folder: Path, some: Rows) -> None:
    """The same rows by lancedb alone, and the same indexes by the same calls."""
    lancedb.connect(str(folder)).create_table("clips", some.table)
    bring_indexes(lance.dataset(str(folder / "clips.lance")), INDEXES)


def measures() -> Iterator[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for warm in (bare, made):  # what libraries do at their first call is nobody's
            warm(root / "warm" / warm.__name__, rows(1000))
        yield from commits(root, rows(CLIPS))
        yield from queries(root)
    from benches import verbs

    yield from verbs.measures()


def commits(root: Path, some: Rows) -> Iterator[Measure]:
    """A whole commit, and one of a few rows."""
    baseline = cpu(lambda: bare(root / "bare", some))
    whole = cpu(lambda: made(root / "ours", some))
    yield Measure(f"commit of {CLIPS:,} clips / lancedb's add and the same indexes", whole, baseline, 2.0)
    few = cpu(lambda: made(root / "ours", some.changed(0.01), 2))
    yield Measure("  a score of 1 % of them changed / the whole commit", few, whole, 0.1)


def queries(root: Path) -> Iterator[Measure]:
    """The median of queries, ours by `vbuild.open`; both give rows with all columns."""
    dataset = vbuild.open("made", store=root / "ours")
    table = lancedb.connect(str(root / "bare")).open_table("clips")
    points = np.random.default_rng(2).standard_normal((QUERIES, WIDE), np.float32).tolist()

    def near(n: int) -> Any:
        query = table.search(points[n], vector_column_name="embed").distance_type("cosine")
        return query.where("(kept) AND (motion_mean > 0.5)").limit(20).to_arrow()

    def said(n: int) -> Any:
        words = f"{WORDS[n % len(WORDS)]} {WORDS[n * 7 % len(WORDS)]}"
        return table.search(words, query_type="fts", fts_columns=["caption"]).where("kept").limit(20).to_arrow()

    def only(n: int) -> Any:
        return table.search().where(f"(kept) AND (motion_mean > {0.999 - n / 1e6})").limit(20).to_arrow()

    asked = {
        "a vector and a condition": (lambda n: dataset.search(near=points[n], where="motion_mean > 0.5"), near),
        "words": (lambda n: dataset.search(f"{WORDS[n % len(WORDS)]} {WORDS[n * 7 % len(WORDS)]}"), said),
        "a condition, in order": (lambda n: dataset.search(where=f"motion_mean > {0.999 - n / 1e6}"), only),
    }
    for name, (ours, theirs) in asked.items():
        mine, base = median(ours, theirs)
        goal = None if "order" in name else 1.5  # they give any twenty, we the first ones
        yield Measure(f"query of {CLIPS:,} clips by {name}, p50", mine * 1e3, base * 1e3, goal, "ms")


def median(*calls: Callable[[int], Any]) -> list[float]:
    """The median seconds of calls that are made by turns, so that the machine's other work tells on all alike."""
    spent: list[list[float]] = [[] for _ in calls]
    for n in range(QUERIES):
        for call, seconds in zip(calls, spent, strict=True):
            began = time.perf_counter()
            call(n)
            seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds[5:]) for seconds in spent]
