"""Predicates and orders of keeping: SQL over the columns of clips, parsed for what they read and run by DuckDB."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from vbuild.check import hint
from vbuild.errors import UsageError
from vbuild.fields import Scalar

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    import duckdb
    import numpy as np
    import pyarrow as pa

    from vbuild.fields import Kind


PLACE = "#"
"""A column that no stage can write."""


VIDEOS = re.compile(r"\bvideos\s*\.\s*(\w+)", re.IGNORECASE)
"""How a column is named as one of videos."""


@dataclass(frozen=True)
class Predicate:
    """A condition on one clip; the clip is kept where it is TRUE."""

    name: str
    sql: str
    reads: frozenset[str]


def columns_read(name: str, sql: str, types: Mapping[str, Kind]) -> frozenset[str]:
    """The columns that a predicate reads. Raises UsageError for bad SQL, unknown columns, what is no boolean, what does
    not hold of one clip for ever, and what fails on values such as it may meet."""
    what = f"where.{name}={sql!r}"
    with _database() as db:
        reads = _reads(what, [_selected(db, what, f"select (\n{sql}\n) from clips")], types)
        kind = _tried(db, what, f"select typeof((\n{sql}\n)) from clips", types)
        if kind not in ("BOOLEAN", '"NULL"'):
            raise UsageError(f"{what} is {str(kind).lower()}, not a condition; compare it with something")
        _tried(db, what, _judging([sql]), types)
    return reads


def bared(name: str, sql: str, clips: Container[str]) -> str:
    """A condition in which a column that is named as `videos.codec` stands by its name alone, as clips have it.

    Raises UsageError for one of a name that a column of `clips` has too, which is another.
    """
    texts = re.split(r"('(?:[^']|'')*')", sql)
    for place in range(0, len(texts), 2):
        for column in VIDEOS.findall(texts[place]):
            if column in clips:
                raise UsageError(
                    f"where.{name}: videos.{column} is hidden by the column {column} of clips; rename that"
                )
        texts[place] = VIDEOS.sub(r"\1", texts[place])
    return "".join(texts)


def ordering_columns(name: str, keep: str, types: Mapping[str, Kind]) -> frozenset[str]:
    """The columns that a dedup's order of keeping reads; errors as `columns_read`, and for terms that order nothing."""
    if not keep.strip():
        return frozenset()
    what = f"stages.{name}.keep={keep!r}"
    with _database() as db:
        terms = _ordered(db, what, _ranking(keep))
        reads = [_reads(what, [term], types) for term in terms]
        if not all(reads):
            raise UsageError(f"{what}: a term of it reads no column, so that it orders nothing; name a column in each")
        _tried(db, what, _ranking(keep), {**types, PLACE: Scalar("int64")})
    return frozenset().union(*reads)


def _selected(db: duckdb.DuckDBPyConnection, what: str, query: str) -> Any:
    """The one expression that a query selects, parsed."""
    node = _parsed(db, what, query)
    if len(node.get("select_list") or ()) != 1 or node.get("where_clause") or node.get("modifiers"):
        raise UsageError(f"{what} is no SQL: one expression is wanted")
    return node["select_list"][0]


def _ordered(db: duckdb.DuckDBPyConnection, what: str, query: str) -> list[Any]:
    """The terms by which a query orders, but the last, parsed."""
    node = _parsed(db, what, query)
    modifiers: list[Any] = node.get("modifiers") or []
    if len(modifiers) != 1 or modifiers[0].get("type") != "ORDER_MODIFIER":
        raise UsageError(f"{what} is no SQL: an order is wanted, such as quality_sharpness desc")
    return [order["expression"] for order in modifiers[0]["orders"][:-1]]


def _parsed(db: duckdb.DuckDBPyConnection, what: str, query: str) -> dict[str, Any]:
    """The one plain select that a query is."""
    reply = db.execute("select json_serialize_sql(?)", [query]).fetchone()
    parsed = json.loads(str(reply[0])) if reply else {}
    nodes = [statement["node"] for statement in parsed.get("statements", ())]
    if len(nodes) != 1 or nodes[0].get("type") != "SELECT_NODE":
        raise UsageError(f"{what} is no SQL: {parsed.get('error_message', 'one expression is wanted')}")
    node: dict[str, Any] = nodes[0]
    return node


