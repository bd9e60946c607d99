"""What forms share whose shards hold samples behind a list of where each begins: MosaicML Streaming's and LitData's."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from vbuild.dataset.export.form import Described
from vbuild.dataset.export.piece import Piece
from vbuild.dataset.export.samples import Held, Sampled
from vbuild.dataset.export.selection import sign
from vbuild.dataset.export.shards import MIB, shards
from vbuild.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vbuild.dataset.export.samples import Sample, Shard
    from vbuild.dataset.export.selection import Selection

Cell = bytes | Path
"""What a sample holds of a field: bytes, or the file that holds them."""

FIELDS = ("video", "clip_id", "caption", "json")
"""The fields of a sample beside its vectors."""


@dataclass(frozen=True, kw_only=True)
class Packed(Sampled):
    """A form of such shards. A vector that a clip lacks is NaN; clips without a file are left out.

    The formats are small and stand still, and their libraries bring torchvision and boto3: so they are written here.
    """

    glob: ClassVar[str]
    """What the paths of shards are like."""

    def shard_path(self, number: int) -> str:
        """The path of a shard."""
        raise NotImplementedError

    def head(self, clips: Selection) -> bytes:
        """What stands in a shard between the list of beginnings and the first sample."""
        del clips
        return b""

    def sized(self, clips: Selection) -> list[tuple[str, bool]]:
        """The fields in their order, and of each whether a sample tells its size."""
        raise NotImplementedError

    def index(self, clips: Selection, held: Sequence[Held], sizes: Sequence[int]) -> bytes:
        """`index.json`, of shards of so many bytes."""
        raise NotImplementedError

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """The shards, then the index."""
        clips.needs_media(self.name)
        if clash := [name for name in clips.embeddings if name in FIELDS]:
            raise ExportError(f"{clash[0]}: {self.name} holds something else under that name; give embeddings=false")
        rows = np.flatnonzero(clips.keys["bytes"].to_numpy() > 0)
        keys = clips.keys.take(pa.array(rows))
        held = []
        for number, part in enumerate(shards(keys["clip_id"], keys["bytes"].to_numpy(), self.shard_mb * MIB)):
            shard = self.shard(clips, rows[part])
            piece = Piece(
                self.shard_path(number),
                shard.sign(self, self.shard_mb),
                partial(self._write, clips, shard),
            )
            held.append(Held(piece.path, len(part), piece.sign))
            yield piece
        yield self._index(clips, held)

    def _index(self, clips: Selection, held: list[Held]) -> Piece:
        def write(target: Path, *files: Path) -> None:
            target.write_bytes(self.index(clips, held, [file.stat().st_size for file in files]))

        said = sign(self.name, self.shard_mb, self.vectors(clips), [(one.path, one.sign) for one in held])
        return Piece("index.json", said, write, tuple(one.path for one in held))

    def vectors(self, clips: Selection) -> dict[str, tuple[str, int]]:
        """Column of vectors → the name of its numbers' type, and how many they are."""
        kinds = {name: clips.schema.field(name).type for name in clips.embeddings if self.embeddings}
        return {name: (np.dtype(k.value_type.to_pandas_dtype()).name, k.list_size) for name, k in kinds.items()}

    def _write(self, clips: Selection, shard: Shard, target: Path) -> None:
        kinds, fields = self.vectors(clips), self.sized(clips)
        items = []
        for sample in self.samples(clips, shard):
            held = cells(sample, kinds)
            told = np.array([_size(held[name]) for name, tells in fields if tells], "<u4")
            items.append([told.tobytes(), *(held[name] for name, _ in fields)])
        pack(target, items, self.head(clips))

    def described(self, clips: Selection) -> list[Described]:
        """The shards."""
        del clips
        return [Described("shards", self.glob, "application/octet-stream")]


def cells(sample: Sample, kinds: dict[str, tuple[str, int]]) -> dict[str, Cell]:
    """Field → what a sample holds of it."""
    assert sample.file is not None
    vectors = {name: np.full(size, np.nan) if sample.vectors[name] is None else sample.vectors[name]
               for name, (_, size) in kinds.items()}  # fmt: skip
    return {
        "video": sample.file,
        "clip_id": str(sample.clip["clip_id"]).encode(),
        "caption": (sample.caption or "").encode(),
        "json": sample.metadata.encode(),
        **{name: np.asarray(vector, kinds[name][0]).tobytes() for name, vector in vectors.items()},
    }


def _size(cell: Cell) -> int:
    return len(cell) if isinstance(cell, bytes) else cell.stat().st_size


def pack(target: Path, items: Sequence[Sequence[Cell]], head: bytes = b"") -> None:
    """Writes a shard: uint32 number of samples, uint32 (n + 1) where each begins and the last ends, `head`, samples.

    Raises ExportError for one of 4 GiB or more, of which a uint32 cannot tell the end.
    """
    ends = np.cumsum([0, *(sum(map(_size, item)) for item in items)], dtype=np.int64)
    ends += 4 * (1 + len(ends)) + len(head)
    if ends[-1] >= 1 << 32:
        raise ExportError(f"a shard of {ends[-1] / 1e9:.1f} GB is more than 4 GiB; give a smaller shard_mb")
    with target.open("wb") as stream:
        stream.write(np.uint32(len(items)).astype("<u4").tobytes() + ends.astype("<u4").tobytes() + head)
        for item in items:
            for cell in item:
                if isinstance(cell, bytes):
                    stream.write(cell)
                else:
                    with cell.open("rb") as source:
                        shutil.copyfileobj(source, stream, MIB)
