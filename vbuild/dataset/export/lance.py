"""One Lance table that holds the columns of the clips and the bytes of their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from vbuild.dataset.export.form import Described, Form
from vbuild.dataset.export.piece import Piece
from vbuild.dataset.export.selection import sign_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vbuild.dataset.export.selection import Selection

BATCH = 64
"""Clips whose bytes are in memory at once."""


@dataclass(frozen=True, kw_only=True)
class Lance(Form):
    """`clips.lance`, which needs nothing beside it: `lance.dataset(…).take_blobs("video", indices=[0])` gives files.

    It is written anew as a whole when anything in it changed.
    """

    name: ClassVar[str] = "lance"

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """The table."""
        clips.needs_media(self.name)
        signs = [sign_of(clips.table(part)) for part in clips.chunks()]
        yield Piece(
            "clips.lance",
            sign_of(pa.table({"sign": pa.array(signs, pa.string())}), self.name),
            lambda p: self._write(clips, p),
        )

    def _schema(self, clips: Selection) -> pa.Schema:
        blob = pa.field("video", pa.large_binary(), metadata={"lance-encoding:blob": "true"})
        return pa.schema([*(f for f in clips.schema if not f.name.endswith("_uri")), blob])

    def _write(self, clips: Selection, target: Path) -> None:
        import lance

        schema = self._schema(clips)

        def batches() -> Iterator[pa.RecordBatch]:
            for part in clips.chunks(size=BATCH):
                table = clips.table(part)
                uris = table[f"{clips.instance}_uri"].to_pylist()
                data = [clips.file(uri).read_bytes() if uri is not None else None for uri in uris]
                columns = [table[n] for n in schema.names[:-1]] + [pa.array(data, pa.large_binary())]
                yield from pa.table(columns, schema=schema).to_batches()

        reader = pa.RecordBatchReader.from_batches(schema, batches())
        lance.write_dataset(reader, str(target), data_storage_version="2.1")

    def described(self, clips: Selection) -> list[Described]:
        """The table."""
        del clips
        return [Described("table", "clips.lance/**", "application/x-lance")]
