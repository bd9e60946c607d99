"""A type of a field knows all that is asked of it; what was stored before stays as it was."""

import dataclasses
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import lance
import numpy as np
import pyarrow as pa
import pytest
import shipped

from vbuild import digest
from vbuild.errors import StageError, UsageError
from vbuild.fields import BlobField, Caption, List, Scalar, Vector, kind_from
from vbuild.rows import Rows
from vbuild.stage import Stage, outputs
from vbuild.values import Stored, StoredBlob, digests_of
from vbuild.windows import Window

BLOB = Stored("ab/c.bin", 3, digest.of("blob"))
WINDOWS = [Window(text="é", start=0.5, tokens=3), Window(text="b", enhanced="c")]

KINDS = {
    "float32": (Scalar("float32"), 1 / 3),
    "int64": (Scalar("int64"), -7),
    "bool": (Scalar("bool"), True),
    "string": (Scalar("string"), "é"),
    "binary": (Scalar("binary"), b"\0"),
    "float16": (Scalar("float16"), 0.5),
    "vector[3]": (Vector(3), np.arange(3) / 7),
    "vector[2, float16]": (Vector(2, "float16"), [0.5, 1.0]),
    "list[float64]": (List(Scalar("float64")), [1.5, None]),
    "list[int64]": (List(Scalar("int64")), [1, None]),
    "list[string]": (List(Scalar("string")), ["a", "b"]),
    "list[vector[2, float16]]": (List(Vector(2, "float16")), [[1, 2], [3, 4]]),
    "caption": (Caption(), WINDOWS),
    "blob": (BlobField(), BLOB),
    "blobs": (List(BlobField()), [BLOB, BLOB]),
}
"""In words → the type, and a value."""

EACH = pytest.mark.parametrize(("words", "kind", "value"), [(words, *case) for words, case in KINDS.items()])


@EACH
def test_a_type_is_read_from_its_own_words(words, kind, value):
    """And two of one type are equal, so that they may be compared."""
    assert str(kind) == words
    assert kind_from(words) == kind_from(kind_from(words)) == kind
    assert hash(kind_from(words)) == hash(kind)


@pytest.mark.parametrize(
    ("arrow", "words"),
    [
        (pa.float32(), "float32"), (pa.float64(), "float64"), (pa.int64(), "int64"), (pa.string(), "string"),
        (pa.bool_(), "bool"), (pa.list_(pa.float64()), "list[float64]"), (pa.list_(pa.float32(), 4), "vector[4]"),
        (pa.list_(pa.list_(pa.float16(), 2)), "list[vector[2, float16]]"),
        ("utf8", "string"), ("list[double]", "list[float64]"),
    ],
)  # fmt: skip
def test_arrows_types_may_stand_for_ours(arrow, words):
    """They come to the same as our words for them."""
    assert kind_from(arrow) == kind_from(words)


@pytest.mark.parametrize(
    "kind",
    ["flaot32", "vector[0]", "vector[n]", "vector[2, int8]", "list[caption]", "list[list[int64]]", "timestamp[us]",
     "date32", "", 3, None, float, pa.timestamp("us"), pa.map_(pa.string(), pa.int64())],
)  # fmt: skip
def test_what_is_no_type_is_refused(kind):
    """In one line, with what there is; a time is none, for it has no digest."""
    with pytest.raises(UsageError, match=r"list\[|there is no such type; use bool, "):
        kind_from(kind)


def table(kind, *values):
    """Values as they are stored."""
    arrays = kind.encoded("s.f", values)
    assert {part: array.type for part, array in arrays.items()} == kind.stored()
    return pa.table({f"f{part}": array for part, array in arrays.items()})


@EACH
def test_values_are_stored_and_handed_to_a_stage(words, kind, value, tmp_path):
    """By way of Lance and a pickle: numbers, vectors and lists of them as arrays that may be written to."""
    stored = lance.write_dataset(table(kind, value, None, value), str(tmp_path / "t.lance")).to_table()
    column = stored[f"f{kind.handed}"].combine_chunks()
    rows = Rows({"f": kind}, pa.table({"f": column}), Path("/blobs"))
    rows = pickle.loads(pickle.dumps(rows.take([2, 1])))
    found, nothing = rows[0], rows[1]
    assert isinstance(found, Mapping)
    assert (list(found), dict(nothing)) == (["f"], {"f": None})
    wanted = {
        "blob": StoredBlob(Path("/blobs/ab/c.bin")),
        "blobs": [StoredBlob(Path("/blobs/ab/c.bin"))] * 2,
        "float32": float(np.float32(1 / 3)),
    }.get(words, value)
    if isinstance(kind, Vector | List) and words != "blobs":
        assert isinstance(found["f"], np.ndarray)
        assert found["f"].flags.writeable
        assert found["f"].tolist() == np.array(wanted, found["f"].dtype).tolist()
    else:
        assert found["f"] == wanted
        assert type(found["f"]) is type(wanted)


def test_lists_that_lack_an_item_keep_their_numbers():
    """As objects, with None in its place: a whole number stays one."""
    kind = kind_from("list[int64]")
    column = kind.encoded("s.f", [[2**60 + 1, None], []])[""]
    rows = Rows({"f": kind}, pa.table({"f": column}), Path())
    assert rows[0]["f"].tolist() == [2**60 + 1, None]
    assert len(rows[1]["f"]) == 0


