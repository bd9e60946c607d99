"""What forms share that put clips into shards as samples: a file, its metadata, a caption and vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vbuild.dataset.export.form import Form
from vbuild.dataset.export.selection import numbered, sign_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from vbuild.dataset.export.selection import Record, Selection


@dataclass(frozen=True)
class Sample:
    """A clip as it lies in a shard."""

    clip: Record
    """Its columns but vectors and digests."""
    file: Path | None
    metadata: str
    """JSON of its columns, and of its windows under `captions`."""
    caption: str | None
    vectors: dict[str, np.ndarray | None]


@dataclass(frozen=True)
class Shard:
    """The clips of one shard, read when its sign is told."""

    table: pa.Table
    windows: list[list[Record]]

    def sign(self, form: Sampled, *parts: object) -> str:
        """The sign of a piece that holds them."""
        return sign_of(self.table, form.name, self.windows, form.embeddings, form.caption, *parts)


@dataclass(frozen=True)
class Held:
    """What is remembered of a shard that was handed out to be written."""

    path: str
    samples: int
    sign: str


@dataclass(frozen=True, kw_only=True)
class Sampled(Form):
    """A form of shards of samples."""

    shard_mb: int = 64
    """MiB that a shard holds at most on average."""
    embeddings: bool = True
    """Whether samples hold vectors."""
    caption: str | None = None
    """The column that is the caption; null: the first captioner's, enhanced where it is."""

    def shard(self, clips: Selection, rows: np.ndarray) -> Shard:
        """Some clips of the selection."""
        return Shard(clips.table(rows), clips.windows(rows))

    def samples(self, clips: Selection, shard: Shard) -> Iterator[Sample]:
        """The samples of a shard. Raises ExportError where a file is gone from the store."""
        names = list(clips.embeddings) if self.embeddings else []
        records = numbered(shard.table.select(clips.plain))
        for row, (clip, windows) in enumerate(zip(records, shard.windows, strict=True)):
            uri = clip[f"{clips.instance}_uri"]
            cells = {name: shard.table[name][row] for name in names}
            yield Sample(
                clip,
                None if uri is None else clips.file(uri),
                json.dumps({**clip, "captions": windows}, ensure_ascii=False, default=str),
                self._caption(clip, windows),
                {name: cell.values.to_numpy() if cell.is_valid else None for name, cell in cells.items()},
            )

    def _caption(self, clip: Record, windows: list[Record]) -> str | None:
        if self.caption is not None:
            return str(clip[self.caption]) if clip.get(self.caption) is not None else None
        first = [w for w in windows if w["captioner"] == windows[0]["captioner"]]
        said = [w["enhanced"] or w["text"] for w in first]
        return " ".join(text for text in said if text) or None
