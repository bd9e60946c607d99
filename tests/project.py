"""A small dataset for tests: a folder of videos, a store, and builds whose actions are counted."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import lance

from vbuild.config import Config, Source
from vbuild.dataset.shown import DIGESTS
from vbuild.engine import build, plan
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride

CLOCK = itertools.count(1_000_000_000)
"""Seconds: files of tests are old, and no two have one time."""


TABLES = ("clips", "videos", "captions", "duplicates", "failures")


class Project:
    """One folder of videos and one dataset over it."""

    def __init__(self, root: Path, stages, *, where=None, split=None, store=None, name="d", videos=None):
        self.videos, self.store, self.name = videos or root / "videos", store or root / "store", name
        self.videos.mkdir(parents=True, exist_ok=True)
        self.stages, self.where = dict(stages), dict(where or {})
        self.split = split or FixedStride(length=1.0, min=0.5)
        self.local = Local(workers=0)
        self.shard = 256

    def put(self, name: str, source: Path) -> Path:
        """A copy of a video under a name, with a time of its own that is long ago."""
        target = self.videos / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        moment = next(CLOCK)
        os.utime(target, (moment, moment))
        return target

    def config(self, **changes) -> Config:
        """The dataset as it is declared now."""
        return Config(
            name=self.name,
            declared=self.name,
            source=Source(path=(str(self.videos),)),
            split=self.split,
            stages=self.stages,
            where=self.where,
            executor=self.local,
            shard=self.shard,
            store=self.store,
            output=self.store / "datasets",
            **changes,
        )

    def build(self, *, watch=lambda _: None, **changes):
        """Brings it up to date."""
        return build(self.config(**changes), watch=watch)

    def plan(self, **changes):
        """What a build would do."""
        return plan(self.config(**changes))

    def again(self):
        """A build that does not take the short cut."""
        (self.store / "stamps" / f"{self.name}.json").unlink(missing_ok=True)
        return self.build()

    def versions(self) -> dict[str, int]:
        """The version of each table."""
        tables = sorted((self.store / "datasets" / self.name).glob("*.lance"))
        return {path.stem: lance.dataset(str(path)).version for path in tables}

    def rows(self, table: str = "clips") -> dict[str, dict]:
        """The rows of a table by their key, without bookkeeping."""
        dataset = lance.dataset(str(self.store / "datasets" / self.name / f"{table}.lance"))
        key = {"clips": "clip_id", "videos": "uri", "captions": "caption_id", "duplicates": "pair_id",
               "failures": "failure_id"}[table]  # fmt: skip
        found = dataset.to_table()
        assert found.num_rows == len(set(found[key].to_pylist()))
        assert DIGESTS not in found.column_names
        return {row[key]: row for row in found.to_pylist()}

    def tables(self) -> dict[str, dict[str, dict]]:
        """Every table but `builds`."""
        return relative({table: self.rows(table) for table in TABLES})

    def blobs(self) -> dict[str, bytes]:
        """Every blob with its bytes."""
        folder = self.store / "blobs"
        paths = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def _named(uri):
    """A blob's name in its store, or those of a list."""
    return list(map(_named, uri)) if isinstance(uri, list) else uri and uri.rpartition("/blobs/")[2]


def relative(tables):
    """Tables in which a blob is told by its name, wherever its store lies, and a failure however it came."""
    for row in tables["failures"].values():
        del row["created"], row["attempts"], row["trace"]
    for row in tables["clips"].values():
        row |= {c: _named(v) for c, v in row.items() if c.endswith("_uri")}
    return tables


def ran(report) -> dict[str, int]:
    """The actions that ran, by stage, without those of which none did."""
    return {stage.name: stage.ran for stage in report.stages if stage.ran}


def hits(report) -> dict[str, int]:
    """The actions whose results were there."""
    return {stage.name: stage.hits for stage in report.stages if stage.hits}


def dropped(project: Project) -> dict[str | None, int]:
    """How many clips each decision dropped; None: kept."""
    found: dict[str | None, int] = {}
    for row in project.rows().values():
        found[row["dropped_by"]] = found.get(row["dropped_by"], 0) + 1
    return found