GOLDEN = {
    "float32": ("9a1520a5e57e9c6fc150386cdab79e29", 1 / 3),
    "int64": ("ef65d033ef783744ce37a4501d5f9cdd", 1),
    "string": ("d4eb64646bd53b41b05221eb4753e6ac", "n1"),
    "vector[3]": ("a5f69b535a79a2cc16f325aef05987a7", np.arange(3) + 1),
    "list[int64]": ("9e936285965f752cfe4778ff7153dbed", [1, 2]),
    "list[float32]": ("f58d244dfc42068fd055fabcbc917d6e", [1 / 7, None]),
    "caption": ("5c6582578d27cfe76796231d16cf98eb", WINDOWS),
    "blob": ("9ef178ff5b5f2bdc5989768a2ee6d2f2", Stored("ab/1.bin", 1, digest.of("blob", 1))),
}


@pytest.mark.parametrize(("words", "golden", "value"), [(words, *case) for words, case in GOLDEN.items()])
def test_golden_digests(words, golden, value):
    """The digest of a value is the same for ever: what was stored before downstream keys hold."""
    kind = kind_from(words)
    found = digests_of(kind.encoded("s.f", [value, None])[kind.digested]).to_pylist()
    assert [one.hex() for one in found] == [golden, "451f56de973f49b6c12baba7ef35476d"]


def test_lists_of_vectors_have_digests_of_their_own():
    """Of shape and bytes: the same numbers in other rows are another value."""
    two, one, none = (kind_from(words) for words in ("list[vector[2]]", "list[vector[4]]", "list[vector[2]]"))
    cells = [two.encoded("", [[[1, 2], [3, 4]]]), one.encoded("", [[[1, 2, 3, 4]]]), none.encoded("", [[]])]
    assert len({bytes(digests_of(cell[""])[0].as_py()) for cell in cells}) == 3


@pytest.mark.parametrize(
    ("words", "value", "said"),
    [
        ("vector[3]", [1, 2], r"s\.f: a vector of 3 is declared, one of shape \(2,\) was written"),
        ("vector[2]", [1, np.nan], r"s\.f: it is or holds NaN, infinity or more than vector\[2\] can"),
        ("vector[2, float16]", [1, 1e6], r"s\.f: it is or holds NaN, infinity or more than vector\[2, float16\] can"),
        ("list[vector[2]]", [[1, 2], [3]], r"s\.f: a vector of 2 is declared, one of shape \(1,\) was written"),
        ("list[vector[2]]", 3, r"s\.f: a list of vector\[2\] is wanted, not int"),
        ("blobs", [b"x"], r"s\.f: a blob is wanted, not bytes"),
        ("blobs", BLOB, r"s\.f: a list of blob is wanted, not Stored"),
        ("caption", "text", r"s\.f: a caption is a list of Window"),
        ("int64", "x", r"s\.f: int64 is declared, and that is not what was written"),
    ],
)
def test_what_is_no_value_of_a_type_is_refused(words, value, said):
    """With the field's name and both sides."""
    with pytest.raises(StageError, match=said):
        kind_from(words).encoded("s.f", [value])


@EACH
def test_the_dataset_has_the_columns_that_are_told(words, kind, value):
    """Each shown as its type says, null where there is none, in DuckDB's type and with a sample that it takes."""
    import duckdb

    stored = table(kind, value, None)
    for part, shown in kind.columns().items():
        found = kind.shown(part, stored[f"f{part}"])
        assert found.type == shown.stored()[""]
        assert found.to_pylist()[1] is None
        assert found.to_pylist()[0] is not None
        duckdb.sql(f"select cast({shown.sample} as {shown.sql})").fetchall()
        seen = pa.table({"f": found})
        with duckdb.connect() as db:
            assert len(db.register("seen", seen).execute("select f from seen").fetchall()) == 2


def test_blobs_are_shown_by_their_paths_in_the_store():
    """And by digests in hex, one or a list of them."""
    for kind, value in ((BlobField(), BLOB), (List(BlobField()), [BLOB, BLOB])):
        stored = table(kind, value, None)
        one = [kind.shown(part, stored[f"f{part}"]).to_pylist() for part in ("_uri", "_bytes", "_digest")]
        wanted = ["blobs/ab/c.bin", 3, BLOB.digest.hex()]
        assert [found[0] for found in one] == (wanted if kind == BlobField() else [[item] * 2 for item in wanted])


def test_captions_are_shown_as_one_text():
    """With the enhanced words where there are."""
    kind = Caption()
    assert kind.shown("", table(kind, WINDOWS, None)["f"]).to_pylist() == ["é\nc", None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Embedder(Stage):
    """A stage whose vectors are as wide as is asked for."""

    version: ClassVar[int] = 1
    phase: ClassVar = "embed"

    size: int = 4

    @property
    def writes(self):
        """As wide as is asked for."""
        return {"": Vector(self.size), "model": "string"}


class Method(Embedder):
    """The same by a method."""

    def writes(self):
        """As wide as is asked for."""
        return {"": f"vector[{self.size}]", "model": pa.string()}


@pytest.mark.parametrize("cls", [Embedder, Method])
def test_what_is_written_may_depend_on_parameters(cls):
    """By a property or a method."""
    assert outputs(cls(size=9)) == {"": Vector(9), "model": Scalar("string")}


@pytest.mark.parametrize("cls", shipped.classes(), ids=lambda cls: cls.title())
def test_what_is_shipped_names_its_types_by_objects(cls):
    """And not in words, which are read in one place."""
    stage = shipped.made(cls)
    assert dict(stage.writes) == outputs(stage)
