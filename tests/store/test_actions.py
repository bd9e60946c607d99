"""Results by key: the first of a key wins, what was acknowledged stays, and order holds."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from vbuild import digest
from vbuild.digest import Recipe
from vbuild.errors import StageError, StoreError
from vbuild.stage import Stage, Window, outputs
from vbuild.store import lance_io
from vbuild.store.actions import Actions, Results, encode
from vbuild.store.blobs import Stored

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Everything(Stage):
    """A stage that writes a value of each kind."""

    version: ClassVar[int] = 1
    phase: ClassVar = "measure"
    writes: ClassVar = {
        "": "float32",
        "count": "int64",
        "name": "string",
        "embed": "vector[3]",
        "spans": "list[int64]",
        "levels": "list[float32]",
        "said": "caption",
        "file": "blob",
    }


STAGE = Everything()
RECIPE = Recipe("everything", 1, {}, {}, {})


def key(n):
    return bytes(digest.of("key", n))


def keys(*numbers):
    return np.frombuffer(b"".join(map(key, numbers)), "V16")


def row(n, **changes):
    blob = Stored(f"ab/{n}.bin", n, digest.of("blob", n))
    values = {
        "": n / 3, "count": n, "name": f"n{n}", "embed": np.arange(3) + n, "spans": [n, n + 1], "levels": [n / 7, None],
        "said": [Window(text=f"t{n}")], "file": blob,
    }  # fmt: skip
    return {**values, **changes}


def table(*numbers, rows=None):
    rows = [row(n) for n in numbers] if rows is None else rows
    return encode(STAGE, rows, keys=[key(n) for n in numbers], warnings=[None] * len(rows), seconds=0.5, build="b")


@pytest.fixture
def results(tmp_path):
    """The results of one recipe, none yet."""
    return Actions(tmp_path).results(RECIPE, outputs(STAGE))


def counts(results, *numbers):
    return results.take(results.lookup(keys(*numbers)), ["count"])["count"].to_pylist()


def test_nothing_is_there_before_anything_is(results):
    """A recipe without results misses everything and takes nulls."""
    assert len(results) == 0
    assert results.lookup(keys(1, 2)).tolist() == [-1, -1]
    assert counts(results, 1, 2) == [None, None]


def test_what_is_appended_is_found(results):
    """By key, in the order asked for, with every kind of value as it was written."""
    results.append(table(1, 2, 3))
    assert counts(results, 3, 9, 1) == [3, None, 1]
    places = results.lookup(keys(2, 9))
    found = results.take(places, [f.name for f in results.schema]).to_pylist()
    assert found[1] == dict.fromkeys(results.schema.names)
    assert found[0]["value"] == np.float32(2 / 3)
    assert (found[0]["name"], found[0]["embed"], found[0]["spans"]) == ("n2", [2.0, 3.0, 4.0], [2, 3])
    assert found[0]["said"][0]["text"] == "t2"
    assert (found[0]["file_uri"], found[0]["file_bytes"]) == ("ab/2.bin", 2)
    assert (found[0]["seconds"], found[0]["build"]) == (0.5, "b")


def test_the_first_of_a_key_wins(results):
    """Within one append, over two, and of two processes that do not know of each other."""
    results.append(table(1, 1, rows=[row(1), row(7)]))
    results.append(table(1, 2, rows=[row(8), row(2)]))
    assert counts(results, 1, 2) == [1, 2]
    assert len(results) == 2
    lance_io.append(results.path, table(1, rows=[row(9)]))
    fresh = Results(results.path, RECIPE, outputs(STAGE))
    assert len(fresh) == 3
    assert counts(fresh, 1, 2) == [1, 2]


def test_what_another_adds_is_seen_when_it_is_asked_for_anew(results):
    """`refresh` takes it; and `append` does not add what the other has."""
    other = Results(results.path, RECIPE, outputs(STAGE))
    results.append(table(1))
    assert counts(other, 1) == [None]
    other.append(table(1, 2, rows=[row(5), row(2)]))
    assert counts(other, 1, 2) == [1, 2]
    assert counts(results, 2) == [None]
    results.refresh()
    assert counts(results, 2) == [2]


def test_what_is_deleted_is_gone_and_may_come_again(results):
    """Only those keys, also if they are asked for at once."""
    results.append(table(*range(8)))
    results.delete(keys(2, 5, 99))
    assert counts(results, 1, 2, 5, 6) == [1, None, None, 6]
    results.append(table(5, rows=[row(50)]))
    assert counts(results, 5, 7) == [50, 7]
    results.delete(keys(5))
    assert counts(results, 5) == [None]


def test_compaction_keeps_rows_and_who_is_first(results):
    """Many fragments become few; of two rows with one key the same one answers."""
    for n in range(lance_io.FRAGMENTS + 2):
        results.append(table(n))
    lance_io.append(results.path, table(3, rows=[row(333)]))
    results.refresh()
    fragments = len(results.dataset.get_fragments())
    results.compact()
    assert len(results.dataset.get_fragments()) < fragments
    assert counts(results, *range(lance_io.FRAGMENTS + 2)) == list(range(lance_io.FRAGMENTS + 2))


def test_the_recipe_can_be_read_beside_its_results(results):
    """And recipes of a stage are listed."""
    results.append(table(1))
    assert Recipe.from_json(results.path.with_suffix(".json").read_text()) == RECIPE
    assert Actions(results.path.parents[2]).recipes("everything") == [RECIPE]


RACE = """
import sys
sys.path.insert(0, {here!r})
from test_actions import *
results = Results(Path(sys.argv[1]), RECIPE, outputs(STAGE))
first = int(sys.argv[2])
sys.stdin.read(1)
for n in range(first, first + 5):
    results.append(table(n, 1000))
    print(n, flush=True)
