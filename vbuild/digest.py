"""Every hash in vbuild: digests of bytes, files, values, recipes, clips and inputs."""

from __future__ import annotations

import json
import math
import struct
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, NewType

import xxhash

from vbuild import secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

Digest = NewType("Digest", bytes)
"""16 bytes of xxh3_128. No security boundary: a store is shared among people who trust each other."""

FORMAT = 1
"""Version of the canonical encoding; a change makes every key new."""

SIZE = 16
BLOCK = 1 << 20
ROWS = 4096
"""Rows that are objects at once: a million cost more to hold than to digest."""


def of_bytes(data: bytes | memoryview) -> Digest:
    """Digest of raw bytes."""
    return Digest(xxhash.xxh3_128_digest(data))


def of_pieces(pieces: Iterable[bytes]) -> Digest:
    """Digest of raw bytes that come in pieces; where one ends does not matter."""
    state = xxhash.xxh3_128()
    for piece in pieces:
        state.update(piece)
    return Digest(state.digest())


def of_stream(stream: BinaryIO) -> Digest:
    """Digest of everything left in a binary stream, read a MiB at a time."""
    state = xxhash.xxh3_128()
    while block := stream.read(BLOCK):
        state.update(block)
    return Digest(state.digest())


def of_file(path: Path) -> Digest:
    """Digest of a file's bytes. Raises OSError if it cannot be read."""
    with path.open("rb") as stream:
        return of_stream(stream)


def of(tag: str, *parts: Any) -> Digest:
    """Digest of plain values, tagged by kind so that two kinds never meet."""
    return of_bytes(canonical([tag, *parts]))


def canonical(value: Any) -> bytes:
    """Type-tagged, length-prefixed bytes of a plain value: equal values, equal bytes, whatever made them.

    Takes None, bool, int, float, str, bytes, and lists, tuples and str-keyed mappings of those. Strings are NFC,
    floats their 8 bytes (-0.0 is 0.0), mappings sorted by key. Raises ValueError for NaN, TypeError for all else.
    """
    match value:
        case None:
            return b"n"
        case bool():
            return b"t" if value else b"f"
        case int():
            return _sized(b"i", str(value).encode())
        case float():
            if math.isnan(value):
                raise ValueError("NaN has no place in a key")
            return b"d" + struct.pack("<d", value + 0.0)
        case str():
            return _sized(b"s", unicodedata.normalize("NFC", value).encode())
        case bytes():
            return _sized(b"b", value)
        case list() | tuple():
            return b"l" + struct.pack("<I", len(value)) + b"".join(map(canonical, value))
        case dict():
            entries = sorted((canonical(_text(key)), canonical(item)) for key, item in value.items())
            return b"m" + struct.pack("<I", len(entries)) + b"".join(key + item for key, item in entries)
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical form")


