"""What the columns of a built dataset are: their types, units, nulls, and which stage wrote each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vbuild.dataset.shown import DIGESTS
from vbuild.dataset.told import ABOUT, UNIT, unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from vbuild.dataset.read import Dataset

FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}

DECIDED = frozenset({"kept", "dropped_by", "duplicate_of"})

GIVEN = {
    **dict.fromkeys(("clip_id", "start_s", "end_s", "duration_s", "start_pts", "end_pts"), "split"),
    **dict.fromkeys(("source_w", "source_h", "source_fps"), "probe"),
}
"""Column of every clip → what it comes from, where that is not the source."""

OF_BUILD = frozenset({"error", "warning", "status", "remark"})


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: str
    unit: str
    about: str
    """What it is; "" in a dataset that was built before tables told."""
    nulls: int
    source: str
    """The instance that wrote it and its stage; `source`, `decisions` or `build`."""


@dataclass(frozen=True)
class Table:
    """One table as the last build left it."""

    name: str
    rows: int
    version: int
    columns: tuple[Column, ...]


def tables(dataset: Dataset, names: list[str] | None = None) -> list[Table]:
    """The tables of a dataset, or some of them, in the order in which builds name them."""
    known: Mapping[str, int] = dataset.build["tables"]
    return [_table(dataset, name, known[name]) for name in known if names is None or name in names]


def _table(dataset: Dataset, name: str, version: int) -> Table:
    import lance

    data = lance.dataset(str(dataset.folder / f"{name}.lance"), version=version)
    columns = tuple(_column(dataset, name, f, data) for f in data.schema if f.name != DIGESTS)
    return Table(name, data.count_rows(), version, columns)


def _column(dataset: Dataset, table: str, f: pa.Field, data: Any) -> Column:
    said = {key.decode(): value.decode() for key, value in (f.metadata or {}).items()}
    nulls = data.count_rows(f"`{f.name}` IS NULL")
    source = _source(table, f.name, dataset)
    return Column(f.name, arrow(f.type), said.get(UNIT) or unit(f), said.get(ABOUT, ""), nulls, source)


def arrow(kind: Any) -> str:
    """An Arrow type as people know it."""
    text = re.sub(r"\b(?:item|element): | not null", "", str(kind).replace("fixed_size_list", "vector"))
    return re.sub(r"\b(?:halffloat|float|double)\b", lambda match: FLOATS[match[0]], text)


def _source(table: str, column: str, dataset: Dataset) -> str:
    """Which instance wrote a column: that with the longest name which the column begins with."""
    if table == "clips" and column in GIVEN:
        return GIVEN[column]
    recipes: Mapping[str, Mapping[str, Any]] = dataset.build["recipes"]
    if column in DECIDED or table == "duplicates":
        return "decisions"
    if column in OF_BUILD or table == "failures":
        return "build"
    names = {*recipes, *dataset.build["config"]["stages"]}
    mine = [n for n in names if column == n or column.startswith(f"{n}_")] if table in ("clips", "videos") else []
    if not mine:
        return "probe" if table == "videos" and column not in ("uri", "video_id", "size", "clips") else "source"
    name = max(mine, key=len)
    recipe = recipes.get(name)
    if recipe is None:
        return f"{name}: a decision"
    return f"{name}: {recipe['stage']} {recipe['version']}"
