"""What the last build of a dataset knew of its videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lance
import pyarrow.compute as pc

from vbuild.dataset.commit import last_build
from vbuild.store import lance_io

if TYPE_CHECKING:
    from pathlib import Path


def videos(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The videos that the last build could read: uri → video id and bytes.

    None before the first build, nor from a table that is damaged, which this build makes anew.
    """
    build, path = last_build(folder), folder / "videos.lance"
    if build is None or lance_io.damaged(path):
        return {}
    table = lance.dataset(str(path), version=build["tables"]["videos"])
    rows = table.to_table(columns=["uri", "video_id", "size"])
    rows = rows.filter(pc.is_valid(rows["video_id"]))
    uris, ids, sizes = (column.to_pylist() for column in rows.columns)
    return {uri: (bytes.fromhex(id_), size) for uri, id_, size in zip(uris, ids, sizes, strict=True)}
