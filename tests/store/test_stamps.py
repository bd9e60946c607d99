"""A stamp is whole or not there; the epoch moves forward."""

import pytest

from vbuild.errors import StoreError
from vbuild.store import stamps


def test_a_stamp_is_read_as_it_was_left(tmp_path):
    """Of its own dataset, the last one."""
    assert stamps.read_stamp(tmp_path, "d") is None
    stamps.write_stamp(tmp_path, "d", {"state": "a"})
    stamps.write_stamp(tmp_path, "d", {"state": "b", "clips": 3})
    stamps.write_stamp(tmp_path, "other", {"state": "c"})
    assert stamps.read_stamp(tmp_path, "d") == {"state": "b", "clips": 3}
    assert sorted(p.name for p in (tmp_path / "stamps").iterdir()) == ["d.json", "other.json"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"clips": 1}', "null", "\x00\xff"])
def test_a_stamp_that_cannot_be_read_says_nothing(tmp_path, text):
    """It is as if there were none."""
    stamps.write_stamp(tmp_path, "d", {"state": "a"})
    (tmp_path / "stamps" / "d.json").write_text(text)
    assert stamps.read_stamp(tmp_path, "d") is None


def test_the_epoch_moves(tmp_path):
    """From 0, by one each time."""
    assert stamps.epoch(tmp_path) == 0
    for n in (1, 2, 3):
        stamps.bump(tmp_path)
        assert stamps.epoch(tmp_path) == n


def test_a_store_that_cannot_be_written_is_said(tmp_path):
    """By its path, with what to do."""
    (tmp_path / "stamps").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"d\.json: it cannot be written .*fix the rights"):
        stamps.write_stamp(tmp_path, "d", {"state": "a"})
