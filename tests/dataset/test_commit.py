"""A commit writes what differs and nothing else, and finishes what another left half done."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import lance
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from vbuild import digest
from vbuild.dataset.commit import commit, last_build
from vbuild.dataset.shown import DIGESTS
from vbuild.dataset.target import Group, Target
from vbuild.dataset.versions import fingerprint
from vbuild.store import lance_io

BUILD = {
    "time": None, "config": {"declared": "x"}, "recipes": {}, "counts": {"clips": 1}, "seconds": 1.0, "versions": {},
}  # fmt: skip


def group(name, values, kind, asked=None):
    """A group of one column, whose values are fetched where they are asked for."""
    schema = pa.schema([pa.field(name, kind)])

    def fetch(rows):
        if asked is not None:
            asked.append((name, rows.tolist()))
        return pa.table([pa.array([values[r] for r in rows.tolist()], kind)], schema=schema)

    digests = np.array([np.void(digest.of("t", v if not isinstance(v, list) else list(v))) for v in values], "V16")
    return Group(name, schema, digests.reshape(-1), fetch)


def clips(keys, tones, vectors=None, texts=None, asked=None):
    """A table of clips with a number, perhaps a vector, perhaps a text."""
    groups = [group("tone", tones, pa.float64(), asked)]
    indexes = {"tone": "scalar"}
    if vectors is not None:
        groups.append(group("embed", vectors, pa.list_(pa.float32(), 4), asked))
        indexes["embed"] = "vector"
    if texts is not None:
        groups.append(group("caption", texts, pa.string(), asked))
        indexes["caption"] = "text"
    return Target("clips", "clip_id", pa.array(keys, pa.string()), tuple(groups), indexes)


def held(folder, table="clips"):
    """What a table holds, by key, without the bookkeeping."""
    found = lance.dataset(str(folder / f"{table}.lance")).to_table().to_pylist()
    return {row.pop("clip_id"): row for row in found}


def files(folder):
    """Every file with its size and time."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def build(number):
    return {**BUILD, "id": f"b{number}"}


def test_the_same_again_writes_nothing(tmp_path):
    """A commit of what is there touches no file and is no build."""
    first = commit(tmp_path, [clips(["a", "b"], [1.0, 2.0])], build(1))
    before = files(tmp_path)
    again = commit(tmp_path, [clips(["a", "b"], [1.0, 2.0])], build(2))
    assert first.build == "b1"
    assert again.build is None
    assert not again.changed
    assert files(tmp_path) == before


def test_only_rows_that_differ_are_asked_for(tmp_path):
    """Of a changed group the changed rows are fetched, of the others none, and no row is lost."""
    vectors = [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]]
    commit(tmp_path, [clips(list("abc"), [1.0, 2.0, 3.0], vectors)], build(1))
    asked = []
    done = commit(tmp_path, [clips(list("abc"), [1.0, 5.0, 3.0], vectors, asked=asked)], build(2))
    assert asked == [("tone", [1])]
    assert done.changed == {"clips": {"added": 0, "updated": 1, "deleted": 0}}
    assert {k: v["tone"] for k, v in held(tmp_path).items()} == {"a": 1.0, "b": 5.0, "c": 3.0}
    assert held(tmp_path)["c"]["embed"] == [0, 0, 1, 0]


def test_rows_that_differ_lie_in_several_fragments(tmp_path, monkeypatch):
    """Each is written by itself, those without such a row are left, and rows that were deleted are in no one's way."""
    monkeypatch.setattr(lance_io, "ROWS", 2)
    keys = list("abcdefgh")
    commit(tmp_path, [clips(keys, [1.0] * 8, texts=["t"] * 8)], build(1))
    table = lance.dataset(str(tmp_path / "clips.lance"))
    assert len(table.get_fragments()) == 4
    left = [file.path for file in table.get_fragment(1).data_files()]
    done = commit(tmp_path, [clips(keys[1:], [2.0, 1.0, 1.0, 3.0, 1.0, 1.0, 4.0], texts=["t"] * 7)], build(2))
    assert done.changed == {"clips": {"added": 0, "updated": 3, "deleted": 1}}
    assert [row["tone"] for _, row in sorted(held(tmp_path).items())] == [2.0, 1.0, 1.0, 3.0, 1.0, 1.0, 4.0]
    assert {row["caption"] for row in held(tmp_path).values()} == {"t"}
    table = lance.dataset(str(tmp_path / "clips.lance"))
    assert [file.path for file in table.get_fragment(1).data_files()] == left


