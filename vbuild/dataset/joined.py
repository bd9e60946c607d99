"""Columns of videos beside those of clips, in conditions and in what is read: joined when they are asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from vbuild.check import hint
from vbuild.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vbuild.dataset.read import Dataset

PREFIX = re.compile(r"\bvideos\s*\.")

WORD = re.compile(r"\w+")

FEW = 10_000
"""Rows that are named to the database one by one; of more it is slower than to look at what it finds."""


@dataclass(frozen=True)
class Condition:
    """Which clips are wanted."""

    sql: str | None
    """For the table `clips`; None for all."""
    rows: pa.Int64Array | None = None
    """Row ids to which a condition on videos comes; None where there is none."""

    @property
    def narrow(self) -> str | None:
        """The condition, with the rows in it where they are few."""
        if self.rows is None or len(self.rows) > FEW:
            return self.sql
        named = f"_rowid IN ({', '.join(map(str, self.rows.to_pylist()))})" if len(self.rows) else "false"
        return f"{named} AND {self.sql}" if self.sql else named


def condition(dataset: Dataset, where: str | None, kept: bool | None) -> Condition:
    """What a person's condition comes to.

    It is SQL of LanceDB over the columns of clips; or, if it names a column that `videos` alone has, by its name or as
    `videos.codec`, SQL of DuckDB over both. `kept`: True for the clips that were, False for the others, None for all.
    Raises DatasetError.
    """
    base = None if kept is None else "kept" if kept else "NOT kept"
    if where is None:
        return Condition(base)
    clips, videos = (set(schema.names) for schema in (dataset.schema, dataset.videos_schema))
    named = set(WORD.findall(where))
    if not (PREFIX.search(where) or named & (videos - clips)):
        return Condition(f"({base}) AND ({where})" if base else where)
    return Condition(base, _joined(dataset, where, named))


def _joined(dataset: Dataset, where: str, named: set[str]) -> pa.Int64Array:
    """The row ids of the clips that meet a condition on them and their videos."""
    import duckdb

    clips, videos = dataset.schema.names, dataset.videos_schema.names
    meant = {name for name in videos if name in named and (name not in clips or _prefixed(where, name))}
    own = [name for name in clips if name in named and name not in ("uri", "video_id")]
    left = dataset.clips.search().select(["uri", "video_id", *own]).with_row_id(True).limit(None).to_arrow()
    right = dataset.videos.search().select(sorted({"uri", "video_id", *meant})).limit(None).to_arrow()
    with duckdb.connect(config={"threads": 1}) as db:
        db.register("clips", left)
        db.register("videos", right)
        try:
            query = f"select _rowid from clips join videos using (uri, video_id) where (\n{where}\n)"
            found = db.execute(query).fetchnumpy()["_rowid"]
        except duckdb.Error as error:
            raise DatasetError(f"--where {where!r}: {str(error).strip().splitlines()[0]}") from error
    return pa.array(found, pa.uint64())


def _prefixed(where: str, name: str) -> bool:
    return re.search(rf"\bvideos\s*\.\s*\"?{name}\b", where) is not None


@dataclass(frozen=True)
class Columns:
    """Which columns are read of clips, and which of their videos."""

    wanted: tuple[str, ...]
    """As they were asked for, in that order."""
    videos: Mapping[str, str]
    """Of these, those of videos: as asked → what `videos` calls it."""

    @property
    def own(self) -> list[str]:
        """The columns of clips that it takes."""
        mine = [name for name in self.wanted if name not in self.videos]
        return [*mine, *(["uri"] if self.videos and "uri" not in mine else [])]

    def attached(self, dataset: Dataset, rows: pa.Table) -> pa.Table:
        """Rows of clips, which hold `own`, with exactly what was asked for."""
        if self.videos:
            names = sorted({"uri", *self.videos.values()})
            videos = dataset.videos.search().select(names).limit(None).to_arrow()
            spots = pc.index_in(rows["uri"], value_set=videos["uri"].combine_chunks())
            for asked, name in self.videos.items():
                rows = rows.append_column(videos.schema.field(name).with_name(asked), videos[name].take(spots))
        return rows.select(list(self.wanted))


def columns(dataset: Dataset, wanted: Sequence[str] | None) -> Columns:
    """Columns that are wanted, by default all of clips; those that `videos` alone has by their name, or as
    `videos.codec`. Raises DatasetError for one that is not there."""
    mine = dataset.columns()
    if wanted is None:
        return Columns(tuple(mine), {})
    theirs = set(dataset.videos_schema.names)
    joined: dict[str, str] = {}
    for name in wanted:
        bare = PREFIX.sub("", name)
        if name in mine:
            continue
        if bare not in theirs:
            raise DatasetError(f"columns={name}: {dataset.name} has no such column{hint(bare, [*mine, *theirs])}")
        joined[name] = bare
    return Columns(tuple(wanted), joined)
