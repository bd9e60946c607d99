"""What actions read of other stages: stored columns, handed on as they are and seen row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from vbuild.fields import Kind
    from vbuild.stage import Row


@dataclass(frozen=True)
class Rows:
    """What a number of actions read by one port."""

    kinds: Mapping[str, Kind]
    """Field → type."""
    table: pa.Table
    """A row an action, a column a field; of blobs their names."""
    blobs: Path
    """The folder of the store's blobs."""

    def __getitem__(self, row: int) -> Row:
        """What one action reads, made when it is asked for: Python's values, arrays, lists of `Window`, handles."""
        return _Row(self, row)

    def take(self, rows: Sequence[int]) -> Rows:
        """What some of the actions read, and nothing of the others."""
        return Rows(self.kinds, self.table.take(rows), self.blobs)


class _Row(Mapping[str, Any]):
    def __init__(self, rows: Rows, row: int) -> None:
        self.rows, self.row = rows, row

    def __getitem__(self, f: str) -> Any:
        cell = self.rows.table[f][self.row]
        return self.rows.kinds[f].value(cell, self.rows.blobs) if cell.is_valid else None

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows.kinds)

    def __len__(self) -> int:
        return len(self.rows.kinds)

    def __repr__(self) -> str:
        return repr(dict(self))
