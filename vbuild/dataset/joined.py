"""Conditions on clips that name columns of their videos, joined when they are asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from vbuild.errors import DatasetError

if TYPE_CHECKING:
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


def condition(dataset: Dataset, where: str | None, *, everything: bool) -> Condition:
    """What a person's condition comes to.

    It is SQL of LanceDB over the columns of clips; or, if it names a column that `videos` alone has, by its name or as
    `videos.codec`, SQL of DuckDB over both. Raises DatasetError.
    """
    kept = None if everything else "kept"
    if where is None:
        return Condition(kept)
    clips, videos = (set(table.schema.names) for table in (dataset.clips, dataset.videos))
    named = set(WORD.findall(where))
    if not (PREFIX.search(where) or named & (videos - clips)):
        return Condition(f"({kept}) AND ({where})" if kept else where)
    return Condition(kept, _joined(dataset, where, named))


def _joined(dataset: Dataset, where: str, named: set[str]) -> pa.Int64Array:
    """The row ids of the clips that meet a condition on them and their videos."""
    import duckdb

    clips, videos = dataset.clips.schema.names, dataset.videos.schema.names
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
