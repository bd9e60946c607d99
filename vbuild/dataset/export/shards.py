"""Which clips lie in which shard: told by their ids, so that a clip more or less changes one shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

MIB = 1 << 20


def shards(ids: pa.ChunkedArray | pa.Array, sizes: np.ndarray, target: int) -> list[np.ndarray]:
    """The rows of each shard, in order of clip ids, for clips of so many bytes (n,) and shards of about `target`.

    Clips lie by the first bits of their ids, which are evenly spread and have nothing to do with videos or times: a
    shard is a random sample, and a clip that comes or goes changes no other. There are 1, 2, 4, ... shards, the fewest
    whose mean is not above `target`, but never one that is empty: twice as many clips halve each shard.
    """
    if not len(ids):
        return []
    names = np.asarray(ids.to_pylist())
    order = np.argsort(names, kind="stable")
    heads = np.array([int(name[:8], 16) for name in names[order].tolist()], np.uint64)
    bits = 0
    total = int(sizes.sum())
    while total > target << bits and bits < 32:
        bits += 1
    while bits and len(np.unique(heads >> np.uint64(32 - bits))) < 1 << bits:
        bits -= 1
    places = heads >> np.uint64(32 - bits) if bits else np.zeros(len(heads), np.uint64)
    ends = np.cumsum(np.bincount(places.astype(np.int64), minlength=1 << bits))
    return np.split(order, ends[:-1])
