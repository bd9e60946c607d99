"""Chunks that LitData reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.dataset.export.packed import FIELDS, Packed
from vbuild.dataset.export.selection import sign
from vbuild.dataset.export.shards import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbuild.dataset.export.samples import Held
    from vbuild.dataset.export.selection import Selection

NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
"""Types of numbers by the numbers that the format gives them."""

TYPES = ("bytes", "str", "str", "str")
"""The format's types of `FIELDS`."""


@dataclass(frozen=True, kw_only=True)
class Litdata(Packed):
    """`chunk-0-0.bin` and so on, with `index.json`: `litdata.StreamingDataset(folder)` reads it.

    A sample holds `video` (the file, bytes), `clip_id`, `caption` ("" of a clip without one), `json` (a text: all
    columns, and the windows under `captions`), and vectors as arrays; one that a clip lacks is NaN. Clips without a
    file are left out. A chunk is a random sample of the clips.

    The format of LitData 0.2.
    """

    name: ClassVar[str] = "litdata"
    glob: ClassVar[str] = "chunk-0-*.bin"

    def shard_path(self, number: int) -> str:
        """As its own writer names it."""
        return f"chunk-0-{number}.bin"

    def sized(self, clips: Selection) -> list[tuple[str, bool]]:
        """A sample tells the sizes of all fields."""
        return [(name, True) for name in (*FIELDS, *self.vectors(clips))]

    def index(self, clips: Selection, held: Sequence[Held], sizes: Sequence[int]) -> bytes:
        """The chunks, and what the fields of a sample are."""
        vectors = self.vectors(clips)
        types = [*TYPES, *(f"no_header_numpy:{NUMBERS.index(kind)}" for kind, _ in vectors.values())]
        chunks = [
            {"filename": one.path, "chunk_bytes": size, "chunk_size": one.samples, "dim": None}
            for one, size in zip(held, sizes, strict=True)
        ]
        config = {
            "compression": None,
            "chunk_size": None,
            "chunk_bytes": self.shard_mb * MIB,
            "data_format": types,
            "data_spec": _tree([*FIELDS, *vectors]),
            "encryption": None,
            "item_loader": "PyTreeLoader",
        }
        # by it the library tells whether what it has copied is of today
        updated = sign([(one.path, one.sign) for one in held])
        return json.dumps({"chunks": chunks, "config": config, "updated_at": updated}, sort_keys=True).encode()


def _tree(names: list[str]) -> str:
    """A flat dictionary, as PyTorch writes the shape of a tree."""
    leaf: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
    tree = {"type": "builtins.dict", "context": json.dumps(names), "children_spec": [leaf] * len(names)}
    return json.dumps([1, tree])
