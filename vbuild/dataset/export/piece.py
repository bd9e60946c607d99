"""What an export is made of: files, each with a sign of all that its bytes follow from."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vbuild import digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa


@dataclass(frozen=True)
class Piece:
    """One file of an export, or one folder that a library fills."""

    path: str
    """Where it lies in the export, with forward slashes."""
    sign: str
    """Hex digest of all that its content follows from: a piece with the sign of the last export is left as it is."""
    write: Callable[..., object]
    """Writes it to a path that does not exist yet; those of `reads` are given behind it."""
    reads: tuple[str, ...] = ()
    """Paths of pieces that come before it and that it is written from: they are in the export by then."""
    revised: bool = False
    """Whether `write` is given as `former` what the last export wrote in its place; None where that is not there whole.
    """


def of_bytes(path: str, data: bytes) -> Piece:
    """A small file."""
    return Piece(path, digest.of_bytes(data).hex(), lambda target: target.write_bytes(data))


def of_json(path: str, value: Any, indent: int | None = None) -> Piece:
    """A small file of JSON."""
    return of_bytes(path, (json.dumps(value, indent=indent, ensure_ascii=False, default=str) + "\n").encode())


def of_copy(path: str, source: Path, content: str) -> Piece:
    """A copy of a file, of whose bytes the hex digest is known."""
    return Piece(path, content, lambda target: shutil.copyfile(source, target))


def of_table(path: str, table: pa.Table, sign: str) -> Piece:
    """A parquet file, with the sign of what is in it."""
    return Piece(path, sign, partial(_write, table))


def _write(table: pa.Table, target: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, target, compression="zstd")
