"""A folder is brought to what an export holds: what differs is written, what left is removed, all else stays."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from vbuild.dataset.export.piece import Piece, of_bytes
from vbuild.dataset.export.publish import STATE, Published, publish
from vbuild.dataset.export.selection import sign_of
from vbuild.errors import ExportError

OF = {"dataset": "d", "format": "jsonl"}


def files(folder: Path) -> dict[str, bytes]:
    """All files but the state."""
    paths = (p for p in folder.rglob("*") if p.is_file() and STATE not in p.parts)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def test_only_what_differs_is_written(tmp_path):
    """A piece of the same sign is left alone; one that is no more is removed, with the folder that it was alone in."""
    out = tmp_path / "out"
    assert publish(out, OF, [of_bytes("a/x", b"1"), of_bytes("b", b"22")]) == Published(2, 0, 0, 3)
    before = (out / "b").stat().st_mtime_ns
    assert publish(out, OF, [of_bytes("b", b"22"), of_bytes("c", b"4")]) == Published(1, 1, 1, 1)
    assert files(out) == {"b": b"22", "c": b"4"}
    assert not (out / "a").exists()
    assert (out / "b").stat().st_mtime_ns == before


def test_a_piece_that_was_cut_or_taken_away_is_written_again(tmp_path):
    """Its size is looked at, not only what the list says."""
    out = tmp_path / "out"
    pieces = [of_bytes("a", b"111"), of_bytes("b", b"222")]
    publish(out, OF, pieces)
    (out / "a").write_bytes(b"1")
    (out / "b").unlink()
    assert publish(out, OF, pieces).written == 2
    assert files(out) == {"a": b"111", "b": b"222"}


def test_an_export_that_ended_early_goes_on_where_it_was(tmp_path):
    """What was written is not written again, nothing half written is left, and no stranger's file is taken for ours."""
    out = tmp_path / "out"

    def broken(target):
        target.write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        publish(out, OF, [of_bytes("a", b"1"), Piece("b", "s", broken)])
    assert files(out) == {"a": b"1"}
    assert {p.name for p in (out / STATE).glob("[!.]*")} == {"lock", "journal"}
    assert publish(out, OF, [of_bytes("a", b"1"), of_bytes("b", b"2")]) == Published(1, 1, 0, 1)
    assert files(out) == {"a": b"1", "b": b"2"}


KILLED = """
import os, sys
from pathlib import Path
from vbuild.dataset.export.piece import Piece, of_bytes
from vbuild.dataset.export.publish import publish

def write(target):
    target.write_bytes(b"half")
    os.kill(os.getpid(), 9)

publish(Path(sys.argv[1]), {"dataset": "d", "format": "jsonl"}, [of_bytes("a", b"1"), Piece("b", "s", write)])
"""


def test_an_export_that_was_killed_leaves_nothing(tmp_path):
    """The next goes on, and what was half written is gone."""
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert done.returncode == -9
    assert publish(out, OF, [of_bytes("a", b"1"), of_bytes("b", b"2")]) == Published(1, 1, 0, 1)
    assert {p.name for p in (out / STATE).glob("[!.]*")} == {"lock", "files.jsonl"}


def test_a_file_that_was_about_to_be_replaced_is_written_again(tmp_path):
    """An end between the line in the journal and the rename leaves no piece that is taken for the new one."""
    out = tmp_path / "out"
    publish(out, OF, [of_bytes("a", b"1")])
    (out / STATE / "journal").write_text(json.dumps(["z", "", -1]) + '\n["z", "5')
    (out / "z").write_bytes(b"old")
    assert publish(out, OF, [of_bytes("a", b"1"), of_bytes("z", b"new")]).written == 1
    assert files(out) == {"a": b"1", "z": b"new"}


def test_what_no_export_wrote_is_never_touched(tmp_path):
    """A folder that holds something is refused; so is a path at which a person has put a file meanwhile."""
    (tmp_path / "mine").write_bytes(b"mine")
    with pytest.raises(ExportError, match=r"it is not empty \(mine is in it\)"):
        publish(tmp_path, OF, [of_bytes("a", b"1")])
    out = tmp_path / "out"
    publish(out, OF, [of_bytes("a", b"1")])
    (out / "b").write_bytes(b"mine")
    with pytest.raises(ExportError, match=r"b: it was not written by an export"):
        publish(out, OF, [of_bytes("a", b"1"), of_bytes("b", b"2")])
    assert publish(out, OF, []).removed == 1
    assert files(out) == {"b": b"mine"}


def test_a_folder_serves_one_export(tmp_path):
    """Another dataset or another form is refused, and said."""
    out = tmp_path / "out"
    publish(out, OF, [of_bytes("a", b"1")])
    with pytest.raises(ExportError, match="it holds an export of d as jsonl"):
        publish(out, {"dataset": "d", "format": "curator"}, [])


def test_another_version_writes_all_anew(tmp_path):
    """Though the signs are the same."""
    out = tmp_path / "out"
    publish(out, {**OF, "version": 1}, [of_bytes("a", b"1")])
    assert publish(out, {**OF, "version": 2}, [of_bytes("a", b"1")]) == Published(1, 0, 0, 1)
    assert publish(out, {**OF, "version": 2}, [of_bytes("a", b"1")]).kept == 1


def test_a_sign_follows_from_values_alone():
    """Not from what lies under a null, nor from how rows lie in memory."""

    def table(hidden, last=3.0):
        floats = pa.array(np.array([1.0, hidden, last]), mask=np.array([False, True, False]))
        vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, hidden, hidden, 5.0, last]), 2, mask=MASK)
        texts = pa.chunked_array([["a"], ["b", None]])
        return pa.table({"n": floats, "v": vectors, "t": texts})

    assert sign_of(table(7.0)) == sign_of(table(8.0)) == sign_of(pa.concat_tables([table(7.0)[:1], table(9.0)[1:]]))
    assert sign_of(table(7.0)) != sign_of(table(7.0, last=4.0))
    assert sign_of(table(7.0)) != sign_of(table(7.0), "more")


MASK = pa.array([False, True, False])


def test_two_pieces_of_one_path_are_refused(tmp_path):
    """They would be one file."""
    with pytest.raises(ExportError, match="two clips would lie there"):
        publish(tmp_path / "out", OF, [of_bytes("a", b"1"), of_bytes("a", b"2")])


def test_a_dry_run_writes_nothing(tmp_path):
    """It says what it would write."""
    out = tmp_path / "out"
    assert publish(out, OF, [of_bytes("a", b"1")], dry=True) == Published(1, 0, 0, 0)
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_said_in_a_line(tmp_path):
    """No traceback of the system's."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExportError, match=r"it cannot be written \(Not a directory\)|File exists"):
        publish(tmp_path / "file" / "out", OF, [of_bytes("a", b"1")])
