"""Searches the clips of a dataset by words, by likeness and by conditions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vbuild.check import hint
from vbuild.dataset.joined import columns, condition
from vbuild.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbuild.dataset.clip import DatasetClip
    from vbuild.dataset.joined import Condition
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

    text: str | None = None
    """Words in captions."""
    near: Any = None
    """What the clips shall be like."""
    where: str | None = None
    vector: str | None = None
    """The column of embeddings by which they are."""
    columns: Sequence[str] | None = None
    limit: int = 20
    kept: bool | None = True
    """Whether clips that were kept, those that were dropped, or all."""


@dataclass(frozen=True)
class Point:
    """Where clips are looked for."""

    column: str
    vector: list[float]
    clip: str | None = None
    """The clip that it is, which is not to be found."""


def answered(dataset: Dataset, asked: Question) -> pa.Table:
    """The clips that a question finds, the best first."""
    if asked.limit < 1:
        raise DatasetError(f"limit={asked.limit}: a whole number of 1 or more is expected")
    if asked.text is None and asked.near is None:
        rows = dataset.rows(asked.where, asked.kept)
        return dataset.taken(rows[: asked.limit], columns(dataset, asked.columns))
    point = None if asked.near is None else pointed(dataset, asked.near, asked.vector)
    wanted = condition(dataset, asked.where, asked.kept)
    chosen = columns(dataset, asked.columns)
    query = _query(dataset, asked.text, point)
    if wanted.narrow:
        query = query.where(wanted.narrow)
    try:
        found = dataset.located(_found(query, asked.limit, wanted, point))
    except (ValueError, RuntimeError, OSError) as error:
        raise explained(dataset, error, asked.where) from error
    made = chosen.attached(dataset, found)
    for name in (name for name in SCORES if name in found.column_names):
        made = made.append_column(name, found[name])
    return made


def _found(query: Any, limit: int, wanted: Condition, point: Point | None) -> pa.Table:
    """The first that are wanted. What the database cannot be told is looked at when it has answered, of ever more."""
    more = limit + (point is not None and point.clip is not None)
    outside = wanted.rows is not None and wanted.narrow == wanted.sql
    if outside:
        query = query.with_row_id(True)
    while True:
        found = query.limit(more).to_arrow()
        rows = found
        if point is not None and point.clip is not None:
            rows = rows.filter(pc.not_equal(rows["clip_id"], point.clip))
        if outside:
            rows = rows.filter(pc.is_in(rows["_rowid"], value_set=wanted.rows)).drop_columns(["_rowid"])
        if len(rows) >= limit or len(found) < more or not outside:
            return rows.slice(0, limit)
        more *= 4


def _query(dataset: Dataset, text: str | None, point: Point | None) -> Any:
    if point is None:
        return dataset.clips.search(text, query_type="fts", fts_columns=_texts(dataset))
    if text is None:
        return dataset.clips.search(point.vector, vector_column_name=point.column).distance_type("cosine")
    from lancedb.rerankers import RRFReranker

    hybrid = dataset.clips.search(query_type="hybrid", vector_column_name=point.column, fts_columns=_texts(dataset))
    return hybrid.vector(point.vector).text(text).distance_type("cosine").rerank(RRFReranker())


def pointed(dataset: Dataset, near: Any, vector: str | None) -> Point:
    """Where what a person means lies among the vectors of a column, by default the first that can say it.

    Raises DatasetError for what has no vector there, and WeightsError.
    """
    from vbuild.dataset.clip import DatasetClip

    if isinstance(near, DatasetClip):
        return _of_clip(dataset, near.id, vector)
    if isinstance(near, str) and re.fullmatch(r"[0-9a-f]{32}", near):
        return _of_clip(dataset, near, vector)
    if isinstance(near, str) and not _names_file(near):
        return _of_words(dataset, near, vector)
    column = embedding(dataset, vector)
    if isinstance(near, str | Path):
        return Point(column, likeness().of_file(dataset, column, Path(near)).tolist())
    return Point(column, _of_numbers(dataset, column, near))


def like(dataset: Dataset, named: str) -> DatasetClip | Path:
    """What a word on a command line names: a clip by the beginning of its id, or a file. Raises DatasetError."""
    if _names_file(named):
        return Path(named)
    if re.fullmatch(r"[0-9a-f]{4,32}", named):
        return dataset.clip(named)
    raise DatasetError(
        f"--like {named}: there is no such file, and a clip id is hex, 4 to 32 characters of it, as in the column "
        "clip_id"
    )


def _names_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # as long as no name can be
        return False


def likeness() -> Any:
    """What loads models, imported when it is asked."""
    from vbuild.dataset import likeness as module

    return module


def _of_words(dataset: Dataset, words: str, vector: str | None) -> Point:
    if not words.strip():
        raise DatasetError("near: give words, a clip, a picture or a video, or a vector")
    column = embedding(dataset, vector)
    if vector is None:
        others = [c for c in embeddings(dataset) if likeness().knows_words(likeness().made_by(dataset, c).stage)]
        column = next(iter(others), column)
    return Point(column, likeness().of_words(dataset, column, words).tolist())


def _of_numbers(dataset: Dataset, column: str, near: Any) -> list[float]:
    """A vector, or that of a picture: an array uint8 (h, w, 3), or an image of Pillow."""
    import numpy as np

    if hasattr(near, "convert") and hasattr(near, "size"):
        near = np.asarray(near.convert("RGB"))
    found = np.asarray(near)
    size = dataset.schema.field(column).type.list_size
    if found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3:
        return likeness().of_picture(dataset, column, found).tolist()  # type: ignore[no-any-return]
    if found.shape != (size,) or found.dtype.kind not in "fiu":
        raise DatasetError(
            f"near: {column} has vectors of {size} numbers, and pictures are uint8 (h, w, 3); this is {found.dtype} of "
            f"shape {found.shape}"
        )
    return found.astype(np.float32).tolist()  # type: ignore[no-any-return]


def _texts(dataset: Dataset) -> list[str]:
    """The columns that words are looked for in."""
    indexes = dataset.clips.list_indices()
    indexed = [column for index in indexes if index.index_type == "FTS" for column in index.columns]
    if not indexed:
        raise DatasetError(f"{dataset.name}: no clip has a caption to be searched; add a captioner, such as describe")
    return indexed


def embeddings(dataset: Dataset) -> list[str]:
    """The columns of vectors."""
    return [f.name for f in dataset.schema if pa.types.is_fixed_size_list(f.type)]


def embedding(dataset: Dataset, wanted: str | None) -> str:
    """The column of vectors that is wanted, or the first. Raises DatasetError if there is none."""
    known = embeddings(dataset)
    if wanted is not None and wanted not in known:
        raise DatasetError(f"{dataset.name}: {wanted} is no embedding; there are {', '.join(known) or 'none'}")
    if not known:
        raise DatasetError(f"{dataset.name}: it has no embedding, so no clip is like another; add one")
    return wanted or known[0]


def clip_named(dataset: Dataset, clip_id: str) -> str:
    """The whole id of a clip, of which the beginning is enough. Raises DatasetError if there is none, or several."""
    if not re.fullmatch(r"[0-9a-f]{4,32}", clip_id):
        raise DatasetError(f"{clip_id}: a clip id is hex, 4 to 32 characters of it, as in the column clip_id")
    exact = len(clip_id) == 32
    condition = f"clip_id = '{clip_id}'" if exact else f"starts_with(clip_id, '{clip_id}')"
    found = dataset.clips.search().where(condition).select(["clip_id"]).limit(2).to_arrow()["clip_id"].to_pylist()
    if len(found) > 1:
        raise DatasetError(f"{clip_id}: several clips begin with that; give more of the id")
    if not found:
        raise DatasetError(f"{clip_id}: {dataset.name} has no such clip")
    return str(found[0])


def _of_clip(dataset: Dataset, clip_id: str, vector: str | None) -> Point:
    column = embedding(dataset, vector)
    rows = dataset.clips.search().where(f"clip_id = '{clip_id}'").select([column]).limit(1).to_list()
    if not rows:
        raise DatasetError(f"near: {dataset.name} has no clip {clip_id}")
    if rows[0][column] is None:
        raise DatasetError(f"clip {clip_id}: it has no vector in {column}, so no other is like it")
    return Point(column, list(rows[0][column]), clip_id)


def near_duplicates(dataset: Dataset, clip: str, wanted: Sequence[str] | None) -> pa.Table:
    """The clips that make a pair with one, and those that it stands for or that stands for it: the nearest first."""
    pairs = dataset.duplicates.search().where(f"clip_a = '{clip}' OR clip_b = '{clip}'").limit(None).to_list()
    near: dict[str, float | None] = {}
    for pair in pairs:
        other = pair["clip_b"] if pair["clip_a"] == clip else pair["clip_a"]
        near[other] = max(near.get(other) or 0.0, pair["similarity"])
    bound = dataset.clips.search().where(f"duplicate_of = '{clip}' OR clip_id = '{clip}'")
    for row in bound.select(["clip_id", "duplicate_of"]).limit(None).to_list():
        other = row["duplicate_of"] if row["clip_id"] == clip else row["clip_id"]
        if other is not None:
            near.setdefault(other, None)
    ranked = sorted(near, key=lambda other: (-(near[other] or 0.0), other))
    listed = ", ".join(f"'{other}'" for other in ranked)
    rows = dataset.rows(f"clip_id IN ({listed})" if ranked else "false", None)
    chosen = columns(dataset, wanted)
    ids = dataset.taken(rows, columns(dataset, ["clip_id"]))["clip_id"].to_pylist()
    order = sorted(range(len(ids)), key=lambda n: ranked.index(ids[n]))
    found = dataset.taken(rows, chosen).take(pa.array(order, pa.int64()))
    return found.append_column("similarity", pa.array([near[ids[n]] for n in order], pa.float64()))


def explained(dataset: Dataset, error: Exception, where: str | None) -> DatasetError:
    """What went wrong in a query, for people: most often a column that is not there."""
    text = NOISE.sub("", " ".join(str(error).split()))
    if match := re.search(r"[Nn]o field named \"?(\w+)", text):
        unknown = f"{dataset.name} has no column {match[1]!r}{hint(match[1], dataset.columns())}"
        return DatasetError(f"--where {where!r}: {unknown}")
    return DatasetError(f"--where {where!r}: {text[:300]}" if where else text[:300])