def test_a_changed_column_does_not_rewrite_the_others(tmp_path):
    """Changing a number in every row writes far less than the vectors that stand beside it."""
    n = 400
    vectors = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    wide = pa.list_(pa.float32(), 4)
    keys = [f"{i:032x}" for i in range(n)]
    blob = [os.urandom(2000).hex() for _ in range(n)]

    def target(tones):
        extra = group("blob", blob, pa.string())
        made = clips(keys, tones, vectors.tolist())
        return Target("clips", "clip_id", made.keys, (*made.groups, extra), {})

    assert wide.list_size == 4
    commit(tmp_path, [target([1.0] * n)], build(1))
    size = sum(s for s, _ in files(tmp_path / "clips.lance" / "data").values())
    commit(tmp_path, [target([2.0] * n)], build(2))
    grown = sum(s for s, _ in files(tmp_path / "clips.lance" / "data").values()) - size
    assert grown < size / 10


def test_rows_come_and_go(tmp_path):
    """New rows are added, rows whose clip is gone are deleted, all in the same commit."""
    commit(tmp_path, [clips(["a", "b"], [1.0, 2.0], texts=["x", "y"])], build(1))
    done = commit(tmp_path, [clips(["b", "c"], [2.5, 3.0], texts=["y", "z"])], build(2))
    assert done.changed["clips"] == {"added": 1, "updated": 1, "deleted": 1}
    assert held(tmp_path) == {"b": {"tone": 2.5, "caption": "y"}, "c": {"tone": 3.0, "caption": "z"}}


def test_a_table_may_become_empty_and_full_again(tmp_path):
    """No row is a state like any other."""
    for number, keys in enumerate((["a"], [], ["a", "b"])):
        commit(
            tmp_path, [clips(keys, [1.0] * len(keys), [[1.0, 0, 0, 0]] * len(keys), ["t"] * len(keys))], build(number)
        )
        assert sorted(held(tmp_path)) == keys


def test_groups_come_and_go(tmp_path):
    """A stage that is new brings its columns, one that is gone takes them along, and one may change its type."""
    commit(tmp_path, [clips(["a", "b"], [1.0, 2.0])], build(1))
    commit(tmp_path, [clips(["b", "c"], [2.0, 3.0], texts=["y", None])], build(2))
    assert held(tmp_path) == {"b": {"tone": 2.0, "caption": "y"}, "c": {"tone": 3.0, "caption": None}}
    words = Target("clips", "clip_id", pa.array(["b", "c"]), (group("tone", ["low", "high"], pa.string()),), {})
    commit(tmp_path, [words], build(3))
    assert held(tmp_path) == {"b": {"tone": "low"}, "c": {"tone": "high"}}


OLD = clips(["a", "b", "c"], [1.0, 2.0, 3.0], [[1.0, 0, 0, 0]] * 3)
OLD = dataclasses.replace(
    OLD,
    groups=(*OLD.groups, group("gone", ["p", "q", "r"], pa.string()), group("kept", [True, True, False], pa.bool_())),
)
NEW = clips(["b", "c", "d"], [2.0, 9.0, 4.0], [[1.0, 0, 0, 0], [1.0, 0, 0, 0], [0, 0, 1.0, 0]], ["x", None, "z"])
NEW = dataclasses.replace(NEW, groups=(*NEW.groups, group("kept", [False, True, True], pa.bool_())))


