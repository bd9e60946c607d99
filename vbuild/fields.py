"""The types of what stages write: how each is stored, digested, shown, named in SQL, and handed to a stage."""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vbuild.digest import SIZE
from vbuild.errors import StageError, UsageError
from vbuild.values import Stored, StoredBlob, finite, numbers
from vbuild.windows import Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import pyarrow as pa


class Kind(ABC):
    """The type of a field of `Stage.writes`. Its text is how a stage may write it too: `fields.kind_from` reads it."""

    index: ClassVar[Literal["text", "vector"] | None] = None
    """The index that its column of `clips` gets."""

    @property
    def digested(self) -> str:
        """What is added to a field's name for the stored column of which its digest is."""
        return list(self.stored())[-1]

    @property
    def handed(self) -> str:
        """The same for the stored column from which a stage is given it."""
        return next(iter(self.stored()))

    @property
    def blob(self) -> bool:
        """Whether its bytes are in the store, and its columns name them."""
        return "_uri" in self.columns()

    @abstractmethod
    def stored(self) -> Mapping[str, pa.DataType]:
        """What is added to a field's name for its columns in the store, with their types.

        From the first a stage is given it, and of the last is its digest.
        """

    def columns(self) -> Mapping[str, Kind]:
        """The same for its columns in the dataset."""
        return {"": self}

    @property
    def sql(self) -> str:
        """DuckDB's type for a column of the dataset of it."""
        raise NotImplementedError

    @property
    def sample(self) -> str:
        """A value that such a column may hold, as SQL."""
        return SAMPLES.get(self.sql, "1")

    @abstractmethod
    def parted(self, what: str, value: Any) -> Mapping[str, Any]:
        """What a value comes to in each stored column. Raises StageError for what Arrow would let pass and is none."""

    def encoded(self, what: str, values: Sequence[Any]) -> dict[str, pa.Array]:
        """Values that a stage wrote as stored columns. Raises StageError, of `what`, for values of another type."""
        import pyarrow as pa

        split = [None if value is None else self.parted(what, value) for value in values]
        arrays = {}
        for part, wanted in self.stored().items():
            try:
                arrays[part] = pa.array([None if one is None else one[part] for one in split], wanted)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
                raise StageError(f"{what}: {self} is declared, and that is not what was written ({error})") from error
            if not finite(arrays[part]):
                raise StageError(
                    f"{what}: it is or holds NaN, infinity or more than {self} can; write None for what cannot be had"
                )
        return arrays

    def shown(self, part: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """A stored column as the dataset shows it."""
        return values.cast(self.columns()[part].stored()[""])

    @abstractmethod
    def value(self, cell: pa.Scalar, blobs: Path) -> Any:
        """A stored value, not null, as a stage is given it. `blobs` is the folder of the store's blobs."""

    def several(self, cells: pa.Array, blobs: Path) -> Any:
        """The items of a list, as a stage is given it."""
        return [self.value(cell, blobs) if cell.is_valid else None for cell in cells]


SQL: Mapping[str, str] = {
    "bool": "boolean", "int8": "tinyint", "int16": "smallint", "int32": "integer", "int64": "bigint",
    "uint8": "utinyint", "uint16": "usmallint", "uint32": "uinteger", "uint64": "ubigint", "float16": "float",
    "float32": "float", "float64": "double", "string": "varchar", "large_string": "varchar", "binary": "blob",
}  # fmt: skip
"""Arrow's name → DuckDB's, of what a stage may write."""

TIMES: Mapping[str, str] = {"date32": "date", "timestamp[s]": "timestamp"}
"""The same, of columns of lists; no digest is made of times, so that no stage writes them."""

SAMPLES: Mapping[str, str] = {
    "boolean": "true", "varchar": "'a text'", "blob": "''::blob", "date": "date '2001-02-03'",
    "timestamp": "date '2001-02-03'",
}  # fmt: skip


@dataclass(frozen=True)
class Scalar(Kind):
    """A number, a text or a truth, by Arrow's name of it: `float32`, `int64`, `string`, `bool`."""

    name: str

    def __str__(self) -> str:
        return self.name

    def stored(self) -> Mapping[str, pa.DataType]:
        """One column."""
        import pyarrow as pa

        return {"": pa.type_for_alias(self.name)}

    def columns(self) -> Mapping[str, Kind]:
        """The same, of 32 bits at least: DuckDB reads none of 16."""
        return {"": Scalar("float32") if self.name == "float16" else self}

    @property
    def sql(self) -> str:
        """DuckDB's type for it."""
        return SQL.get(self.name) or TIMES[self.name]

    def parted(self, what: str, value: Any) -> Mapping[str, Any]:  # noqa: ARG002
        """The value; Arrow says whether it is one."""
        return {"": value.item() if type(value).__module__ == "numpy" and not getattr(value, "shape", ()) else value}

    def value(self, cell: pa.Scalar, blobs: Path) -> Any:  # noqa: ARG002
        """As Python has it."""
        return cell.as_py()

    def several(self, cells: pa.Array, blobs: Path) -> np.ndarray:  # noqa: ARG002
        """(n,) of their type; of objects for texts, and where one of them is None."""
        import numpy as np

        if cells.null_count:
            return np.array([*cells.to_pylist(), None], object)[:-1]
        return cells.to_numpy(zero_copy_only=False).copy()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Vector(Kind):
    """So many numbers, such as an embedding: to be searched, and to be compared by a dedup."""

    size: int
    of: Literal["float16", "float32"] = "float32"
    index: ClassVar[Literal["text", "vector"] | None] = "vector"

    def __str__(self) -> str:
        return f"vector[{self.size}]" if self.of == "float32" else f"vector[{self.size}, {self.of}]"

    def stored(self) -> Mapping[str, pa.DataType]:
        """One column."""
        import pyarrow as pa

        return {"": pa.list_(pa.type_for_alias(self.of), self.size)}

    def columns(self) -> Mapping[str, Kind]:
        """The same, of 32 bits."""
        return {"": Vector(self.size)}

    @property
    def sql(self) -> str:
        """An array."""
        return f"float[{self.size}]"

    @property
    def sample(self) -> str:
        """Ones."""
        return f"[{', '.join(['1'] * self.size)}]"

    def parted(self, what: str, value: Any) -> Mapping[str, Any]:
        """The numbers, as they are stored."""
        import numpy as np

        with np.errstate(over="ignore"):  # what is too large is infinity, which is refused
            vector = np.asarray(value, self.of)
        if vector.shape != (self.size,):
            raise StageError(f"{what}: a vector of {self.size} is declared, one of shape {vector.shape} was written")
        return {"": vector}

    def value(self, cell: pa.Scalar, blobs: Path) -> np.ndarray:  # noqa: ARG002
        """(size,) of its type."""
        return cell.values.to_numpy().copy()  # type: ignore[no-any-return]

    def several(self, cells: pa.Array, blobs: Path) -> np.ndarray:  # noqa: ARG002
        """(n, size) of its type."""
        return numbers(cells)


@dataclass(frozen=True)
class List(Kind):
    """As many as there are of another type: numbers, texts, vectors, or blobs."""

    of: Kind

    def __post_init__(self) -> None:
        """Refuses lists of what has no column of one value."""
        if not isinstance(self.of, Scalar | Vector | BlobField):
            raise UsageError(f"list[{self.of}]: a list is of numbers, texts, vectors or blobs")

    def __str__(self) -> str:
        return f"{self.of}s" if self.blob else f"list[{self.of}]"

    def stored(self) -> Mapping[str, pa.DataType]:
        """A column for each that an item has."""
        import pyarrow as pa

        return {part: pa.list_(kind) for part, kind in self.of.stored().items()}

    def columns(self) -> Mapping[str, Kind]:
        """The same."""
        return {part: List(kind) for part, kind in self.of.columns().items()}

    @property
    def sql(self) -> str:
        """DuckDB's list."""
        return f"{self.of.sql}[]"

    @property
    def sample(self) -> str:
        """Two items."""
        return f"[{self.of.sample}, {self.of.sample}]"

    def parted(self, what: str, value: Any) -> Mapping[str, Any]:
        """Its items, in each column."""
        if isinstance(self.of, Scalar):
            return {"": value}
        try:
            pieces = [self.of.parted(what, item) for item in value]
        except TypeError as error:
            raise StageError(f"{what}: a list of {self.of} is wanted, not {type(value).__name__}") from error
        return {part: [item[part] for item in pieces] for part in self.of.stored()}

    def shown(self, part: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """With each item as it would be shown alone."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self.blob:
            return super().shown(part, values)
        cells = values.combine_chunks()
        items = self.of.shown(part, pa.chunked_array([cells.flatten()])).combine_chunks()
        ends = pc.cumulative_sum(pc.fill_null(pc.list_value_length(cells), 0)).to_pylist()
        return pa.chunked_array(
            [pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), items, mask=cells.is_null())]
        )

    def value(self, cell: pa.Scalar, blobs: Path) -> Any:
        """An array where its items are numbers, texts or vectors, else a list."""
        return self.of.several(cell.values, blobs)


@dataclass(frozen=True)
class Caption(Kind):
    """What was said of a clip: a list of `Window`; the dataset shows it as one text, and its windows in `captions`."""

    index: ClassVar[Literal["text", "vector"] | None] = "text"

    def __str__(self) -> str:
        return "caption"

    def stored(self) -> Mapping[str, pa.DataType]:
        """One column, of lists."""
        import pyarrow as pa

        texts, numbers = dict.fromkeys(("text", "enhanced", "status", "model"), pa.string()), {"tokens": pa.int64()}
        types = {**dict.fromkeys(("start", "end"), pa.float64()), **texts, **numbers}
        return {"": pa.list_(pa.struct([pa.field(name, types[name]) for name in Window.__dataclass_fields__]))}

    def columns(self) -> Mapping[str, Kind]:
        """A text."""
        return {"": Scalar("string")}

    def parted(self, what: str, value: Any) -> Mapping[str, Any]:
        """Its windows."""
        if not isinstance(value, list | tuple) or not all(isinstance(window, Window) for window in value):
            raise StageError(f"{what}: a caption is a list of Window")
        return {"": [asdict(window) for window in value]}

    def shown(self, part: str, values: pa.ChunkedArray) -> pa.ChunkedArray:  # noqa: ARG002
        """Each clip's windows as one text, the enhanced ones where there are; null where there are none."""
        import pyarrow as pa

        texts = [
            None if windows is None else "\n".join(w["enhanced"] or w["text"] for w in windows if w["text"])
            for windows in values.to_pylist()
        ]
        return pa.chunked_array([pa.array(texts, pa.string())])

    def value(self, cell: pa.Scalar, blobs: Path) -> list[Window]:  # noqa: ARG002
        """Its windows."""
        return [Window(**window) for window in cell.as_py()]


@dataclass(frozen=True)
class BlobField(Kind):
    """Bytes in the store, of which a stage writes a `Blob`: columns for where they are, how many, and their digest."""

    def __str__(self) -> str:
        return "blob"

    def stored(self) -> Mapping[str, pa.DataType]:
        """Its name in the store, size and digest."""
        import pyarrow as pa

        return {"_uri": pa.string(), "_bytes": pa.int64(), "_digest": pa.binary(SIZE)}

    def columns(self) -> Mapping[str, Kind]:
        """The same; the digest as a text."""
        return {"_uri": Scalar("string"), "_bytes": Scalar("int64"), "_digest": Scalar("string")}

    def parted(self, what: str, value: Any) -> Mapping[str, Any]:
        """What is stored of it; the executor has put its bytes into the store."""
        if not isinstance(value, Stored):
            raise StageError(f"{what}: a blob is wanted, not {type(value).__name__}")
        return {"_uri": value.uri, "_bytes": value.bytes, "_digest": value.digest}

    def shown(self, part: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """Its name by the path in the store, which may be moved; its digest in hex."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if part == "_uri":
            return pc.binary_join_element_wise("blobs", values, "/")
        if part == "_digest":
            texts = [None if value is None else value.hex() for value in values.to_pylist()]
            return pa.chunked_array([pa.array(texts, pa.string())])
        return super().shown(part, values)

    def value(self, cell: pa.Scalar, blobs: Path) -> StoredBlob:
        """A handle."""
        return StoredBlob(blobs / cell.as_py())


WORDS: Mapping[str, Kind] = {name: Scalar(name) for name in SQL} | {
    "caption": Caption(), "blob": BlobField(), "blobs": List(BlobField()),
}  # fmt: skip

VECTOR = re.compile(r"vector\[([1-9]\d*)(?:, *(float16|float32))?\]")


def kind_from(kind: Any) -> Kind:
    """A type as a stage may write it: as one of these, in words, or as Arrow's. Raises UsageError for what is none."""
    if isinstance(kind, Kind):
        return kind
    if (arrow := sys.modules.get("pyarrow")) is not None and isinstance(kind, arrow.DataType):
        return _arrow(kind)
    return _spelled(str(kind))


def _spelled(text: str) -> Kind:
    if text in WORDS:
        return WORDS[text]
    if match := VECTOR.fullmatch(text):
        return Vector(int(match[1]), match[2] or "float32")  # type: ignore[arg-type]
    return List(_spelled(text[5:-1])) if text.startswith("list[") and text[-1] == "]" else Scalar(_alias(text))


def _alias(text: str) -> str:
    """The name of what Arrow has other names for too: `double`, `utf8`."""
    import pyarrow as pa

    with suppress(ValueError):
        if (name := _named(pa.type_for_alias(text))) in SQL:
            return name
    raise UsageError(
        f"{text!r}: there is no such type; use {', '.join(SQL)}, list[…] of these, vector[n], list[vector[n]], "
        "caption, blob or blobs, or the types of vbuild.fields"
    )


def _arrow(kind: pa.DataType) -> Kind:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(kind) and (inner := _named(kind.value_type)) in ("float16", "float32"):
        return Vector(kind.list_size, inner)  # type: ignore[arg-type]
    return List(_arrow(kind.value_type)) if pa.types.is_list(kind) else _spelled(_named(kind))


def _named(kind: pa.DataType) -> str:
    return {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind))
