"""Opens a dataset that was built, and searches it."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vbuild import places
from vbuild.check import hint
from vbuild.dataset.commit import BUILDS, DIGESTS, last_build, read_build
from vbuild.dataset.listing import find
from vbuild.errors import DatasetError
from vbuild.store import lance_io
from vbuild.store.blobs import blob_columns

if TYPE_CHECKING:
    from lancedb.table import LanceTable

SCORES = ("_score", "_distance", "_relevance_score")
"""What a search adds to a clip: BM25, cosine distance, and for both together reciprocal ranks."""

NOISE = re.compile(
    r"Error resolving filter expression .*?: (?=Invalid)|(Invalid|invalid) (user input|input|SQL predicate)[,:] "
    r"|,? ?/\S+\.rs:\d+(:\d+)?| at Line: \d+, Column: \d+"
)
"""What a database says that tells the person nothing: where in its own code and in our condition it stood."""


def open(  # noqa: A001  the name that people expect: vbuild.open
    name: str, *, store: str | Path | None = None, output: str | Path | None = None, build: str | None = None
) -> Dataset:
    """Opens a dataset as its last build left it, or as another build did.

    `name` is a dataset's, or that of the file that declares it if one dataset alone was built from it. Databases lie
    in `output`, by default the `datasets` of the store, $VBUILD_STORE or `./cache`.
    Where a database lies elsewhere, it knows its store,
    and `store` is for one that was moved away from it. Raises DatasetError if there is none, or no such build.
    """
    if store is None and output is None:
        store = os.environ.get("VBUILD_STORE", "cache")
    folder = find(name, Path(output if output is not None else Path(store or "", "datasets")).absolute())
    row = last_build(folder) if build is None else _named_build(folder, build)
    if row is None:
        raise DatasetError(f"dataset {name!r}: no build of it was finished; build it again")
    return Dataset(folder.name, folder, row, Path(store).absolute() if store is not None else None)


def _named_build(folder: Path, build: str) -> dict[str, Any]:
    dataset = lance_io.open_dataset(folder / f"{BUILDS}.lance")
    rows = [] if dataset is None else dataset.to_table().to_pylist()
    for row in rows:
        if row["id"] == build:
            return read_build(row)
    raise DatasetError(f"{folder.name}: it has no build {build}; there are {', '.join(r['id'] for r in rows[-5:])}")


class Dataset:
    """A LanceDB database as one build left it. Its tables are `lancedb` tables; they read well without vbuild too."""

    def __init__(self, name: str, folder: Path, build: dict[str, Any], store: Path | None = None) -> None:
        self.name, self.folder, self.build = name, folder, build
        self.store = store or places.resolved(build["config"]["store"], folder)
        """Where the files lie that its `_uri` columns name."""

    @cached_property
    def _database(self) -> Any:
        import lancedb

        return lancedb.connect(str(self.folder))

    def table(self, name: str) -> LanceTable:
        """A table at the version that the build left."""
        table: LanceTable = self._database.open_table(name)
        if name in self.build["tables"]:
            table.checkout(self.build["tables"][name])
        return table

    @cached_property
    def clips(self) -> LanceTable:
        """One row a clip, dropped ones too."""
        return self.table("clips")

    @cached_property
    def videos(self) -> LanceTable:
        """One row a source file."""
        return self.table("videos")

    @cached_property
    def captions(self) -> LanceTable:
        """One row a clip, window and captioner."""
        return self.table("captions")

    @cached_property
    def duplicates(self) -> LanceTable:
        """One row a dedup and pair of near-duplicates."""
        return self.table("duplicates")

    @cached_property
    def builds(self) -> LanceTable:
        """One row a build."""
        return self.table(BUILDS)

    def search(
        self,
        text: str | None = None,
        *,
        where: str | None = None,
        like: str | None = None,
        vector: str | None = None,
        limit: int = 20,
        everything: bool = False,
    ) -> pa.Table:
        """Clips by words in their captions, by likeness to another clip, by a condition, or by all of these.

        `text` ranks by BM25 (`_score`), `like` (a clip id) by cosine distance (`_distance`) of the column `vector`,
        by default the first embedding; both together by reciprocal ranks. Clips that were dropped are left out unless
        `everything`. Without text and like, rows come in order of video and time. Columns `_uri` hold whole paths here,
        and in the tables paths in the store. Raises DatasetError.
        """
        condition = " AND ".join(f"({c})" for c in (None if everything else "kept", where) if c)
        column = self._vector(vector) if like else ""
        whole, point = self._point(like, column) if like else ("", [])
        query = self._query(text, column, point)
        if condition:
            query = query.where(condition)
        try:
            if text is None and not like:
                matches = self._in_order(query, limit)
            else:
                matches = query.limit(limit + 1 if like else limit).to_arrow()
        except (ValueError, RuntimeError, OSError) as error:
            raise self.explained(error, where) from error
        if like:
            matches = matches.filter(pc.not_equal(matches["clip_id"], whole)).slice(0, limit)
        for name in blob_columns(matches.schema):
            place, column = matches.column_names.index(name), matches[name]
            matches = matches.set_column(place, name, pa.array(map(self._located, column.to_pylist()), column.type))
        return matches.drop_columns([name for name in (DIGESTS,) if name in matches.column_names])

    def _located(self, cell: str | list[str] | None) -> str | list[str] | None:
        """The paths of the files that a cell names."""
        if isinstance(cell, list):
            return [str(self.store / uri) for uri in cell]
        return cell and str(self.store / cell)

    def _in_order(self, query: Any, limit: int) -> pa.Table:
        """The first clips by video and time: only what tells the order is read of all of them."""
        places = query.select(["uri", "start_s"]).with_row_id(True).limit(None).to_arrow()
        first = places.sort_by([("uri", "ascending"), ("start_s", "ascending")]).slice(0, limit)
        rows: pa.Table = self.clips.take_row_ids(first["_rowid"].to_pylist()).to_arrow()
        return rows

    def _query(self, text: str | None, column: str, point: list[float]) -> Any:
        if not point:
            return self.clips.search(text, query_type="fts", fts_columns=self._texts()) if text else self.clips.search()
        if text is None:
            return self.clips.search(point, vector_column_name=column).distance_type("cosine")
        from lancedb.rerankers import RRFReranker

        hybrid = self.clips.search(query_type="hybrid", vector_column_name=column, fts_columns=self._texts())
        return hybrid.vector(point).text(text).distance_type("cosine").rerank(RRFReranker())

    def _texts(self) -> list[str]:
        """The columns that words are looked for in."""
        indexed = [
            column for index in self.clips.list_indices() if index.index_type == "FTS" for column in index.columns
        ]
        if not indexed:
            raise DatasetError(f"{self.name}: no clip has a caption to be searched; add a captioner, such as describe")
        return indexed

    def _vector(self, wanted: str | None) -> str:
        columns = [f.name for f in self.clips.schema if pa.types.is_fixed_size_list(f.type)]
        if wanted is not None and wanted not in columns:
            raise DatasetError(f"{self.name}: {wanted} is no embedding; there are {', '.join(columns) or 'none'}")
        if not columns:
            raise DatasetError(f"{self.name}: it has no embedding, so no clip is like another; add one")
        return wanted or columns[0]

    def _point(self, clip_id: str, column: str) -> tuple[str, list[float]]:
        """The whole id of a clip, of which the beginning is enough, and its vector."""
        if not re.fullmatch(r"[0-9a-f]{4,32}", clip_id):
            raise DatasetError(
                f"--like {clip_id}: a clip id is hex, 4 to 32 characters of it, as in the column clip_id"
            )
        some = self.clips.search().where(f"starts_with(clip_id, '{clip_id}')").select(["clip_id", column])
        rows = [row for row in some.limit(2).to_list() if row[column] is not None]
        if len(rows) > 1:
            raise DatasetError(f"--like {clip_id}: several clips begin with that; give more of the id")
        if not rows:
            raise DatasetError(f"--like {clip_id}: {self.name} has no such clip with a vector in {column}")
        return str(rows[0]["clip_id"]), list(rows[0][column])

    def explained(self, error: Exception, where: str | None) -> DatasetError:
        """What went wrong in a query, for people: most often a column that is not there."""
        text = NOISE.sub("", " ".join(str(error).split()))
        names = [f.name for f in self.clips.schema if f.name != DIGESTS]
        if match := re.search(r"[Nn]o field named \"?(\w+)", text):
            return DatasetError(f"--where {where!r}: {self.name} has no column {match[1]!r}{hint(match[1], names)}")
        return DatasetError(f"--where {where!r}: {text[:300]}" if where else text[:300])
