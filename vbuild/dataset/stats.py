"""How the values of a dataset's columns lie, among the clips that were kept and those that each decision dropped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild.store.blobs import blob_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vbuild.dataset.read import Dataset

KEPT = "kept"

WORDS = 12
"""Different texts at most of a column that is counted by them."""


@dataclass(frozen=True)
class Bin:
    """Values of one range, or one value."""

    low: Any
    high: Any
    """The end of the range, which belongs to the last alone; of one value the same."""
    counts: dict[str, int]
    """Kept, and decision → clips."""


@dataclass(frozen=True)
class Histogram:
    """The values of one column."""

    column: str
    unit: str
    about: str
    values: int
    nulls: dict[str, int]
    """Clips without a value: kept, and by decision."""
    least: Any
    median: Any
    most: Any
    """Of numbers; None of others."""
    read_by: list[str]
    """The decisions that read it."""
    bins: list[Bin]


def histograms(
    dataset: Dataset, columns: Sequence[str] | None = None, where: str | None = None, bins: int = 10
) -> list[Histogram]:
    """A histogram of each column: by default of the numbers, truths and few words that stages measured.

    Ranges are even from the least value to the greatest. Raises DatasetError for a column that is not there.
    """
    names = scores(dataset) if columns is None else list(columns)
    by = dataset.to_arrow(["kept", "dropped_by"], where, everything=True)
    dropped = [None if b is None else b.partition(":")[0] for b in by["dropped_by"].to_pylist()]
    who = np.array([KEPT if k else b or "?" for k, b in zip(by["kept"].to_pylist(), dropped, strict=True)], object)
    groups = [KEPT, *sorted(set(who.tolist()) - {KEPT})]
    made = []
    for name in names:
        table = dataset.to_arrow([name], where, everything=True)
        one = _histogram(dataset, table.schema.field(0), table[name], who, groups, bins)
        if one is not None:
            made.append(one)
    return made


def scores(dataset: Dataset) -> list[str]:
    """The columns of what stages measured, files left out."""
    recipes: Mapping[str, Any] = dataset.build["recipes"]
    schema = dataset.schema
    files = {name.removesuffix("_uri") for name in blob_columns(schema)}
    names = [n for n in recipes if n not in files]
    return [
        f.name
        for f in schema
        if not pa.types.is_nested(f.type)
        and any(f.name == n or f.name.startswith(f"{n}_") for n in names)
        and not any(f.name.startswith(f"{n}_") for n in files)
    ]


def _histogram(
    dataset: Dataset, f: pa.Field, column: pa.ChunkedArray, who: np.ndarray, groups: Sequence[str], bins: int
) -> Histogram | None:
    from vbuild.dataset.told import ABOUT, unit

    there = column.is_valid().to_numpy()
    values = column.drop_null()
    nulls = _counts(who[~there], groups)
    about = (f.metadata or {}).get(ABOUT.encode(), b"").decode()
    made = partial(Histogram, f.name, unit(f), about, int(there.sum()), nulls, read_by=_readers(dataset, f.name))
    if pa.types.is_integer(f.type) or pa.types.is_floating(f.type):
        numbers = values.to_numpy().astype(np.float64)
        least, median, most = np.quantile(numbers, (0, 0.5, 1)).tolist() if len(numbers) else [None] * 3
        return made(least=least, median=median, most=most, bins=_ranges(numbers, who[there], groups, bins))
    if pa.types.is_boolean(f.type) or pa.types.is_string(f.type):
        known = sorted(pc.unique(values).to_pylist()) if pc.count_distinct(values).as_py() <= WORDS else []
        if not known and len(values):
            return None
        texts = np.array(values.to_pylist(), object)
        listed = [Bin(one, one, _counts(who[there][texts == one], groups)) for one in known]
        return made(least=None, median=None, most=None, bins=listed)
    return None


def _ranges(numbers: np.ndarray, who: np.ndarray, groups: Sequence[str], bins: int) -> list[Bin]:
    if not len(numbers):
        return []
    low, high = numbers.min(), numbers.max()
    if low == high:
        return [Bin(float(low), float(high), _counts(who, groups))]
    edges = np.linspace(low, high, bins + 1)
    place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, bins - 1)
    return [Bin(float(edges[n]), float(edges[n + 1]), _counts(who[place == n], groups)) for n in range(bins)]


def _counts(who: np.ndarray, groups: Sequence[str]) -> dict[str, int]:
    return {group: int((who == group).sum()) for group in groups}


def _readers(dataset: Dataset, column: str) -> list[str]:
    """The decisions of the build in whose SQL a column stands."""
    said = dataset.build["config"]
    told = {**said["where"], **{n: s.get("keep") or "" for n, s in said["stages"].items()}}
    return [name for name, sql in told.items() if re.search(rf"\b{re.escape(column)}\b", sql)]
