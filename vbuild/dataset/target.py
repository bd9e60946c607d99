"""What a table shall hold, told by digests: values are fetched only where they differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import pyarrow as pa

Index = Literal["text", "vector", "scalar"]


@dataclass(frozen=True)
class Group:
    """Columns of one table that change together."""

    name: str
    schema: pa.Schema
    digests: np.ndarray
    """(n,) V16: of each row's values in these columns."""
    values: Callable[[np.ndarray], pa.Table]
    """Rows (int64) → their values, in that order, of exactly `schema`."""


@dataclass(frozen=True)
class Target:
    """What a table shall hold."""

    table: str
    key: str
    """The column that names a row."""
    keys: pa.Array
    """(n,) strings, each once."""
    groups: tuple[Group, ...]
    indexes: Mapping[str, Index]
    """Column → the index that it shall have."""
    told: Mapping[str, str] = field(default_factory=dict)
    """What the key says of itself, in its metadata."""
