"""Opens a dataset that was built: its tables, its clips in order, their footage, and the files of the store."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from vbuild import places
from vbuild.check import hint
from vbuild.dataset.clip import DatasetClip
from vbuild.dataset.commit import BUILDS, last_build, read_build
from vbuild.dataset.joined import columns as columns_of
from vbuild.dataset.joined import condition
from vbuild.dataset.listing import find
from vbuild.dataset.search import Question, answered, clip_named, explained, near_duplicates
from vbuild.dataset.search import like as named_like
from vbuild.dataset.shown import DIGESTS
from vbuild.errors import DatasetError
from vbuild.store import lance_io
from vbuild.store.blobs import blob_columns
from vbuild.values import StoredBlob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    import polars as pl
    from lancedb.table import LanceTable

    from vbuild.dataset.export.export import Exported
    from vbuild.dataset.joined import Columns
    from vbuild.dataset.torch import ClipDataset

MEDIA = ("_uri", "_bytes", "_digest", "_w", "_h", "_fps", "_frames", "_codec")
"""What stands behind the name of an instance that made a video file of each clip."""

ORDER = ("uri", "start_s", "clip_id")
"""What clips are put in order by."""


def open(  # noqa: A001  the name that people expect: vbuild.open
    name: str,
    *,
    store: str | Path | None = None,
    output: str | Path | None = None,
    build: str | None = None,
    knobs: Mapping[str, Any] | None = None,
) -> Dataset:
    """Opens a dataset as its last build left it, or as another build did.

    `name` is a dataset's, or that of the file that declares it if one dataset alone was built from it. Databases lie
    in `output`, by default the `datasets` of the store, $VBUILD_STORE or `./cache`.
    Where a database lies elsewhere, it knows its store,
    and `store` is for one that was moved away from it. `knobs`: how stages are to run that a search makes vectors with,
    as `{"embed.device": "cpu"}`. Raises DatasetError if there is none, or no such build.
    """
    if store is None and output is None:
        store = os.environ.get("VBUILD_STORE", "cache")
    folder = find(name, Path(output if output is not None else Path(store or "", "datasets")).absolute())
    row = last_build(folder) if build is None else _named_build(folder, build)
    if row is None:
        raise DatasetError(f"dataset {name!r}: no build of it was finished; build it again")
    return Dataset(folder.name, folder, row, Path(store).absolute() if store is not None else None, knobs)


def _named_build(folder: Path, build: str) -> dict[str, Any]:
    dataset = lance_io.open_dataset(folder / f"{BUILDS}.lance")
    rows = [] if dataset is None else dataset.to_table().to_pylist()
    for row in rows:
        if row["id"] == build:
            return read_build(row)
    raise DatasetError(f"{folder.name}: it has no build {build}; there are {', '.join(r['id'] for r in rows[-5:])}")


class Dataset:
    """A LanceDB database as one build left it. Its tables are `lancedb` tables; they read well without vbuild too.

    It may be sent to other processes, each of which opens the tables anew.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        build: dict[str, Any],
        store: Path | None = None,
        knobs: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.folder, self.build, self.knobs = name, folder, build, dict(knobs or {})
        self.store = store or places.resolved(build["config"]["store"], folder)
        """Where the files lie that its `_uri` columns name."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Dataset, (self.name, self.folder, self.build, self.store, self.knobs)

    def __repr__(self) -> str:
        return f"<vbuild dataset {self.name}, build {self.build['id']}, in {self.folder}>"

    @cached_property
    def _database(self) -> Any:
        import lancedb

        return lancedb.connect(str(self.folder))

    def at(self, build: str) -> Dataset:
        """The same as another build left it. Raises DatasetError if there is no such build."""
        return Dataset(self.name, self.folder, _named_build(self.folder, build), self.store, self.knobs)

    def table(self, name: str) -> LanceTable:
        """A table at the version that the build left. Raises DatasetError for one that there is not."""
        known = [*self.build["tables"], BUILDS]
        if name not in known:
            raise DatasetError(f"{self.name}: it has no table {name!r}{hint(name, known)}")
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
    def failures(self) -> LanceTable:
        """One row an action that failed."""
        return self.table("failures")

    @cached_property
    def builds(self) -> LanceTable:
        """One row a build, later ones too."""
        return self.table(BUILDS)

    @cached_property
    def schema(self) -> pa.Schema:
        """Of clips, without bookkeeping."""
        return pa.schema([f for f in self.clips.schema if f.name != DIGESTS])

    @cached_property
    def videos_schema(self) -> pa.Schema:
        """Of videos, likewise."""
        return pa.schema([f for f in self.videos.schema if f.name != DIGESTS])

    def instances(self, stage: str) -> list[str]:
        """The instances of a stage that the build had, as they were written."""
        return [name for name, recipe in self.build["recipes"].items() if recipe["stage"] == stage]

    @cached_property
    def media(self) -> list[str]:
        """The instances that made a video file of each clip, in the order of their columns.

        It is one whatever its stage, if it tells of its file its bytes, width, height, frames, their rate and codec.
        """
        names = set(self.schema.names)
        made = [name.removesuffix("_uri") for name in self.schema.names if name.endswith("_uri")]
        return [name for name in made if names.issuperset(name + part for part in MEDIA)]

    def columns(self) -> list[str]:
        """The columns of clips."""
        return list(self.schema.names)

    # all of it

    def scan(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        batch: int = 1024,
        *,
        everything: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """The clips that were kept, or `everything`, in an order that stays: by the video's uri, then by time.

        Batches of so many rows, the last of fewer; only one is held, and of every clip its place in the order.
        `columns`: which, by default all of clips; `where`: a condition in SQL; both may name columns of `videos`.
        Columns `_uri` hold whole paths. Raises DatasetError for a column that is not there, and for a condition that
        cannot be asked.
        """
        wanted = columns_of(self, columns)
        if batch < 1:
            raise DatasetError(f"batch={batch}: a whole number of 1 or more is expected")
        return self._batches(self.rows(where, None if everything else True), wanted, batch)

    def rows(self, where: str | None = None, kept: bool | None = True) -> pa.UInt64Array:
        """The row ids of clips in the order of `scan`, as `clips.take_row_ids` takes them.

        `kept`: True for those that were, False for those that were dropped, None for all. Raises DatasetError.
        """
        wanted = condition(self, where, kept)
        query = self.clips.search().select(list(ORDER)).with_row_id(True).limit(None)
        if wanted.sql:
            query = query.where(wanted.sql)
        try:
            found = query.to_arrow()
        except (ValueError, RuntimeError, OSError) as error:
            raise explained(self, error, where) from error
        if wanted.rows is not None:
            found = found.filter(pc.is_in(found["_rowid"], value_set=wanted.rows))
        order = pc.sort_indices(found, sort_keys=[(name, "ascending") for name in ORDER])
        return found["_rowid"].combine_chunks().take(order)

    def _batches(self, rows: pa.UInt64Array, wanted: Columns, batch: int) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(rows), batch):
            yield self.taken(rows[start : start + batch], wanted).combine_chunks().to_batches()[0]

    def taken(self, rows: pa.Array, wanted: Columns) -> pa.Table:
        """Some rows of clips, by row id and in that order, with whole paths."""
        own = wanted.own
        return wanted.attached(self, self.located(self.stored(rows, own)))

    def stored(self, rows: pa.Array, columns: Sequence[str], table: LanceTable | None = None) -> pa.Table:
        """Some rows of clips, or of another table, by row id and in that order, as the table has them."""
        of = self.clips if table is None else table
        if not len(rows):
            return pa.schema([of.schema.field(name) for name in columns]).empty_table()
        found = of.take_row_ids(rows.to_pylist()).select(list(columns)).with_row_id().to_arrow()
        order = pc.index_in(rows.cast(pa.uint64()), value_set=found["_rowid"].combine_chunks())
        return found.take(order).select(list(columns))

    def to_arrow(
        self, columns: Sequence[str] | None = None, where: str | None = None, *, everything: bool = False
    ) -> pa.Table:
        """What `scan` gives, as one table."""
        batches = list(self.scan(columns, where, 1 << 14, everything=everything))
        return pa.Table.from_batches(batches) if batches else self.taken(pa.array([]), columns_of(self, columns))

    def to_pandas(
        self, columns: Sequence[str] | None = None, where: str | None = None, *, everything: bool = False
    ) -> pd.DataFrame:
        """The same for pandas."""
        frame: pd.DataFrame = self.to_arrow(columns, where, everything=everything).to_pandas()
        return frame

    def to_polars(
        self, columns: Sequence[str] | None = None, where: str | None = None, *, everything: bool = False
    ) -> pl.DataFrame:
        """The same for Polars."""
        import polars

        return polars.from_arrow(self.to_arrow(columns, where, everything=everything))  # type: ignore[return-value]

    # some of it

    def search(
        self,
        text: str | None = None,
        *,
        near: Any = None,
        like: str | None = None,
        where: str | None = None,
        vector: str | None = None,
        columns: Sequence[str] | None = None,
        limit: int = 20,
        everything: bool = False,
    ) -> pa.Table:
        """Clips by words in their captions, by what they are like, by a condition, or by all of these.

        `text` ranks by BM25 (`_score`). `near` ranks by cosine distance (`_distance`) in the column `vector`, by
        default the first embedding: near to words (by the text tower of the model that made the vectors), to a clip (a
        `DatasetClip`, or its whole id), to a picture (a path, an image of Pillow, an array uint8 (h, w, 3)), to a video
        (a path), or to a vector; `like` is the same of a clip, by the beginning of its id, and of a path. Both together
        rank by reciprocal ranks. Clips that were dropped are left out unless `everything`. With neither, rows come in
        the order of `scan`. `where` and `columns` may name columns of `videos` too. Columns `_uri` hold whole paths
        here, and in the tables paths in the store. Raises DatasetError, and UsageError if the model that made the
        vectors is not here.
        """
        if like is not None:
            if near is not None:
                raise DatasetError("near, like: they say the same; give one")
            near = named_like(self, like)
        return answered(self, Question(text, near, where, vector, columns, limit, None if everything else True))

    def duplicates_of(self, clip_id: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The near-duplicates of a clip, dropped ones too, the nearest first, with their `similarity`.

        Raises DatasetError if there is no such clip.
        """
        return near_duplicates(self, clip_named(self, clip_id), columns)

    def sql(self, query: str) -> pa.Table:
        """What a query of DuckDB says of the tables: `clips`, `kept` (of these those that were), `videos`, `captions`,
        `duplicates`, `failures`, `builds`. Columns `_uri` hold whole paths. Raises DatasetError.
        """
        from vbuild.dataset.sql import asked

        return asked(self, query)

    def clip(self, clip_id: str) -> DatasetClip:
        """One clip, of whose id the beginning is enough. Raises DatasetError if there is none, or several."""
        whole = clip_named(self, clip_id)
        row = self.clips.search().where(f"clip_id = '{whole}'").limit(1).to_arrow()
        (values,) = self.located(row.select(self.columns())).to_pylist()
        return DatasetClip(self, values)

    def torch(
        self,
        frames: int = 16,
        size: int | tuple[int, int] = 224,
        *,
        fps: float | None = None,
        fit: Literal["squash", "crop", "pad"] = "crop",
        columns: Sequence[str] = (),
        where: str | None = None,
        shuffle: bool = False,
        seed: int = 0,
    ) -> ClipDataset:
        """The kept clips with their frames, decoded when they are asked for, as a map-style dataset of PyTorch.

        `frames` a clip, of `size` pixels (one number, or width and height); `fps`: they lie so far apart, else over the
        whole clip. `columns`: what comes with them; `where`: which clips. `shuffle`, by `seed`, is of its `loader`, and
        of the iterable `ClipStream`. Raises DatasetError.
        """
        from vbuild.dataset.torch import ClipDataset, Wanted

        shape = (size, size) if isinstance(size, int) else size
        made = Wanted(
            frames=frames, size=shape, fps=fps, fit=fit, columns=tuple(columns), where=where, shuffle=shuffle, seed=seed
        )
        return ClipDataset(self, made)

    def export(self, form: str, out: str | Path, *, where: str | None = None, **options: Any) -> Exported:
        """Brings a folder to what a form of export of the dataset shall hold; see `vbuild export`.

        Raises what `vbuild.dataset.export.export` raises.
        """
        from vbuild.dataset.export.export import export

        return export(self, form, Path(out), where=where, options=options)

    # the files

    def blob(self, ref: str) -> StoredBlob:
        """A file that a `_uri` column names, by its path in the store or its whole path: to be opened, or read.

        Raises DatasetError for one that is not there.
        """
        path = self.store / ref
        if not path.is_file():
            raise DatasetError(f"{path}: no such file is in the store; build {self.name} again, and it is made anew")
        return StoredBlob(path)

    def located(self, rows: pa.Table) -> pa.Table:
        """Rows with the whole paths of the files that their columns name, and without bookkeeping."""
        for name in [n for n in rows.column_names if n.endswith("_uri") and n in blob_columns(self.schema)]:
            place, column = rows.column_names.index(name), rows[name]
            paths = pa.array(map(self._located, column.to_pylist()), column.type)
            rows = rows.set_column(place, rows.schema.field(name), paths)
        return rows.drop_columns([name for name in (DIGESTS,) if name in rows.column_names])

    def _located(self, cell: str | list[str] | None) -> str | list[str] | None:
        """The paths of the files that a cell names."""
        if isinstance(cell, list):
            return [str(self.store / uri) for uri in cell]
        return cell and str(self.store / cell)
