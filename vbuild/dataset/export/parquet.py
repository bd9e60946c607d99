"""Parquet files of the columns, and the clips' files beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from vbuild.dataset.export.form import Described
from vbuild.dataset.export.jsonl import Listed
from vbuild.dataset.export.piece import of_table
from vbuild.dataset.export.selection import sign_of
from vbuild.dataset.export.shards import MIB, shards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.dataset.export.piece import Piece
    from vbuild.dataset.export.selection import Selection

ROW = 2000
"""Bytes of a clip's columns, vectors apart, as they are guessed for the number of files."""

WINDOWS = pa.list_(
    pa.struct(
        [
            *(pa.field(name, pa.string()) for name in ("captioner", "text", "enhanced", "status", "model")),
            *(pa.field(name, pa.float64()) for name in ("start_s", "end_s")),
            *(pa.field(name, pa.int64()) for name in ("window", "tokens")),
        ]
    )
)
"""The captions of a clip."""


@dataclass(frozen=True, kw_only=True)
class Parquet(Listed):
    """`data/*.parquet` hold a row a clip with vectors and all; `clips/` their files."""

    name: ClassVar[str] = "parquet"

    shard_mb: int = 256
    """MiB of a parquet file, about, before it is packed."""
    embeddings: bool = True
    """Whether vectors are columns too."""

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """The files, then the tables."""
        yield from self.copies(clips)
        ids = clips.keys["clip_id"]
        parts = shards(ids, np.full(len(clips), self._row(clips)), self.shard_mb * MIB)
        for n, rows in enumerate(parts):
            table = self._table(clips, rows)
            path = f"data/clips-{n:05d}-of-{len(parts):05d}.parquet"
            yield of_table(path, table, sign_of(table))

    def _columns(self, clips: Selection) -> list[str]:
        wanted = self.wanted(clips)
        vectors = [] if self.columns or not self.embeddings else list(clips.embeddings)
        return [*wanted, *vectors]

    def _row(self, clips: Selection) -> int:
        """Bytes of a row, about."""
        vectors = (clips.schema.field(name).type for name in self._columns(clips) if name in clips.embeddings)
        return ROW + int(sum(kind.list_size * kind.value_type.bit_width // 8 for kind in vectors))

    def _table(self, clips: Selection, rows: np.ndarray) -> pa.Table:
        parts = [self._part(clips, part) for part in clips.chunks(rows)]
        return pa.concat_tables(parts or [self._part(clips, rows)])

    def _part(self, clips: Selection, rows: np.ndarray) -> pa.Table:
        wanted = self._columns(clips)
        shown = ["clip_id", "uri", "start_s", "end_s", *([f"{clips.instance}_uri"] if clips.instance else [])]
        table = clips.table(rows, list(dict.fromkeys([*shown, *wanted])))
        listed = list(self.listed(clips, rows, table.select(shown).to_pylist()))
        columns = {"file": pa.array([one["file"] for one in listed], pa.string())}
        columns |= {name: table[name] for name in wanted}
        if listed and "captions" in listed[0]:
            columns["captions"] = pa.array([one["captions"] for one in listed], WINDOWS)
        return pa.table(columns)

    def described(self, clips: Selection) -> list[Described]:
        """The tables, and the files."""
        kinds = tuple((name, str(clips.schema.field(name).type)) for name in self._columns(clips))
        table = Described("table", "data/*.parquet", "application/x-parquet", (("file", "string"), *kinds))
        return [table, *super().described(clips)]