def _sized(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data


def _text(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a mapping in a key has the key {key!r}, which is no string")
    return key


@dataclass(frozen=True)
class Recipe:
    """A stage with all that changes its output, and nothing that cannot."""

    stage: str
    version: int
    params: Mapping[str, Any]
    """Parameters that differ from their defaults."""
    uses: Mapping[str, int]
    """Code outside the stage that shapes its output, with its version."""
    models: Mapping[str, str]
    """Model identities: a 40-hex commit, or the digest of a folder's files."""
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What is left out of `params`, with the values that it stood for; noted, and in no key."""
    source: str | None = field(default=None, compare=False)
    """A digest of the code of a user's stage; noted, and in no key."""

    @property
    def manifest(self) -> dict[str, Any]:
        """What the key is made of; the digest and the explanation both read it."""
        return {
            "format": FORMAT,
            "stage": self.stage,
            "version": self.version,
            "params": dict(self.params),
            "uses": dict(self.uses),
            "models": dict(self.models),
        }

    @cached_property
    def id(self) -> str:
        """The recipe's digest, 32 hex characters."""
        return of("recipe", self.manifest).hex()

    def to_json(self) -> str:
        """The manifest as people read it beside the recipe's results."""
        said = {**self.manifest, "defaults": dict(self.defaults), "source": self.source}
        shown = secrets.masked_data(said)
        if shown != json.loads(json.dumps(said)):
            shown["id"] = self.id  # it cannot be told from what is masked
        return json.dumps(shown, indent=1, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe that `to_json` wrote."""
        data = json.loads(text)
        parts = {part: data[part] for part in ("stage", "version", "params", "uses", "models")}
        return cls(**parts, defaults=data.get("defaults", {}), source=data.get("source"))


# Columns of digests. Keys travel as numpy arrays of dtype V16: 16 opaque bytes each.


def keys_of(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A fixed_size_binary(16) column without nulls as an (n,) array of dtype V16, no copy where Arrow allows."""
    import numpy as np

    array = one_piece(column) if hasattr(column, "num_chunks") else column
    if hasattr(array, "num_chunks"):
        return np.empty(0, "V16") if not array.num_chunks else np.concatenate([keys_of(c) for c in array.chunks])
    if not len(array):
        return np.empty(0, "V16")
    start = array.offset * SIZE
    return np.frombuffer(array.buffers()[1], "V16", count=len(array), offset=start)


def one_piece(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array: copied only where it is in several."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def column_of(keys: np.ndarray) -> pa.Array:
    """The reverse of `keys_of`: an (n,) V16 array as a fixed_size_binary(16) column."""
    import numpy as np
    import pyarrow as pa

    data = np.ascontiguousarray(keys)
    return pa.Array.from_buffers(pa.binary(SIZE), len(data), [None, pa.py_buffer(data.tobytes())])


def clip_ids(
    video_ids: np.ndarray, stream: np.ndarray, start_pts: np.ndarray, end_pts: np.ndarray, time_base: np.ndarray
) -> np.ndarray:
    """Ids of n clips, (n,) V16, from columns: video ids (n,) V16, stream (n,), pts (n,), time_base (n, 2)."""
    import numpy as np

    shape = [("tag", "S5"), ("video", "V16"), ("stream", "<i4"), ("start", "<i8"), ("end", "<i8"), ("base", "<i8", 2)]
    tag = np.broadcast_to(np.bytes_(b"clip\0"), len(video_ids))
    return _digest_rows(np.dtype(shape), tag, video_ids, stream, start_pts, end_pts, time_base)


def inputs(ports: Sequence[str], columns: Sequence[np.ndarray]) -> np.ndarray:
    """Input digests, (n,) V16, of n actions: the names of what is read, then per row a digest of each, in order."""
    import numpy as np

    head = np.broadcast_to(np.void(of("input", list(ports))), len(columns[0]))
    shape = [("head", "V16"), *((f"part{place}", "V16") for place in range(len(columns)))]
    return _digest_rows(np.dtype(shape), head, *columns)


def _digest_rows(shape: np.dtype, *columns: np.ndarray) -> np.ndarray:
    """Digests (n,) V16 of records of a shape, one a row, each with what the columns (n, …) hold of the row."""
    import numpy as np

    found = np.empty(len(columns[0]), "V16")
    for start in range(0, len(found), ROWS):
        part = slice(start, start + ROWS)
        record = np.empty(len(found[part]), shape)
        for name, column in zip(shape.names or (), columns, strict=True):
            record[name] = column[part]
        rows = record.view(f"V{shape.itemsize}").tolist()
        found[part] = np.frombuffer(b"".join(map(xxhash.xxh3_128_digest, rows)), "V16")
    return found


def of_value(value: Any) -> Digest:
    """Digest of one output of an action: a plain value, or a numpy array by dtype, shape and bytes."""
    if hasattr(value, "tobytes") and hasattr(value, "shape"):
        return of("array", str(value.dtype), list(value.shape), value.tobytes())
    return of("value", value)


def of_all(digests: Iterable[bytes]) -> Digest:
    """Digest of a sequence of digests, in the order given."""
    return of_bytes(b"".join(digests))
