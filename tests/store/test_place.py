"""What any place of a store must do, whatever is behind it; and what a folder does besides."""

import errno
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vbuild.errors import StoreError
from vbuild.store import stamps
from vbuild.store.place import Folder, change

ROOT = Path(__file__).resolve().parents[2]

PLACES = {"folder": lambda root: Folder(root / "store")}
"""Each kind of place: what makes an empty one, which other processes can make again of its pickle."""

BROKEN = {"folder": lambda place: place.root.write_text("a file where a folder should be")}
"""What makes an empty place of a kind such that nothing can be written to it."""


@pytest.fixture(params=sorted(PLACES))
def kind(request):
    return request.param


@pytest.fixture
def place(kind, tmp_path):
    """An empty place."""
    return PLACES[kind](tmp_path)


def processes(place, code, count):
    """What as many processes say that start at once, each with the place, its number and whatever `code` does."""
    head = "import pickle, sys\nplace, n = pickle.load(sys.stdin.buffer), int(sys.argv[1])\nsys.stdin.read(1)\n"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", head + code, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for n in range(count)
    ]  # fmt: skip
    for racer in racers:
        racer.stdin.write(pickle.dumps(place))
    for racer in racers:
        racer.stdin.write(b"g")
        racer.stdin.flush()
    said = [racer.communicate(timeout=120) for racer in racers]
    assert all(racer.returncode == 0 for racer in racers), said
    return [out.decode().split() for out, _ in said]


# one after another


def test_what_is_put_is_there(place):
    """Under its name, whatever was there before; a name that nobody put holds nothing."""
    assert place.get("a/b") is None
    place.put("a/b", b"one")
    place.put("a/b", b"")
    place.put("c.json", bytes(range(256)))
    assert place.get("a/b").data == b""
    assert place.get("c.json").data == bytes(range(256))
    assert place.get("a") is None


