"""Blobs are there whole or not at all, under the digest of their bytes, once."""

import os

import pytest

from vbuild import digest
from vbuild.store.blobs import Blobs


@pytest.fixture
def blobs(tmp_path):
    """The blobs of an empty store."""
    return Blobs(tmp_path)


def files(blobs):
    return sorted(str(p.relative_to(blobs.folder)) for p in blobs.folder.rglob("*") if p.is_file())


def test_bytes_are_put_under_their_digest(blobs):
    """With their ending, in a folder of the first two characters."""
    stored = blobs.put(b"hello", ".txt")
    name = digest.of_bytes(b"hello").hex()
    assert (stored.uri, stored.bytes, stored.digest.hex()) == (f"{name[:2]}/{name[2:]}.txt", 5, name)
    assert blobs.path(stored.uri).read_bytes() == b"hello"


def test_a_file_is_moved_and_comes_to_the_same(blobs):
    """A file of the scratch folder and the same bytes are one blob."""
    with blobs.scratch() as scratch:
        path = scratch / "x"
        path.write_bytes(b"hello")
        stored = blobs.put(path, ".txt")
        assert not path.exists()
    assert stored == blobs.put(b"hello", ".txt")
    assert files(blobs) == [stored.uri]


def test_what_is_there_is_not_written_again(blobs):
    """The file stays the same file, and is young again, for gc goes by that."""
    path = blobs.path(blobs.put(b"hello", ".txt").uri)
    os.utime(path, (1, 1))
    before = path.stat()
    blobs.put(b"hello", ".txt")
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime > 1


def test_a_blob_of_another_size_is_made_good(blobs):
    """What a power cut has cut short is put again."""
    stored = blobs.put(b"hello", ".txt")
    blobs.path(stored.uri).write_bytes(b"he")
    blobs.put(b"hello", ".txt")
    assert blobs.path(stored.uri).read_bytes() == b"hello"


def test_scratch_is_private_and_goes(blobs):
    """Also when what happens in it fails; and it lies on the store's file system."""
    with blobs.scratch() as one, blobs.scratch() as two:
        assert one != two
        assert one.is_relative_to(blobs.folder)
        (one / "left").write_text("x")
    assert not one.exists()
    assert not two.exists()
    with pytest.raises(RuntimeError, match="it failed"):
        _fail(blobs)
    assert files(blobs) == []


def _fail(blobs):
    with blobs.scratch() as scratch:
        (scratch / "left").write_text("x")
        raise RuntimeError("it failed")


def test_what_is_missing_is_told(blobs):
    """Of many at once; a null is missing."""
    stored = [blobs.put(bytes([n]), ".bin").uri for n in range(5)]
    blobs.path(stored[3]).unlink()
    assert blobs.missing([*stored, None, "zz/nothing.bin"]).tolist() == [False] * 3 + [True, False, True, True]
    assert blobs.missing([]).tolist() == []


def test_what_lies_outside_is_no_blob(blobs):
    """Whatever a damaged row says: it is missing, and its action runs again."""
    (blobs.root / "other").write_bytes(b"x")
    stored = blobs.put(b"hello", ".txt").uri
    wrong = [
        "../other",
        "../blobs/" + stored,
        "/" + stored,
        str(blobs.path(stored)),
        "..",
        ".",
        "",
        "tmp",
        "ab/../" + stored,
    ]
    assert blobs.missing([stored, *wrong]).tolist() == [False, *[True] * len(wrong)]
