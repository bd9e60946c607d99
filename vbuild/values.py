"""What stages write that Python has no word for, and what is stored of values: names of columns, and digests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from vbuild import digest
from vbuild.digest import SIZE, Digest

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Blob:
    """Bytes for the content-addressed store: a file in the clip's scratch folder, or the bytes themselves."""

    data: Path | bytes
    suffix: str
    """With its dot: `.mp4`."""


@dataclass(frozen=True)
class Stored:
    """A blob that is in the store."""

    uri: str
    """Its name in the store: `ab/cdef….mp4`."""
    bytes: int
    digest: Digest


@dataclass(frozen=True)
class StoredBlob:
    """A blob that another stage wrote, as a port of `reads` gives it: to be read, never to be changed."""

    path: Path
    """Where it lies in the store, with the suffix that it was given."""

    def open(self) -> BinaryIO:
        """Its bytes as a stream, which the caller closes."""
        return self.path.open("rb")

    def bytes(self) -> bytes:
        """All of it."""
        return self.path.read_bytes()


DIGEST = "digest__"
"""What the columns of digests begin with."""


def value_column(f: str) -> str:
    """The stored column that holds a field; a field without a name is the `value`."""
    return f or "value"


def digest_column(f: str) -> str:
    """The stored column that holds the digest of a field."""
    return f"{DIGEST}{value_column(f)}"


def digests_of(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Digests of what is stored, not of what was written: float32 is rounded first."""
    import pyarrow as pa

    lists, vectors = pa.types.is_list(column.type), pa.types.is_fixed_size_list(column.type)
    if vectors or (lists and pa.types.is_fixed_size_list(column.type.value_type)):
        cells = [cell.values if cell.is_valid else None for cell in column]
        values = [v if v is None else numbers(v) if lists else v.to_numpy() for v in cells]
    else:
        values = column.to_pylist()
    return pa.array([digest.of_value(value) for value in values], pa.binary(SIZE))


def numbers(vectors: pa.Array) -> np.ndarray:
    """Vectors (n, size) of their type, in memory that may be written to."""
    return vectors.flatten().to_numpy().reshape(-1, vectors.type.list_size).copy()  # type: ignore[no-any-return]


def finite(array: pa.Array) -> bool:
    """Whether all numbers are, in lists and windows too, as they are stored: float32 has less room than Python's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(array.type):
        return all(map(finite, array.flatten()))
    if pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
        return finite(array.flatten())
    return not pa.types.is_floating(array.type) or pc.all(pc.is_finite(array)).as_py() is not False