def test_a_file_is_put_as_its_bytes_are(place, tmp_path):
    """Its owner does not use it any more."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    place.put("a/b", path)
    assert place.get("a/b").data == b"x" * 100_000


def test_what_is_put_once_is_taken_for_the_same_and_is_young(place, tmp_path):
    """If it is as large; what a power cut has cut short is made good."""
    place.put("blobs/ab/c.bin", b"whole")
    before = place.look("blobs/ab/c.bin")
    time.sleep(1.1)
    again = tmp_path / "file"
    again.write_bytes(b"whole")
    place.put("blobs/ab/c.bin", again, once=True)
    assert place.look("blobs/ab/c.bin").seconds > before.seconds
    place.put("blobs/ab/c.bin", b"wh")
    place.put("blobs/ab/c.bin", b"whole", once=True)
    assert place.get("blobs/ab/c.bin").data == b"whole"
    place.put("blobs/ab/d.bin", b"new", once=True)
    assert place.get("blobs/ab/d.bin").data == b"new"


def test_something_is_created_only_where_nothing_is(place):
    """What is there stays as it is; what was deleted may be created again."""
    assert place.create("a/b", b"one") is not None
    assert place.create("a/b", b"two") is None
    place.put("c", b"put")
    assert place.create("c", b"two") is None
    assert (place.get("a/b").data, place.get("c").data) == (b"one", b"put")
    place.delete("c")
    assert place.create("c", b"two") is not None


def test_something_is_swapped_only_as_it_was_seen(place):
    """By the tag that it was read, created or swapped with; not after another has written, or taken it away."""
    created = place.create("a", b"1")
    assert place.get("a").tag == created
    swapped = place.swap("a", b"2", created)
    assert swapped == place.get("a").tag != created
    assert place.swap("a", b"3", created) is None
    assert place.get("a").data == b"2"
    place.put("a", b"4")
    assert place.swap("a", b"5", swapped) is None
    assert place.swap("a", b"5", place.get("a").tag) is not None
    seen = place.get("a")
    place.delete("a")
    assert place.swap("a", b"6", seen.tag) is None
    assert place.get("a") is None


def test_names_are_those_right_under_a_folder(place):
    """Of things and of folders; with how they look, those of things alone."""
    for name in ("a/x", "a/y.json", "a/sub/z", "ab", "a.b"):
        place.put(name, name.encode())
    assert sorted(place.names("a")) == ["sub", "x", "y.json"]
    assert {name: look.size for name, look in place.looks("a")} == {"x": 3, "y.json": 8}
    assert place.names("a/sub") == ["z"]
    for nothing in ("b", "a/x", "a/x/y", "a/s"):
        assert place.names(nothing) == []
        assert list(place.looks(nothing)) == []


def test_a_look_tells_size_and_age(place):
    """Of a thing; of what is none, nothing."""
    place.put("a/x", b"123")
    assert place.look("a/x").size == 3
    assert abs(place.look("a/x").seconds - time.time()) < 60
    assert [place.look(name) for name in ("a", "a/y", "a/x/y")] == [None] * 3


def test_what_is_deleted_is_gone_however_often(place):
    """Several at once too; what is not there is no error, nor is a place that was never written to."""
    place.delete("a/x")
    for name in ("a/x", "a/y", "a/z"):
        place.put(name, b"1")
    place.delete("a/x", "a/nothing", "a/y", "a/z/more")
    place.delete("a/x")
    place.delete()
    assert place.names("a") == ["z"]


@pytest.mark.parametrize(
    "name",
    ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a/..", "a/./b", ".lock", "a/.b", "a\0b"],
)
def test_a_name_that_may_lead_out_is_refused(place, name):
    """By everything, in one line that says it, and nothing is touched."""
    place.put("a", b"1")
    for call in (
        place.get, place.delete, place.names, place.look, lambda n: list(place.looks(n)), lambda n: place.put(n, b"2"),
        lambda n: place.put(n, b"2", once=True), lambda n: place.create(n, b"2"), lambda n: place.swap(n, b"2", "tag"),
    ):  # fmt: skip
        with pytest.raises(StoreError) as error:
            call(name)
        assert repr(name) in str(error.value)
        assert "\n" not in str(error.value)
    assert place.get("a").data == b"1"


def test_a_place_that_cannot_be_written_is_said_in_one_line(kind, place, tmp_path):
    """With the name, why, and what to do."""
    BROKEN[kind](place)
    file = tmp_path / "file"
    file.write_bytes(b"1")
    for call in (
        lambda: place.put("a/x", b"1"), lambda: place.put("a/x", file, once=True), lambda: place.create("a/x", b"1"),
        lambda: place.swap("a/x", b"1", "tag"),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=r"a/x: it cannot be written \(.+\); fix") as error:
            call()
        assert "\n" not in str(error.value)
    place.delete("a/x")
    assert (place.get("a/x"), place.names("a"), list(place.looks("a")), place.look("a/x")) == (None, [], [], None)


# at once

CREATE = "print(*(i for i in range(40) if place.create(f'a/{i}', b'%d' % n)))"

COUNT = """
from vbuild.store.place import change
for _ in range(25):
    change(place, "a/count", lambda was: b"%d" % (int(was or 0) + 1))
"""

PUT = """
import time
end = time.monotonic() + 1.5
while time.monotonic() < end:
    if n < 2:
        place.put("a/thing", bytes([65 + n]) * 300_000)
    else:
        held = place.get("a/thing")
        assert held is None or (len(held.data) == 300_000 and len(set(held.data)) == 1), len(held.data)
        assert set(place.names("a")) <= {"thing"}, place.names("a")
        assert {name for name, _ in place.looks("a")} <= {"thing"}
"""

TAKEN = """
mine = b"%d" % n
for i in range(30):
    if place.create("a/lease", mine) is not None:
        assert place.get("a/lease").data == mine
        assert place.create("a/lease", b"again") is None
        assert place.create(f"a/held{i}-{n}", mine) is not None
        place.delete("a/lease")