def _reads(what: str, trees: Sequence[Any], types: Mapping[str, Kind]) -> frozenset[str]:
    """The columns that expressions read. Raises UsageError for what has no place in them."""
    nodes = list(_nodes(trees))
    for node in nodes:
        kind, called = node.get("class"), str(node.get("function_name") or "").lower()
        if kind in STRANGE:
            raise UsageError(f"{what}: {STRANGE[kind]}")
        if kind == "WINDOW":
            raise UsageError(f"{what}: {called}() looks at other clips; a condition sees one clip at a time")
        if kind == "COLLATE" and node.get("collation", "").lower() not in ("nocase", "noaccent", "nfc", "binary", "c"):
            raise UsageError(f"{what}: collate {node.get('collation')} goes by a language; order by the text as it is")
        if kind == "FUNCTION" and _moody(called, node):
            raise UsageError(f"{what}: {called}() {MOODY}")
        typed = node if kind == "TYPE" else node.get("cast_type")
        if typed and re.search(r"timestamptz|timetz|time[ _]zone", json.dumps(typed).lower()):
            raise UsageError(f"{what}: {ZONED}")
        if kind == "FUNCTION" and called in _zoned():
            raise UsageError(f"{what}: {called}(): {ZONED}")
    bound = {n["column_names"][0] for lam in nodes if lam.get("class") == "LAMBDA" for n in _nodes(lam.get("lhs"))
             if n.get("class") == "COLUMN_REF"}  # fmt: skip
    named = {n["column_names"][-1] for n in nodes if n.get("class") == "COLUMN_REF"} - bound
    lower = {column.lower(): column for column in types}
    for column in sorted(named):
        if column.lower() not in lower:
            unknown = f"no stage writes the column {column!r}{hint(column, types)}"
            raise UsageError(f"{what}: {f'{column} {MOODY}' if column.lower() in WORDS else unknown}")
    return frozenset(lower[column.lower()] for column in named)


def _tried(db: duckdb.DuckDBPyConnection, what: str, query: str, types: Mapping[str, Kind]) -> Any:
    """Runs a statement on no clips, on one of which nothing is known, and on one with a value in every column.

    Returns the first value of the last. Raises UsageError for what it cannot do.
    """
    import duckdb

    columns = ", ".join(f"{json.dumps(c)} {t.sql}" for c, t in types.items())
    samples = ", ".join(SAMPLES.get(c, t.sample) for c, t in types.items())
    answer: Any = None
    try:
        db.execute(f"create or replace temp table clips ({columns})")
        for row in (None, ", ".join(["null"] * len(types)), samples):
            if row is not None:
                db.execute(f"delete from clips; insert into clips values ({row})")
            answer = db.execute(query).fetchone()
    except duckdb.Error as error:
        cast = "; try_cast gives null where a value is none" if isinstance(error, duckdb.ConversionException) else ""
        raise UsageError(f"{what}: {_first_line(error)}{cast}") from error
    return answer[0] if answer else None


SAMPLES = dict.fromkeys(("clip_id", "video_id"), f"'{'0af5' * 8}'")
"""Of columns of which their type says too little."""

STRANGE = {
    "SUBQUERY": "a condition sees one clip at a time; a subquery has no place in it",
    "POSITIONAL_REFERENCE": "it names a column by its position; name it by its name",
    "STAR": "it names all columns; name each by its name",
    "PARAMETER": "it holds a parameter of which there is no value",
}
"""Parts of SQL that say nothing of one clip, by their class in the parsed statement."""

MOODY = "changes from build to build; hash(clip_id) is chance that stays"

ZONED = "a time with a zone depends on where it is run; use timestamp, without a zone"

LIARS = frozenset(["version", "getenv", "current_setting", "pg_backend_pid", "icu_sort_key"])
"""Functions that DuckDB calls consistent and that depend on the machine, or the release, on which they run."""

