"""Searches the clips of a dataset by words, by likeness and by conditions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vbuild.check import hint
from vbuild.errors import DatasetError

if TYPE_CHECKING:
    from vbuild.dataset.read import Dataset

SCORES = ("_score", "_distance", "_relevance_score")
"""What a search adds to a clip: BM25, cosine distance, and for both together reciprocal ranks."""

NOISE = re.compile(
    r"Error resolving filter expression .*?: (?=Invalid)|(Invalid|invalid) (user input|input|SQL predicate)[,:] "
    r"|,? ?/\S+\.rs:\d+(:\d+)?| at Line: \d+, Column: \d+"
)
"""What a database says that tells the person nothing: where in its own code and in our condition it stood."""


@dataclass(frozen=True)
class Question:
    """What is looked for."""

    text: str | None
    where: str | None
    like: str | None
    vector: str | None
    limit: int
    everything: bool


def answered(dataset: Dataset, asked: Question) -> pa.Table:
    """The clips that a question finds, the best first."""
    column = embedding(dataset, asked.vector) if asked.like else ""
    whole, point = _point(dataset, asked.like, column) if asked.like else ("", [])
    if asked.text is None and not asked.like:
        rows = dataset.rows(asked.where, everything=asked.everything)
        return dataset.taken(rows[: asked.limit], dataset.columns())
    query = _query(dataset, asked.text, column, point)
    if condition := conditions(asked.where, everything=asked.everything):
        query = query.where(condition)
    try:
        matches = query.limit(asked.limit + 1 if asked.like else asked.limit).to_arrow()
    except (ValueError, RuntimeError, OSError) as error:
        raise explained(dataset, error, asked.where) from error
    if asked.like:
        matches = matches.filter(pc.not_equal(matches["clip_id"], whole)).slice(0, asked.limit)
    return dataset.located(matches)


def _query(dataset: Dataset, text: str | None, column: str, point: list[float]) -> Any:
    if not point:
        return dataset.clips.search(text, query_type="fts", fts_columns=_texts(dataset))
    if text is None:
        return dataset.clips.search(point, vector_column_name=column).distance_type("cosine")
    from lancedb.rerankers import RRFReranker

    hybrid = dataset.clips.search(query_type="hybrid", vector_column_name=column, fts_columns=_texts(dataset))
    return hybrid.vector(point).text(text).distance_type("cosine").rerank(RRFReranker())


def _texts(dataset: Dataset) -> list[str]:
    """The columns that words are looked for in."""
    indexes = dataset.clips.list_indices()
    indexed = [column for index in indexes if index.index_type == "FTS" for column in index.columns]
    if not indexed:
        raise DatasetError(f"{dataset.name}: no clip has a caption to be searched; add a captioner, such as describe")
    return indexed


def embedding(dataset: Dataset, wanted: str | None) -> str:
    """The column of vectors that is wanted, or the first. Raises DatasetError if there is none."""
    columns = [f.name for f in dataset.clips.schema if pa.types.is_fixed_size_list(f.type)]
    if wanted is not None and wanted not in columns:
        raise DatasetError(f"{dataset.name}: {wanted} is no embedding; there are {', '.join(columns) or 'none'}")
    if not columns:
        raise DatasetError(f"{dataset.name}: it has no embedding, so no clip is like another; add one")
    return wanted or columns[0]


def clip_named(dataset: Dataset, clip_id: str, flag: str = "") -> str:
    """The whole id of a clip, of which the beginning is enough. Raises DatasetError if there is none, or several."""
    asked = f"{flag}{clip_id}"
    if not re.fullmatch(r"[0-9a-f]{4,32}", clip_id):
        raise DatasetError(f"{asked}: a clip id is hex, 4 to 32 characters of it, as in the column clip_id")
    exact = len(clip_id) == 32
    condition = f"clip_id = '{clip_id}'" if exact else f"starts_with(clip_id, '{clip_id}')"
    found = dataset.clips.search().where(condition).select(["clip_id"]).limit(2).to_arrow()["clip_id"].to_pylist()
    if len(found) > 1:
        raise DatasetError(f"{asked}: several clips begin with that; give more of the id")
    if not found:
        raise DatasetError(f"{asked}: {dataset.name} has no such clip")
    return str(found[0])


def _point(dataset: Dataset, clip_id: str, column: str) -> tuple[str, list[float]]:
    """The whole id of a clip, and its vector."""
    whole = clip_named(dataset, clip_id, "--like ")
    rows = dataset.clips.search().where(f"clip_id = '{whole}'").select([column]).limit(1).to_list()
    if rows[0][column] is None:
        raise DatasetError(f"--like {clip_id}: that clip has no vector in {column}, so no other is like it")
    return whole, list(rows[0][column])


def explained(dataset: Dataset, error: Exception, where: str | None) -> DatasetError:
    """What went wrong in a query, for people: most often a column that is not there."""
    text = NOISE.sub("", " ".join(str(error).split()))
    if match := re.search(r"[Nn]o field named \"?(\w+)", text):
        unknown = f"{dataset.name} has no column {match[1]!r}{hint(match[1], dataset.columns())}"
        return DatasetError(f"--where {where!r}: {unknown}")
    return DatasetError(f"--where {where!r}: {text[:300]}" if where else text[:300])


def conditions(where: str | None, *, everything: bool) -> str | None:
    """The condition on clips that a person's own comes to."""
    return " AND ".join(f"({c})" for c in (None if everything else "kept", where) if c) or None