"""


@pytest.mark.parametrize("round_", [*range(5), *(pytest.param(n, marks=pytest.mark.slow) for n in range(5, 60))])
def test_processes_that_race_to_create_a_recipe_lose_no_row(tmp_path, round_):
    """Four at once, each from nothing: every row that one of them acknowledged is there, shared keys too."""
    path = tmp_path / "actions" / "everything" / f"{RECIPE.id}.lance"
    code = RACE.format(here=str(Path(__file__).parent))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(first)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for first in (0, 100, 200, 300)
    ]  # fmt: skip
    for racer in racers:
        racer.stdin.write("g")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60) for racer in racers]
    acknowledged = [int(line) for out, _ in said for line in out.split()]
    assert len(acknowledged) == 20, said
    results = Results(path, RECIPE, outputs(STAGE))
    assert counts(results, *acknowledged, 1000) == [*acknowledged, 1000]
    assert not [p for p in path.parent.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": "three"}, r"everything\.count: int64 is declared"),
        ({"": float("nan")}, "everything: it is or holds NaN, infinity or more than float32 can; write None"),
        ({"": float("-inf")}, "everything: it is or holds NaN"),
        ({"": 1e39}, "everything: it is or holds NaN, infinity or more than float32 can"),
        ({"": np.float64(1e39)}, "everything: it is or holds NaN"),
        ({"levels": [1.0, float("nan")]}, r"everything\.levels: it is or holds NaN"),
        ({"levels": [1.0, None, 1e39]}, r"everything\.levels: it is or holds NaN"),
        ({"embed": np.array([0.0, 1e39, 1])}, r"everything\.embed: it is or holds NaN"),
        ({"said": [Window(text="t", start=float("inf"))]}, r"everything\.said: it is or holds NaN"),
        ({"embed": np.zeros(4)}, r"everything\.embed: a vector of 3 is declared"),
        ({"embed": np.array([0, np.nan, 1])}, r"everything\.embed: it is or holds NaN"),
        ({"said": ["text"]}, r"everything\.said: a caption is a list of Window"),
        ({"file": b"bytes"}, r"everything\.file: a blob is wanted, not bytes"),
        ({"more": 1}, "everything: it wrote 'more', which it does not declare"),
    ],
)
def test_rows_that_break_the_contract_are_refused(changes, said):
    """By stage and field."""
    with pytest.raises(StageError, match=said.replace("everything", r"test_actions\.Everything")):
        table(1, rows=[row(1, **changes)])


def test_a_row_without_a_field_is_refused():
    """None must be written for what cannot be had."""
    bad = row(1)
    del bad["name"]
    with pytest.raises(StageError, match="the row does not have it"):
        table(1, rows=[bad])


def test_null_may_be_written_of_everything(results):
    """It is stored as null, with the digest of nothing."""
    results.append(table(1, 2, rows=[dict.fromkeys(outputs(STAGE))] * 2))
    found = results.take(results.lookup(keys(1, 2)), [f.name for f in results.schema]).to_pylist()
    assert {v for k, v in found[0].items() if k.startswith("digest__")} == {digest.of_value(None)}
    assert found[0]["embed"] is found[0]["said"] is found[0]["file_uri"] is None


def test_digests_are_of_what_is_stored():
    """Two numbers that float32 cannot tell apart have one digest; other values have others."""
    one, two, three = (table(1, rows=[row(1, **{"": v})])["digest__value"][0] for v in (0.1, 0.1 + 1e-12, 0.2))
    assert one == two != three


def test_a_recipe_that_cannot_be_read_is_said(tmp_path):
    """With its place and what to do."""
    path = tmp_path / "x.lance"
    lance_io.append(path, pa.table({"a": [1]}))
    for manifest in (path / "_versions").iterdir():
        manifest.write_bytes(b"rubbish, and yet its endLANC")
    with pytest.raises(StoreError, match=r"x\.lance: it cannot be read .*move it away"):
        lance_io.open_dataset(path)
