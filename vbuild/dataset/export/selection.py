"""The clips of an export: which, in what order, and what the tables say of them."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild import digest
from vbuild.check import hint
from vbuild.dataset.shown import DIGESTS
from vbuild.errors import DatasetError, ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vbuild.dataset.read import Dataset

CHUNK = 1024
"""Clips whose columns are in memory at once."""

Record = dict[str, Any]
"""A clip, column → value."""


@dataclass(frozen=True)
class Selection:
    """The clips of a build that an export is of, in order of their videos and times."""

    dataset: Dataset
    where: str | None = None
    """A condition in SQL beside `kept`."""
    dropped: bool = False
    """Those that were dropped, in place of those that are kept."""
    media: str | None = None
    """The instance whose files are the clips' media; None: the first that makes any."""
    _held: dict[int, list[list[Record]]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The captions of some clips that lie together."""

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of `clips`, but for what is not for people."""
        return self.dataset.schema

    @cached_property
    def instance(self) -> str | None:
        """The instance that made the clips' files; None if none did. Raises ExportError for one that did not."""
        made = self.dataset.media
        if self.media is not None and self.media not in made:
            raise ExportError(
                f"media={self.media}: it makes no file of a clip in {self.dataset.name}{hint(self.media, made)}"
            )
        return self.media or (made[0] if made else None)

    def needs_media(self, form: str) -> str:
        """The instance that made the clips' files. Raises ExportError if there is none."""
        if self.instance is None:
            raise ExportError(
                f"{self.dataset.name}: no stage makes files of clips, which {form} is made of; add transcode"
            )
        return self.instance

    @cached_property
    def embeddings(self) -> dict[str, str]:
        """Column of vectors → the stage that wrote it."""
        recipes = self.dataset.build["recipes"]
        vectors = [f.name for f in self.schema if pa.types.is_fixed_size_list(f.type)]
        return {name: recipes.get(name, {}).get("stage", name) for name in vectors}

    @cached_property
    def plain(self) -> list[str]:
        """All columns but vectors and the digests of files."""
        return [n for n in self.schema.names if n not in self.embeddings and not n.endswith("_digest")]

    @cached_property
    def keys(self) -> pa.Table:
        """clip_id, uri, start_s, and the size of the file in `bytes`, of each clip of the selection, in order."""
        rows = self.dataset.rows(self.where, not self.dropped)
        columns = ["clip_id", "uri", "start_s"]
        size = [f"{self.instance}_bytes"] if self.instance else []
        found = self.dataset.stored(rows, columns + size)
        sizes = found[size[0]].fill_null(0) if size else pa.array(np.zeros(len(found), np.int64))
        found = found.select(columns).append_column("_rowid", rows).append_column("bytes", sizes)
        return found.combine_chunks()

    def of_dropped(self) -> Selection:
        """The same of clips that were dropped."""
        return replace(self, dropped=True)

    def __len__(self) -> int:
        return len(self.keys)

    def table(self, rows: np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
        """Columns of some clips of the selection, in the order asked for."""
        wanted = list(self.schema.names if columns is None else columns)
        ids = self.keys["_rowid"].combine_chunks().take(pa.array(rows, pa.int64()))
        return self.dataset.stored(ids, wanted).combine_chunks()

    def chunks(self, rows: np.ndarray | None = None, size: int = CHUNK) -> Iterator[np.ndarray]:
        """The rows of the selection, or some of them, so many at a time."""
        rows = np.arange(len(self)) if rows is None else rows
        for start in range(0, len(rows), size):
            yield rows[start : start + size]

    def records(self, rows: np.ndarray | None = None, columns: Sequence[str] | None = None) -> Iterator[Record]:
        """Clips as plain records, without vectors unless `columns` names them. What is not a number is null."""
        for part in self.chunks(rows):
            yield from numbered(self.table(part, self.plain if columns is None else columns))

    def file(self, uri: str) -> Path:
        """A file of the store that a column names. Raises ExportError if it is gone."""
        path = self.dataset.store / uri
        if not path.is_file():
            raise ExportError(f"{path}: the file is gone from the store; build {self.dataset.name} again")
        return path

    @cached_property
    def _windows(self) -> tuple[pa.Array, np.ndarray, dict[str, str]]:
        """The row ids of the selection's captions in its order, the first of each clip (n + 1,), and the captioners."""
        nothing: tuple[pa.Array, np.ndarray, dict[str, str]]
        nothing = pa.array([], pa.uint64()), np.zeros(len(self) + 1, np.int64), {}
        try:
            query = self.dataset.captions.search().select(["clip_id", "captioner", "window", "model"])
            table: pa.Table = query.with_row_id(True).limit(None).to_arrow()
        except (ValueError, DatasetError):
            return nothing
        clip = pc.index_in(table["clip_id"], value_set=self.keys["clip_id"].combine_chunks())
        table = table.drop_columns(["clip_id"]).append_column("_clip", clip).filter(clip.is_valid())
        if not len(table):
            return nothing
        pairs = table.group_by(["captioner"]).aggregate([("model", "max")])
        models = (model or "" for model in pairs["model_max"].to_pylist())
        order = pc.sort_indices(table, [(name, "ascending") for name in ("_clip", "captioner", "window")])
        starts = np.searchsorted(table["_clip"].to_numpy()[order.to_numpy()], np.arange(len(self) + 1))
        ids = table["_rowid"].combine_chunks().take(order)
        return ids, starts, dict(sorted(zip(pairs["captioner"].to_pylist(), models, strict=True)))

    def windows(self, rows: np.ndarray) -> list[list[Record]]:
        """The rows of `captions` of some clips of the selection, captioner by captioner, window by window."""
        ids, starts, _ = self._windows
        counts = starts[rows + 1] - starts[rows]
        wanted = np.arange(counts.sum()) + np.repeat(starts[rows] - np.cumsum(counts) + counts, counts)
        if not len(wanted):
            return [[] for _ in counts]
        table = self.dataset.captions
        columns = [name for name in table.schema.names if name not in (DIGESTS, "caption_id", "clip_id")]
        found = iter(self.dataset.stored(ids.take(pa.array(wanted)), columns, table).to_pylist())
        return [list(itertools.islice(found, count)) for count in counts.tolist()]

    def captions(self, row: int) -> list[Record]:
        """The same of one clip; those of its neighbours in order are read with it, and held."""
        part = row // CHUNK
        if part not in self._held:
            self._held.clear()
            self._held[part] = self.windows(np.arange(part * CHUNK, min((part + 1) * CHUNK, len(self))))
        return self._held[part][row % CHUNK]

    @property
    def captioners(self) -> dict[str, str]:
        """Column of captions → the model that wrote them, "" where that is none."""
        return self._windows[2]

    @cached_property
    def roots(self) -> list[str]:
        """The folders that the dataset's source names."""
        return [str(path) for path in self.dataset.build["config"]["source"]["path"]]

    def relative(self, uri: str) -> str:
        """The path of a video in its source, without a way out of it."""
        for root in sorted(self.roots, key=len, reverse=True):
            if uri.startswith(root.rstrip("/") + "/"):
                return uri[len(root.rstrip("/")) + 1 :]
        parts = PurePosixPath(re.sub(r"^[a-z0-9+.-]+://", "", uri)).parts
        return "/".join(part for part in parts if part not in ("/", "..", "."))


def numbered(table: pa.Table) -> Iterator[Record]:
    """Rows as records, in which what is not a number is null: JSON has no NaN."""
    for row in table.to_pylist():
        yield {name: None if value != value else value for name, value in row.items()}


def name_of(clip: Record) -> str:
    """A clip's name as a file: its video, its milliseconds, and the beginning of its id, without dots.

    Of a million clips of videos that are called alike, cut at the same times, two have one name in 0.2 % of cases.
    """
    video = re.sub(r"[^\w-]+", "_", Path(clip["uri"]).stem)[:80].strip("_") or "clip"
    start, end = (round(clip[side] * 1000) for side in ("start_s", "end_s"))
    return f"{video}_{start:07d}_{end:07d}_{clip['clip_id'][:12]}"


def sign(*parts: Any) -> str:
    """The sign of a piece that follows from plain values."""
    return digest.of_bytes(json.dumps(parts, default=str, sort_keys=True).encode()).hex()


def sign_of(table: pa.Table, *parts: Any) -> str:
    """The sign of a piece that follows from rows of a table, by their values, and from plain values."""
    return digest.of_all([*map(_digest_of, table.itercolumns()), bytes.fromhex(sign(table.column_names, *parts))]).hex()


def _digest_of(column: pa.ChunkedArray) -> bytes:
    """The digest of a column's values. Arrow's own bytes will not do: what lies under a null may be anything."""
    cells = column.combine_chunks()
    if pa.types.is_fixed_size_list(cells.type):
        vectors = cells.drop_null().flatten().to_numpy()
        return digest.of_bytes(
            vectors.tobytes() + np.packbits(cells.is_valid().to_numpy(zero_copy_only=False)).tobytes()
        )
    return bytes.fromhex(sign(cells.to_pylist()))
