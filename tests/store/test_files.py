"""The memo knows a file by path, size, times and inode together."""

import numpy as np

from vbuild import digest
from vbuild.store.files import Files


def columns(*rows):
    return [np.array(column, np.int64) for column in zip(*rows, strict=True)]


def ids(*numbers):
    return np.frombuffer(b"".join(digest.of("id", n) for n in numbers), "V16")


def test_an_empty_memo_knows_nothing(tmp_path):
    """Nor does a memo that is asked nothing."""
    found, known = Files(tmp_path).lookup(["/a"], *columns((1, 2, 2, 3)))
    assert known.tolist() == [False]
    assert len(found) == 1
    assert Files(tmp_path).lookup([], *[np.empty(0, np.int64)] * 4)[1].tolist() == []


def test_a_file_is_known_while_all_is_as_it_was(tmp_path):
    """Another path, size, time or inode makes another file of it."""
    Files(tmp_path).add(["/a", "/b"], *columns((1, 2, 2, 3), (4, 5, 5, 6)), ids(1, 2))
    names = ["/b", "/a", "/c", "/a", "/a", "/a", "/a"]
    found, known = Files(tmp_path).lookup(
        names,
        *columns((4, 5, 5, 6), (1, 2, 2, 3), (1, 2, 2, 3), (9, 2, 2, 3), (1, 9, 2, 3), (1, 2, 9, 3), (1, 2, 2, 9)),
    )
    assert known.tolist() == [True, True, False, False, False, False, False]
    assert found[:2].tolist() == ids(2, 1).tolist()


def test_numbers_and_names_do_not_run_together(tmp_path):
    """Large inodes, and names that are no UTF-8."""
    name = b"/\xff".decode(errors="surrogateescape")
    Files(tmp_path).add([name], *columns((2**40, 2**62, 1, -(2**63))), ids(1))
    assert Files(tmp_path).lookup([name], *columns((2**40, 2**62, 1, -(2**63))))[1].tolist() == [True]
    assert Files(tmp_path).lookup([name], *columns((2**62, 2**40, 1, -(2**63))))[1].tolist() == [False]


def test_a_memo_of_many_additions_stays_small(tmp_path):
    """Fragments are joined, and everything is still known."""
    for n in range(70):
        Files(tmp_path).add([f"/{n}"], *columns((n, n, n, n)), ids(n))
    names = [f"/{n}" for n in range(70)]
    found, known = Files(tmp_path).lookup(names, *columns(*((n, n, n, n) for n in range(70))))
    assert known.all()
    assert found.tolist() == ids(*range(70)).tolist()
    assert len(list((tmp_path / "files.lance" / "data").iterdir())) > 1