"""


def test_of_those_who_create_at_once_one_wins(place):
    """Of six processes, forty times; and what is there is the winner's."""
    won = processes(place, CREATE, 6)
    assert sorted(int(i) for one in won for i in one) == list(range(40))
    assert all(int(place.get(f"a/{i}").data) == n for n, one in enumerate(won) for i in one)


def test_of_changes_at_once_none_is_lost(place):
    """Six processes that count, 25 times each, from nothing on."""
    processes(place, COUNT, 6)
    assert place.get("a/count").data == b"150"


def test_nobody_sees_half_of_a_thing(place):
    """Two processes write it over and over, two read; nor is what is half written listed."""
    processes(place, PUT, 4)
    assert place.names("a") == ["thing"]


def test_what_one_holds_nobody_creates(place):
    """Four processes that create, look and delete the same thing."""
    processes(place, TAKEN, 4)
    assert place.get("a/lease") is None
    assert any(name.startswith("held") for name in place.names("a"))


def test_two_who_move_the_epoch_both_count(place, kind, tmp_path):
    """A gc and a restore at once: no stamp of between them may count as fresh."""
    if kind != "folder":
        pytest.skip("stamps are in a folder")
    code = "from vbuild.store.stamps import bump\nfor _ in range(20):\n    bump(place.root)"
    processes(place, code, 4)
    assert stamps.epoch(place.root) == 80


# folders


def files(place):
    return sorted(str(p.relative_to(place.root)) for p in place.root.rglob("*") if p.is_file())


def test_a_folder_keeps_things_as_files_under_their_names(tmp_path):
    """And nothing else but the file by which writers wait."""
    place = Folder(tmp_path)
    place.put("a/b.json", b"1")
    place.create("c", b"2")
    place.swap("c", b"3", place.get("c").tag)
    place.create("c", b"4")
    place.swap("c", b"4", "tag")
    assert files(place) == [".lock", "a/b.json", "c"]
    assert (tmp_path / "c").stat().st_nlink == 1


def test_a_full_disk_asks_for_room(tmp_path, monkeypatch):
    """And leaves neither half of a thing nor a private file; what was there stays."""
    place = Folder(tmp_path)
    place.put("a/x", b"1")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for write in (place.put, place.create, lambda name, data: place.swap(name, data, place.get("a/x").tag)):
        with pytest.raises(StoreError, match=r"/a/[xy]: it cannot be written \(No space left on device\); free space"):
            write("a/y" if write == place.create else "a/x", b"2")
    assert files(place) == [".lock", "a/x"]
    assert place.get("a/x").data == b"1"


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """First the file, then its name, then the folder that holds it."""
    order = []
    sync, move = os.fsync, Path.replace
    opened = Path("/proc/self/fd")
    monkeypatch.setattr(os, "fsync", lambda h: order.append((opened / str(h)).readlink().name) or sync(h))
    monkeypatch.setattr(Path, "replace", lambda path, to: order.append("named") or move(path, to))
    place = Folder(tmp_path)
    (tmp_path / "scratch").write_bytes(b"2")
    place.put("a/x", b"1")
    place.put("a/x", tmp_path / "scratch")
    assert [name.partition(".x.")[1] or name for name in order] == [".x.", "named", "a", "scratch", "named", "a"]


def test_one_creates_also_where_no_file_has_two_names(tmp_path, monkeypatch):
    """Some disks cannot link."""

    def unable(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", unable)
    place = Folder(tmp_path)
    assert place.create("a/x", b"1") is not None
    assert place.create("a/x", b"2") is None
    assert files(place) == [".lock", "a/x"]


def test_a_change_that_is_none_writes_nothing(tmp_path):
    """Not even the folder."""
    change(Folder(tmp_path / "store"), "a", lambda was: was)
    assert not (tmp_path / "store").exists()
