"""Shards that MosaicML Streaming reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vbuild.dataset.export.packed import Packed
from vbuild.dataset.export.shards import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbuild.dataset.export.samples import Held
    from vbuild.dataset.export.selection import Selection

VERSION = 2
"""Of the format."""


@dataclass(frozen=True, kw_only=True)
class Mds(Packed):
    """`shard.00000.mds` and so on, with `index.json`, for `streaming.StreamingDataset(local=folder, batch_size=n)`.

    A sample holds `video` (the file, bytes), `clip_id`, `caption` ("" of a clip without one), `json` (all columns, and
    the windows under `captions`), and vectors as arrays; one that a clip lacks is NaN. Clips without a file are left
    out. A shard is a random sample of the clips.

    MosaicML Streaming 0.13's format of version 2.
    """

    name: ClassVar[str] = "mds"
    glob: ClassVar[str] = "shard.*.mds"

    def shard_path(self, number: int) -> str:
        """As its own writer names it."""
        return f"shard.{number:05d}.mds"

    def _encodings(self, clips: Selection) -> dict[str, str]:
        """Column → its encoding, in order of their names, as the format has them."""
        vectors = {name: f"ndarray:{kind}:{size}" for name, (kind, size) in self.vectors(clips).items()}
        return dict(sorted({"video": "bytes", "clip_id": "str", "caption": "str", "json": "json", **vectors}.items()))

    def _sizes(self, clips: Selection) -> list[int | None]:
        """Bytes of each column; None of one whose samples differ."""
        kinds = self.vectors(clips)
        return [
            np.dtype(kinds[name][0]).itemsize * kinds[name][1] if name in kinds else None
            for name in self._encodings(clips)
        ]

    def sized(self, clips: Selection) -> list[tuple[str, bool]]:
        """A sample tells the sizes that the format does not."""
        return [(n, size is None) for n, size in zip(self._encodings(clips), self._sizes(clips), strict=True)]

    def _format(self, clips: Selection) -> dict[str, Any]:
        """What each shard and its line in the index say of it."""
        encodings = self._encodings(clips)
        return {
            "version": VERSION,
            "format": "mds",
            "compression": None,
            "hashes": [],
            "size_limit": self.shard_mb * MIB,
            "column_names": list(encodings),
            "column_encodings": list(encodings.values()),
            "column_sizes": self._sizes(clips),
        }

    def head(self, clips: Selection) -> bytes:
        """What the shard's columns are."""
        return json.dumps(self._format(clips), sort_keys=True).encode()

    def index(self, clips: Selection, held: Sequence[Held], sizes: Sequence[int]) -> bytes:
        """The same of all shards, with how many samples and bytes each holds."""
        shards = [
            {
                **self._format(clips),
                "samples": one.samples,
                "raw_data": {"basename": one.path, "bytes": size, "hashes": {}},
                "zip_data": None,
            }
            for one, size in zip(held, sizes, strict=True)
        ]
        return json.dumps({"version": VERSION, "shards": shards}, sort_keys=True).encode()
