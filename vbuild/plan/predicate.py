"""Predicates and orders of keeping: SQL over the columns of clips, parsed for what they read and run by DuckDB."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb

from vbuild.check import hint
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import pyarrow as pa


PLACE = "#"
"""A column that no stage can write."""


@dataclass(frozen=True)
class Predicate:
    """A condition on one clip; the clip is kept where it is TRUE."""

    name: str
    sql: str
    reads: frozenset[str]


def columns_read(name: str, sql: str, types: Mapping[str, str]) -> frozenset[str]:
    """The columns that a predicate reads. Raises UsageError for bad SQL, unknown columns, and what is no boolean."""
    return _checked(f"where.{name}={sql!r}", f"select (\n{sql}\n) from clips", types, boolean=True)


def ordering_columns(name: str, keep: str, types: Mapping[str, str]) -> frozenset[str]:
    """The columns that a dedup's order of keeping reads; errors as `columns_read`."""
    if not keep.strip():
        return frozenset()
    return _checked(f"stages.{name}.keep={keep!r}", f"select row_number() over (order by\n{keep}\n) from clips", types)


def _checked(what: str, query: str, types: Mapping[str, str], *, boolean: bool = False) -> frozenset[str]:
    with _database() as db:
        nodes = list(_nodes(_expression(db, what, query)))
        if any(node.get("class") == "SUBQUERY" for node in nodes):
            raise UsageError(f"{what}: a condition sees one clip at a time; a subquery has no place in it")
        for function in (node["function_name"] for node in nodes if node.get("class") == "FUNCTION"):
            if function.lower() in _moods():
                raise UsageError(
                    f"{what}: {function}() changes from build to build; hash(clip_id) is chance that stays"
                )
        reads = frozenset(node["column_names"][-1] for node in nodes if node.get("class") == "COLUMN_REF")
        lower = {column.lower(): column for column in types}
        for column in reads:
            if column.lower() not in lower:
                raise UsageError(f"{what}: no stage writes the column {column!r}{hint(column, types)}")
        columns = ", ".join(f"{json.dumps(c)} {sql_type(t)}" for c, t in types.items())
        db.execute(f"create temp table clips ({columns})")
        try:
            kind = db.execute(f"select typeof(x) from (select null) left join ({query}) t(x) on true").fetchone()
            if boolean:
                db.execute(f"select 1 from clips where {query.removeprefix('select ').removesuffix(' from clips')}")
        except duckdb.Error as error:
            raise UsageError(f"{what}: {_first_line(error)}") from error
        if boolean and kind and kind[0] not in ("BOOLEAN", '"NULL"'):
            raise UsageError(f"{what} is {kind[0].lower()}, not a condition; compare it with something")
        return frozenset(lower[column.lower()] for column in reads)


def _expression(db: duckdb.DuckDBPyConnection, what: str, query: str) -> Any:
    """The one expression that a query selects, parsed."""
    reply = db.execute("select json_serialize_sql(?)", [query]).fetchone()
    parsed = json.loads(reply[0]) if reply else {}
    nodes = [statement["node"].get("select_list") for statement in parsed.get("statements", ())]
    if len(nodes) != 1 or nodes[0] is None or len(nodes[0]) != 1:
        raise UsageError(f"{what} is no SQL: {parsed.get('error_message', 'one expression is wanted')}")
    return nodes[0][0]


@cache
def _moods() -> frozenset[str]:
    """Functions that may answer otherwise when they are asked again: what they drop would change by itself."""
    found = _root().execute("select function_name from duckdb_functions() where stability != 'CONSISTENT'").fetchall()
    return frozenset(name for (name,) in found)


@cache
def _root() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1, "default_null_order": "nulls_last"})


def _database() -> duckdb.DuckDBPyConnection:
    """A connection whose tables are its own. To open a database costs 10 ms, a connection to one a fiftieth of it."""
    return _root().cursor()


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every node of a parsed statement."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def sql_type(kind: str) -> str:
    """DuckDB's type for a type of `Stage.writes`."""
    if kind.startswith("vector["):
        return f"float[{kind[7:-1]}]"
    if kind.startswith("list["):
        return f"{sql_type(kind[5:-1])}[]"
    simple = {"caption": "varchar", "string": "varchar", "float32": "float", "float64": "double", "bool": "boolean"}
    return simple.get(kind, {"int64": "bigint", "int32": "integer"}.get(kind, kind))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def verdicts(predicates: Sequence[Predicate], clips: pa.Table) -> np.ndarray:
    """What each predicate says of each clip: int8 (predicates, n): 1 TRUE, 0 FALSE, -1 NULL.

    `clips` holds the columns that the predicates read, and as many rows as there are clips.
    """
    import numpy as np

    columns = ", ".join(
        f"cast(coalesce(cast((\n{p.sql}\n) as tinyint), -1) as tinyint) as v{n}" for n, p in enumerate(predicates)
    )
    with _database() as db:
        db.register("clips", clips)
        try:
            found = db.execute(f"select {columns} from clips").fetchnumpy()
        except duckdb.Error as error:
            raise UsageError(f"where: {_first_line(error)}") from error
    return np.stack(list(found.values()))


def ranks(keep: str, clips: pa.Table) -> np.ndarray:
    """The place of each clip in the order of keeping, int64 (n,): by `keep`, then by clip_id.

    `clips` holds `clip_id` and the columns that `keep` reads. NULLs come last, whichever way the order runs.
    """
    import numpy as np

    order = f"\n{keep}\n, clip_id" if keep.strip() else "clip_id"
    with _database() as db:
        db.register("clips", clips.append_column(PLACE, [np.arange(len(clips))]))
        places = db.execute(f'select "{PLACE}" from clips order by {order}').fetchnumpy()[PLACE]
    rank = np.empty(len(clips), np.int64)
    rank[places] = np.arange(len(clips))
    return rank
