"""What a power cut tears is put aside and said, and everything else is still there."""

import numpy as np
import pyarrow as pa
import pytest

from vbuild import digest
from vbuild.store import lance_io
from vbuild.store.pairs import Pairs


def keys(*numbers):
    return np.frombuffer(b"".join(digest.of("key", n) for n in numbers), "V16")


@pytest.fixture
def path(tmp_path):
    """Three appends of two rows each."""
    path = tmp_path / "x.lance"
    for n in range(3):
        lance_io.append(path, pa.table({"a": [n, n]}))
    return path


def values(path):
    dataset = lance_io.open_dataset(path)
    return None if dataset is None else dataset.to_table()["a"].to_pylist()


def manifests(path):
    """The newest first."""
    return sorted((path / "_versions").glob("*.manifest"))


@pytest.mark.parametrize("left", [0, 3, 40, -1])
@pytest.mark.parametrize("bad", [1, 2])
def test_the_newest_whole_version_goes_on(path, caplog, bad, left):
    """However much was torn off however many manifests; what is added later is there, and it is said once."""
    for manifest in manifests(path)[:bad]:
        manifest.write_bytes(manifest.read_bytes()[:left])
    before = [0, 0, 1, 1][: 6 - 2 * bad]
    assert values(path) == before
    assert f"x.lance: its {bad} newest versions cannot be read" in caplog.text
    caplog.clear()
    lance_io.append(path, pa.table({"a": [9]}))
    assert values(path) == [*before, 9]
    assert not caplog.text


def test_without_any_whole_version_the_folder_is_set_aside(path, caplog):
    """Under a name that says so, with all that is in it, and a new one can be made."""
    for manifest in manifests(path):
        manifest.write_bytes(b"")
    assert values(path) is None
    (aside,) = path.parent.glob("x.lance.damaged-*")
    assert aside.name in caplog.text
    assert len(list((aside / "data").iterdir())) == 3
    lance_io.append(path, pa.table({"a": [5]}))
    assert values(path) == [5]


@pytest.mark.parametrize("harm", ["gone", "empty", "short"])
def test_rows_of_a_damaged_data_file_are_gone_and_no_others(path, caplog, harm):
    """They are as if they had never been, so that they are made again."""
    (file,) = lance_io.open_dataset(path).get_fragments()[1].data_files()
    file = path / "data" / file.path
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(b"" if harm == "empty" else file.read_bytes()[:-5])
    assert values(path) == [0, 0, 2, 2]
    assert "x.lance: data files are damaged; 2 rows are gone with them" in caplog.text
    caplog.clear()
    lance_io.append(path, pa.table({"a": [1, 1]}))
    assert values(path) == [0, 0, 2, 2, 1, 1]
    assert not caplog.text


@pytest.mark.parametrize("harm", ["manifest", "data"])
def test_lost_pairs_are_compared_again(tmp_path, harm):
    """Vectors whose pairs were lost do not count as compared, or duplicates would stay for ever."""
    pairs = Pairs(tmp_path)
    for n in (0, 10):
        pairs.add(keys(n), keys(n + 1), np.array([0.9]))
        pairs.mark(keys(n, n + 1), 0.1)
    assert len(pairs.compared(0.1).index.keys) == 4
    edges = tmp_path / "edges.lance"
    if harm == "manifest":
        manifests(edges)[0].write_bytes(b"")
    else:
        next((edges / "data").iterdir()).unlink()
    assert len(pairs.compared(0.1).index.keys) == 0
    assert len(pairs.edges(keys(0, 1, 10, 11), 0.0)[0]) == 1
