"""What passes hand over lies in files, so many bytes at once, and goes with the build."""

import queue
import shutil
import threading
import time
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pytest

from vbuild.executor import spool as spools
from vbuild.executor.folders import MEMORY, PARCELS, sweep
from vbuild.executor.spool import ALIGNED, LAST, Outbox, Spool, read_parcel
from vbuild.stage import Clip, Sampled


@pytest.fixture
def spool():
    """A spool of ten thousand bytes, and a queue of what is told."""
    made, told = Spool(10_000), queue.Queue()
    made.follow(told.put)
    made.queue = told
    yield made
    made.close()


def send(spool, value, *, part=0, parts=1, ticket=7):
    """Hands a value over, and returns what was told of it."""
    Outbox(spool.folder, spool.budget, ticket).send(("r", b"k" * 16), b"i" * 16, part, parts, (1,), value)
    return spool.queue.get(timeout=10)


def test_a_value_comes_back_as_it_was(spool):
    """Arrays of any shape and order, aligned, and free to be written to; texts; nothing."""
    pixels = np.arange(2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)
    clip = Clip(duration=2.0, frames=Sampled(pixels, np.array([0.0, 0.5])), columns={"tone": {"mean": 3.0}})
    parcel = send(spool, (clip, "2 packets lost"))
    assert (parcel.action, parcel.item, parcel.part, parcel.parts) == (("r", b"k" * 16), b"i" * 16, 0, 1)
    found, lost = read_parcel(spool.folder / parcel.name)
    assert lost == "2 packets lost"
    assert found.columns == {"tone": {"mean": 3.0}}
    assert (found.frames.pixels == pixels).all()
    assert found.frames.pixels.ctypes.data % ALIGNED == 0
    found.frames.pixels[:] = 0
    assert read_parcel(spool.folder / parcel.name)[0].frames.pixels.any()
    for value in (np.asfortranarray(np.eye(3)), np.empty((0, 4)), {"times": []}, None):
        back = read_parcel(spool.folder / send(spool, value).name)
        assert np.array_equal(back, value) if isinstance(value, np.ndarray) else back == value


def test_who_finds_no_room_waits_for_it(spool):
    """Until a parcel is dropped; meanwhile it is to be seen that somebody waits."""
    first = send(spool, np.zeros(8_000, np.uint8))
    assert not spool.pressed()
    waiting = threading.Thread(target=lambda: send(spool, np.zeros(8_000, np.uint8)))
    waiting.start()
    time.sleep(0.1)
    assert spool.pressed()
    assert waiting.is_alive()
    lying = [path.name for path in spool.folder.iterdir() if path.stat().st_size > 4_000]
    assert lying == [first.name]  # nothing is copied before there is room
    spool.drop(first)
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    assert not spool.pressed()
    assert 8_000 < spool.room.peak <= 10_000


def test_what_is_larger_than_all_room_goes_alone(spool):
    """Where nothing lies, anything may; beside anything else it may not, nor anything beside it."""
    parcel = send(spool, np.zeros(50_000, np.uint8))
    assert read_parcel(spool.folder / parcel.name).nbytes == 50_000
    assert not spool.room.put(100, spool.budget)
    spool.drop(parcel)
    assert spool.room.put(100, spool.budget)
    assert not spool.room.put(50_000, spool.budget)


def test_room_that_a_dead_worker_took_is_free_again(spool):
    """And a file that it left half-written is gone; what it had told stays."""
    parcel = send(spool, np.zeros(100, np.uint8))
    spool.room.put(5_000)
    (spool.folder / "1-9").write_bytes(b"half")
    spool.sync()
    spool.settle()
    with spool.room.counted() as (_, used, _):
        assert used == parcel.size
    assert read_parcel(spool.folder / parcel.name).nbytes == 100
    assert not (spool.folder / "1-9").exists()


def test_it_is_known_what_was_handed_over_whole(spool):
    """An action in parts is, with the last word on them."""
    send(spool, 1, part=0, parts=None)
    spool.sync()
    assert spool.whole == {}
    send(spool, {"times": []}, part=LAST, parts=1)
    spool.sync()
    assert spool.whole == {7: {("r", b"k" * 16)}}


def test_a_dead_build_s_spool_is_swept_and_a_living_one_s_is_not(spool):
    """By whoever makes the next."""
    dead = spool.folder.with_name(f"{PARCELS}dead")
    dead.mkdir()
    (dead / "alive").touch()
    (dead / "1-1").write_bytes(b"parcel")
    sweep()
    assert not dead.exists()
    assert spool.folder.is_dir()


def test_a_small_memory_backed_folder_is_left_alone(tmp_path, monkeypatch):
    """One of 64 MB, as containers have it, holds no budget of more than half of that; the disk does."""
    small, disk = tmp_path / "shm", tmp_path / "tmp"
    small.mkdir()
    disk.mkdir()
    free = {small: 64 << 20, disk: 1 << 40}
    usage = shutil.disk_usage(disk)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free[path]))
    monkeypatch.setattr(spools, "MEMORY", small)
    monkeypatch.setattr(spools, "gettempdir", lambda: str(disk))
    for budget, place in ((33 << 20, disk), (32 << 20, small), (1 << 50, disk)):
        made = Spool(budget)
        assert made.folder.parent == place
        made.close()


def test_without_room_in_memory_parcels_lie_on_the_disk():
    """As in a container whose /dev/shm is small."""
    large = Spool(1 << 50)
    try:
        assert large.folder.parent == Path(gettempdir())
        assert large.folder.parent != MEMORY
    finally:
        large.close()
    assert not large.folder.exists()
