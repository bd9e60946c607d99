"""What a process that holds a model does with a batch: it finds who is to blame by few runs."""

import math

import numpy as np
import pytest
from made import Gaze

from vbuild.executor import host
from vbuild.executor.spool import Parcel, packed, write_parcel
from vbuild.executor.stages import MODELS
from vbuild.executor.work import Batch
from vbuild.stage import Clip, Sampled
from vbuild.store.blobs import Blobs

COUNT = 16


@pytest.fixture
def run(tmp_path):
    """A way to run a batch of sixteen clips, some of them dark."""
    for memory in (MODELS, host.CAPS, host.LOST):
        memory.clear()

    def made(stage, dark=(), count=COUNT):
        parcels = []
        for n in range(count):
            pixels = np.full((2, 8, 8, 3), 20 if n in dark else 100 + n, np.uint8)
            head, buffers = packed((Clip(duration=1.0, frames=Sampled(pixels, np.array([0.0, 0.5]))), None))
            write_parcel(tmp_path / f"{n}", head, buffers)
            parcels.append(Parcel(0, "r", bytes([n]) * 16, b"i" * 16, 0, 1, (1,), len(head), f"{n}"))
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        blobs = Blobs(tmp_path / "store")
        done = host.run_batch(Batch(stage(str(log)), tuple(parcels)), tmp_path, blobs, "b", None)
        lines = log.read_text().split()[::2] if log.exists() else []
        return done, [int(line) for line in lines if line != "load"], lines.count("load")

    yield made
    for memory in (MODELS, host.CAPS, host.LOST):
        memory.clear()


def rows(done):
    return sum(table.num_rows for _, table in done.tables)


@pytest.mark.parametrize("dark", [{0}, {7}, {15}])
def test_the_guilty_is_found_by_halving(run, dark):
    """Of sixteen by nine runs, not by sixteen."""
    done, sizes, _ = run(lambda log: Gaze(how="bad", log=log), dark)
    assert (rows(done), [f.key[0] for f in done.failures]) == (COUNT - 1, [*dark])
    assert len(sizes) <= 2 * math.log2(COUNT) + 1
    assert done.cap is None


def test_too_little_memory_is_remembered(run):
    """Halved until it is enough, all that waits then too, and the next batch at once."""
    done, sizes, _ = run(lambda log: Gaze(how="narrow", log=log))
    assert (rows(done), done.failures, done.cap) == (COUNT, [], 2)
    assert sizes == [16, 8, 4] + [2] * 8
    done, sizes, _ = run(lambda log: Gaze(how="narrow", log=log))
    assert (rows(done), sizes) == (COUNT, [2] * 8)


@pytest.mark.parametrize(
    "said", ["CUDA out of memory. Tried", "DefaultCPUAllocator: can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED"]
)
def test_memory_is_known_by_what_libraries_say(said):
    """Whatever the class of the error."""
    from vbuild.executor.faults import Failure

    assert host._crowded(Failure("RuntimeError", said))
    assert not host._crowded(Failure("RuntimeError", "shapes do not match"))
    assert host._crowded(Failure("MemoryError", "", crowded=True))


def test_one_clip_that_memory_is_not_enough_for_fails(run):
    """There is nothing to halve."""

    class Never(Gaze):
        def run(self, clips, model):
            raise MemoryError("too large")

    done, _, _ = run(lambda log: Never(log=log), count=2)
    assert [f.error for f in done.failures] == ["MemoryError"] * 2


def test_a_load_that_fails_twice_is_not_tried_again(run):
    """Each batch after that fails of the place, with the same words."""
    loads = 0
    for _ in range(4):
        done, sizes, count = run(lambda log: Gaze(how="unloadable", log=log))
        loads += count
        assert not sizes
        assert {(f.kind, f.message) for f in done.failures} == {("place", "RuntimeError: no weights anywhere")}
    assert loads == 2


def test_a_model_is_loaded_once(run):
    """However many batches there are."""
    assert sum(run(lambda log: Gaze(log=log))[2] for _ in range(3)) == 1