def write_calls(patch, folder, step=None):
    """Counts the calls that write a version of a table or a tag; raises instead of making one of them."""
    calls = []

    def ending(original):
        def call(*args, **kwargs):
            calls.append(original.__name__)
            if len(calls) == step:
                raise KeyboardInterrupt
            return original(*args, **kwargs)

        return call

    dataset = lance.dataset(str(folder / "clips.lance"))
    writes = {
        lance.LanceDataset: ("restore", "drop_columns", "add_columns", "commit", "delete", "create_scalar_index"),
        type(dataset.optimize): ("optimize_indices",),
        type(dataset.tags): ("create", "update"),
        lance_io: ("append",),
    }
    for owner, names in writes.items():
        for name in names:
            patch.setattr(owner, name, ending(getattr(owner, name)))
    return calls


def assert_finished(folder, clean):
    """The next commit leaves what a commit from nothing leaves, and the one behind it has nothing to do."""
    commit(folder, [NEW], build("next"))
    commit(clean, [NEW], build("only"))
    assert held(folder) == held(clean)
    assert commit(folder, [NEW], build("last")).build is None
    covered = {i.name: i.num_rows_indexed for i in lance.dataset(str(folder / "clips.lance")).describe_indices()}
    assert covered == {"tone_idx": 3, "embed_idx": 3, "caption_idx": 3}
    path = str(folder / "clips.lance")
    assert lance.dataset(path, version="kept").to_table(columns=["clip_id"])["clip_id"].to_pylist() == ["c", "d"]
    tags = lance.dataset(path).tags.list()
    assert tags[last_build(folder)["id"]]["version"] == last_build(folder)["tables"]["clips"]


def test_a_commit_that_was_cut_short_is_finished(tmp_path, monkeypatch):
    """Before whichever write a commit ends, the next one leaves what a commit from nothing leaves."""
    commit(tmp_path / "whole", [OLD], build(1))
    with monkeypatch.context() as patch:
        calls = write_calls(patch, tmp_path / "whole")
        commit(tmp_path / "whole", [NEW], build(2))
    assert calls == [
        "restore", "delete", "drop_columns", "add_columns", "commit", "commit", "append",
        "create_scalar_index", "create_scalar_index", "optimize_indices",
        "drop_columns", "delete", "restore", "create", "create", "append", "update",
    ]  # fmt: skip
    for step in range(1, len(calls) + 1):
        folder = tmp_path / f"cut{step}"
        commit(folder, [OLD], build(1))
        with monkeypatch.context() as patch:
            write_calls(patch, folder, step)
            with pytest.raises(KeyboardInterrupt):
                commit(folder, [NEW], build(2))
        assert last_build(folder)["id"] == ("b2" if step == len(calls) else "b1")
        assert_finished(folder, tmp_path / f"clean{step}")