WORDS = frozenset(
    ("localtime", "localtimestamp", "current_time", "current_timestamp", "current_date", "current_user", "user",
     "session_user", "current_role", "current_catalog", "current_schema")
)  # fmt: skip
"""Of what changes, words that SQL takes for calls without parentheses."""


def _moody(called: str, node: Mapping[str, Any]) -> bool:
    """Whether a call may answer otherwise when it is made again; the age of one time is that until now."""
    return (
        called in _moods()
        or called.startswith("icu_collate_")
        or (called == "age" and len(node.get("arguments") or node["children"]) == 1)
    )


@cache
def _moods() -> frozenset[str]:
    """Functions that may answer otherwise when they are asked again: what they drop would change by itself.

    Those that DuckDB calls so, and the macros that are made of them. Operators, `age` and `timezone` are left out:
    newer releases call those so that take times with a zone, which are refused by their type.
    """
    said = "select function_name, stability, macro_definition from duckdb_functions() where stability is not null or "
    rows = _root().execute(f"{said} macro_definition is not null").fetchall()
    changing = {name.lower() for name, stability, _ in rows if stability not in (None, "CONSISTENT")} - {
        "age",
        "timezone",
    }
    moods = {name for name in changing if name.isidentifier()} | LIARS | WORDS
    macros = [(name.lower(), definition.lower()) for name, _, definition in rows if definition]
    while more := {n for n, d in macros if n not in moods and any(re.search(rf"\b{m}\b", d) for m in moods)}:
        moods |= more
    return frozenset(moods)


@cache
def _zoned() -> frozenset[str]:
    """Functions all of whose results are, or hold, times with a zone."""
    rows = _root().execute("select function_name, return_type from duckdb_functions() where return_type is not null")
    zoned: dict[str, bool] = {}
    for name, kind in rows.fetchall():
        zoned[name] = zoned.get(name, True) and "TIME ZONE" in kind
    return frozenset({n for n, all_ in zoned.items() if all_} | {"timezone"})


@cache
def _root() -> duckdb.DuckDBPyConnection:
    import duckdb  # which a dataset without conditions has no use for

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


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _judging(conditions: Sequence[str]) -> str:
    """The statement that asks conditions of all clips."""
    said = (f"cast(coalesce(cast((\n{sql}\n) as tinyint), -1) as tinyint) as v{n}" for n, sql in enumerate(conditions))
    return f"select {', '.join(said)} from clips"


def _ranking(keep: str) -> str:
    """The statement that puts all clips in an order of keeping."""
    return f'select "{PLACE}" from clips order by ' + (f"\n{keep}\n, clip_id" if keep.strip() else "clip_id")


def verdicts(predicates: Sequence[Predicate], clips: pa.Table) -> np.ndarray:
    """What each predicate says of each clip: int8 (predicates, n): 1 TRUE, 0 FALSE, -1 NULL.

    `clips` holds the columns that the predicates read, and as many rows as there are clips.
    """
    import duckdb
    import numpy as np

    with _database() as db:
        db.register("clips", clips)
        try:
            judged = db.execute(_judging([p.sql for p in predicates])).fetchnumpy()
        except duckdb.Error as error:
            raise UsageError(f"where: {_first_line(error)}") from error
    return np.stack(list(judged.values()))


def ranks(keep: str, clips: pa.Table) -> np.ndarray:
    """The place of each clip in the order of keeping, int64 (n,): by `keep`, then by clip_id.

    `clips` holds `clip_id` and the columns that `keep` reads. NULLs come last, whichever way the order runs.
    """
    import duckdb
    import numpy as np

    with _database() as db:
        db.register("clips", clips.append_column(PLACE, [np.arange(len(clips))]))
        try:
            places = db.execute(_ranking(keep)).fetchnumpy()[PLACE]
        except duckdb.Error as error:
            raise UsageError(f"keep={keep!r}: {_first_line(error)}") from error
    rank = np.empty(len(clips), np.int64)
    rank[places] = np.arange(len(clips))
    return rank
