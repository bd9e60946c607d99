"""Large files are digested once, for as long as they look as they did."""

import json
import os

from vbuild import contents, digest


def large(path, byte):
    """A file of more than a megabyte, an hour old."""
    path.write_bytes(byte * (contents.LARGE + 1))
    moment = path.stat().st_mtime - 3600
    os.utime(path, (moment, moment))
    return path


def forget():
    """As in another run."""
    contents._content.cache_clear()


def test_a_large_file_is_read_once(tmp_path, monkeypatch):
    """Another run knows it; one that changed is read again, and so is a memo that is torn."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = large(tmp_path / "weights", b"a")
    first = contents.file_digest(path)
    assert first == digest.of_file(path).hex()
    read = []
    monkeypatch.setattr(digest, "of_file", lambda path, of=digest.of_file: read.append(path) or of(path))
    forget()
    assert contents.file_digest(path) == first
    assert read == []
    large(path, b"b")
    assert contents.file_digest(path) != first
    assert len(read) == 1
    (tmp_path / "cache" / "vbuild" / "contents.json").write_text("{")
    forget()
    contents.file_digest(path)
    assert len(read) == 2
    assert len(json.loads((tmp_path / "cache" / "vbuild" / "contents.json").read_text())) == 1


def test_no_run_needs_the_memo(tmp_path, monkeypatch):
    """Where it cannot be written, files are read."""
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = large(tmp_path / "weights", b"a")
    forget()
    assert contents.file_digest(path) == digest.of_file(path).hex()