def test_a_group_whose_columns_were_filled_by_a_cut_commit_is_known_by_them(tmp_path, monkeypatch):
    """Values that a cut commit wrote are not taken for those of the build before, though their digests once stood."""
    low, high = (
        Target("clips", "clip_id", pa.array(["a"]), (group("tone", [v], kind),), {})
        for v, kind in ((1, pa.int64()), ("high", pa.string()))
    )
    commit(tmp_path, [low], build(1))
    with monkeypatch.context() as patch:
        patch.setattr(lance_io, "append", None)
        with pytest.raises(TypeError):
            commit(tmp_path, [high], build(2))
    assert held(tmp_path) == {"a": {"tone": "high"}}
    commit(tmp_path, [low], build(3))
    assert held(tmp_path) == {"a": {"tone": 1}}


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15])
def test_a_killed_commit_is_finished(tmp_path, delay):
    """A process that is killed while it commits leaves a database that the next commit brings to its target."""
    folder = tmp_path / "killed"
    code = (
        "import sys, itertools; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from test_commit import NEW, OLD, build, commit\n"
        "print('ready', flush=True)\n"
        "for n in itertools.count(): commit(Path(sys.argv[1]), [OLD if n % 2 else NEW], build(n))"
    )
    command = [sys.executable, "-c", code, str(folder), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.kill()
    assert_finished(folder, tmp_path / "clean")


def test_every_build_can_be_opened_again(tmp_path):
    """The row of a build names each table's version, and the version bears the build's tag."""
    commit(tmp_path, [clips(["a"], [1.0])], build(1))
    commit(tmp_path, [clips(["a"], [2.0])], build(2))
    dataset = lance.dataset(str(tmp_path / "clips.lance"))
    assert dataset.checkout_version("b1").to_table(columns=["tone"]).to_pylist() == [{"tone": 1.0}]
    assert last_build(tmp_path)["tables"] == {"clips": dataset.version}
    assert json.loads(lance.dataset(str(tmp_path / "builds.lance")).to_table()["counts"][0].as_py()) == {"clips": 1}


def test_indexes_follow_the_data(tmp_path):
    """Full text and vectors are found after rows were added and texts were changed."""
    unit = np.eye(4, dtype=np.float32).tolist()
    commit(tmp_path, [clips(["a", "b"], [1.0, 2.0], unit[:2], ["a red car", "a blue boat"])], build(1))
    commit(
        tmp_path,
        [clips(["a", "b", "c"], [1.0, 2.0, 3.0], unit[:3], ["a green car", "a blue boat", "a red hat"])],
        build(2),
    )
    dataset = lance.dataset(str(tmp_path / "clips.lance"))
    assert {i.name for i in dataset.describe_indices()} == {"tone_idx", "embed_idx", "caption_idx"}
    found = dataset.to_table(columns=["clip_id", "_score"], full_text_query="red")
    assert found["clip_id"].to_pylist() == ["c"]
    nearest = {"column": "embed", "q": unit[2], "k": 1}
    assert dataset.to_table(columns=["clip_id", "_distance"], nearest=nearest)["clip_id"].to_pylist() == ["c"]


def test_values_may_be_missing(tmp_path):
    """Clips whose embedding failed have none, and are no nearest neighbour of anything."""
    commit(tmp_path, [clips(["a", "b"], [None, 2.0], [None, [1.0, 0, 0, 0]], [None, None])], build(1))
    dataset = lance.dataset(str(tmp_path / "clips.lance"))
    found = dataset.to_table(columns=["clip_id", "_distance"], nearest={"column": "embed", "q": [1.0, 0, 0, 0], "k": 5})
    assert found["clip_id"].to_pylist() == ["b"]


def test_the_tables_read_well_without_vbuild(tmp_path):
    """DuckDB, Polars, pandas and LanceDB read the tables as they are."""
    import lancedb

    commit(tmp_path, [clips(["a", "b"], [1.0, 2.0], np.eye(4).tolist()[:2], ["x", "y"])], build(1))
    table = lancedb.connect(str(tmp_path)).open_table("clips")
    rows = table.to_lance()
    assert duckdb.sql("select clip_id from rows where tone > 1.5").fetchall() == [("b",)]
    assert pl.scan_pyarrow_dataset(rows).filter(pl.col("tone") > 1.5).collect()["clip_id"].to_list() == ["b"]
    assert isinstance(table.to_pandas(), pd.DataFrame)
    assert [r["clip_id"] for r in table.search([0.0, 1, 0, 0]).limit(1).to_list()] == ["b"]


def test_versions_are_told_from_the_files_alone(tmp_path):
    """The fingerprint moves with every version of a table, and with nothing else."""
    assert fingerprint(tmp_path / "none") == {}
    commit(tmp_path, [clips(["a"], [1.0])], build(1))
    one = fingerprint(tmp_path)
    assert set(one) == {"clips", "builds"}
    assert fingerprint(tmp_path) == one
    commit(tmp_path, [clips(["a"], [2.0])], build(2))
    assert fingerprint(tmp_path)["clips"] != one["clips"]


def test_bookkeeping_is_no_column_that_people_see(tmp_path):
    """Not in the newest version, nor in that of any build; the next commit knows it all the same."""
    for number in (1, 2):
        commit(tmp_path, [clips(["a", "b"], [1.0, float(number)])], build(number))
        dataset = lance.dataset(str(tmp_path / "clips.lance"))
        assert dataset.schema.names == ["clip_id", "tone"]
        assert dataset.checkout_version(f"b{number}").schema.names == ["clip_id", "tone"]
        assert dataset.checkout_version(f"b{number}.digests").schema.names == ["clip_id", "tone", DIGESTS]


def shown_as_before(path):
    """Makes a table what it was when its bookkeeping was a column of it."""
    dataset = lance.dataset(str(path))
    tags = dataset.tags.list()
    dataset.checkout_version("b1.digests").restore()
    for name in tags:
        lance.dataset(str(path)).tags.delete(name)
    return lance.dataset(str(path)).version


def test_a_table_of_before_is_brought_up_to_date(tmp_path):
    """No value of it is asked for nor written: its bookkeeping goes out of sight."""
    rows = {"keys": ["a", "b"], "tones": [1.0, 2.0], "texts": ["x", "y"]}
    commit(tmp_path, [clips(**rows)], build(1))
    version = shown_as_before(tmp_path / "clips.lance")
    builds = lance.dataset(str(tmp_path / "builds.lance"))
    builds.update({"tables": f"""'{{"clips": {version}}}'"""})
    before = files(tmp_path / "clips.lance" / "data")
    asked = []
    done = commit(tmp_path, [clips(**rows, asked=asked)], build(2))
    assert done.changed == {"clips": {"added": 0, "updated": 0, "deleted": 0}}
    assert (asked, files(tmp_path / "clips.lance" / "data")) == ([], before)
    assert DIGESTS not in lance.dataset(str(tmp_path / "clips.lance")).schema.names
    assert commit(tmp_path, [clips(**rows)], build(3)).build is None
    done = commit(tmp_path, [clips(**{**rows, "tones": [1.0, 3.0]}, asked=asked)], build(4))
    assert (done.changed["clips"]["updated"], asked) == (1, [("tone", [1])])


def test_what_others_did_to_a_table_is_undone(tmp_path):
    """Whatever somebody writes to it, the next commit shows what it was, and asks for no value."""
    target = clips(["a", "b", "c"], [1.0, 2.0, 3.0])
    path = tmp_path / "clips.lance"
    commit(tmp_path, [target], build(1))
    for number, harm in enumerate(
        (
            lambda d: d.delete("clip_id = 'a'"),
            lambda d: d.add_columns({"mine": "tone * 2"}),
            lambda d: d.update({"tone": "tone * 2"}),
            lambda d: d.drop_columns(["tone"]),
        )
    ):
        harm(lance.dataset(str(path)))
        asked = []
        commit(tmp_path, [clips(["a", "b", "c"], [1.0, 2.0, 3.0], asked=asked)], build(f"x{number}"))
        assert held(tmp_path) == {"a": {"tone": 1.0}, "b": {"tone": 2.0}, "c": {"tone": 3.0}}
        assert asked == []


def test_the_kept_clips_alone_are_a_version(tmp_path):
    """For loaders that know no condition, under one tag; it costs no copy, and the table has all clips."""
    import lancedb

    made = clips(list("abc"), [1.0, 2.0, 3.0])
    path = tmp_path / "clips.lance"
    for number, kept in enumerate(([True, False, True], [True, True, True], [False, False, False])):
        target = dataclasses.replace(made, groups=(*made.groups, group("kept", kept, pa.bool_())))
        commit(tmp_path, [target], build(number))
        wanted = [key for key, there in zip("abc", kept, strict=True) if there]
        assert lance.dataset(str(path), version="kept").to_table()["clip_id"].to_pylist() == wanted
        assert sorted(held(tmp_path)) == ["a", "b", "c"]
        table = lancedb.connect(str(tmp_path)).open_table("clips")
        table.checkout("kept")
        assert table.to_arrow()["clip_id"].to_pylist() == wanted
