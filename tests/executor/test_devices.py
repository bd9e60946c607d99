"""Models run on their devices, by processes with as many cores as fall to each, and GPUs are asked for memory once."""

import os
import time

import made
import numpy as np
import pytest
from footage import video
from project import Project

from vbuild.config import Limits
from vbuild.errors import PlaceError
from vbuild.executor import hosts
from vbuild.executor.config import Local
from vbuild.executor.memory import WORKING, fits, parcels
from vbuild.executor.pool import YIELDS, pool
from vbuild.executor.protocol import Needs
from vbuild.executor.spool import Parcel, packed, write_parcel
from vbuild.executor.work import Batch, Opening
from vbuild.stage import Clip, Sampled
from vbuild.store.blobs import Blobs


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A machine with two GPUs whose driver's program notes how often it is asked."""
    program, log = tmp_path / "bin" / "nvidia-smi", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\necho 81559\necho 24576\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    return lambda: log.read_text().splitlines() if log.exists() else []


def test_every_gpu_has_a_process(monkeypatch, tmp_path):
    """Those that may be seen; or those that are chosen; without any, the cores are parted."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,5")
    assert hosts.devices(Local()) == [{"CUDA_VISIBLE_DEVICES": "1"}, {"CUDA_VISIBLE_DEVICES": "5"}]
    assert hosts.devices(Local(devices=(2,))) == [{"CUDA_VISIBLE_DEVICES": "2"}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert hosts.devices(Local(hosts=3)) == [{}, {}, {}]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(hosts, "NVIDIA", tmp_path)
    assert hosts.devices(Local(hosts=3)) == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]


def test_a_driver_is_asked_once(tmp_path, smi):
    """By an executor, of models that have a size; the smallest GPU counts."""
    one = Local(workers=1).start(Blobs(tmp_path), "b", Limits())
    assert one.fits([made.Gaze()])
    assert not smi()
    assert one.fits([made.Gaze(gib=18)])
    assert not one.fits([made.Gaze(gib=20)])
    assert not one.fits([made.Gaze(gib=50)])
    assert len(smi()) == 1
    assert "--id=0,3" in smi()[0]
    one.close()


def test_a_driver_that_says_nothing_is_named(tmp_path, monkeypatch):
    """With the key that says it in its place."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlaceError, match=r"nvidia-smi .* set executor\.device_memory"):
        hosts.gpu_memory(["0"])


def test_what_is_said_counts_and_without_a_gpu_half_of_the_memory_parted(monkeypatch):
    """In GiB, of each device."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert hosts.device_memory(Local(device_memory=1.5), 0) == 3 << 29
    assert hosts.device_memory(Local(hosts=2), 8 << 30) == 2 << 30


def test_models_take_more_than_their_weights():
    """Together; what has no weights fits anywhere, and nobody is asked how much there is."""
    pair = [made.Gaze(gib=1), made.Gaze(gib=2, side=9)]
    need = 3 * WORKING * (1 << 30)
    assert fits(pair, lambda: int(need) + 1)
    assert not fits(pair, lambda: int(need) - 1)
    assert fits([made.Gaze(), made.Tone()], lambda: 1 // 0)


def test_parcels_take_an_eighth_of_the_memory_and_a_gib_at_most():
    """Unless somebody says otherwise, that is of three quarters of what there is."""
    assert parcels(4 << 30) == 1 << 29
    assert parcels(100 << 30) == 1 << 30


@pytest.fixture
def placed(tmp_path):
    """Per stage, where it ran, in a build with a limit of memory."""
    stages = {
        "tone": made.Tone(),
        "local": made.Placed(),
        "model": made.PlacedModel(),
        "reader": made.PlacedReader(of="tone"),
    }
    project = Project(tmp_path, stages)
    for n in range(3):
        video(project.videos / f"{n}.mp4", seconds=2, fps=4, size=(64, 48), seed=n)

    def ran(**local):
        project.local = Local(**local)
        assert not project.build(limits=Limits(memory=2.0)).failures
        return {
            name: [{key: row[f"{name}_{key}"] for key in made.Placed.writes} for row in project.rows().values()]
            for name in ("local", "model", "reader")
        }

    return ran


def test_each_kind_of_work_has_its_place(placed):
    """Models of footage and of columns share a process, which no limit of memory holds, and to which passes yield."""
    rows = placed(workers=2, hosts=1)
    passes, models = rows["local"], rows["model"] + rows["reader"]
    assert len({row["pid"] for row in models}) == 1
    assert {row["pid"] for row in models}.isdisjoint({row["pid"] for row in passes} | {os.getpid()})
    assert {row["memory"] for row in passes} == {2 << 30}
    assert 2 << 30 not in {row["memory"] for row in models}
    assert {row["nice"] for row in passes} == {min(os.getpriority(os.PRIO_PROCESS, 0) + YIELDS, 19)}
    assert {row["nice"] for row in models} == {os.getpriority(os.PRIO_PROCESS, 0)}
    assert {row["threads"] for row in passes} == {"1"}
    assert {row["threads"] for row in models} == {str(os.cpu_count())}


def test_cores_are_parted_among_processes_for_models(placed):
    """Where there is no GPU."""
    rows = placed(workers=1, hosts=2)
    assert {row["threads"] for row in rows["model"]} == {str(max(1, os.cpu_count() // 2))}


def test_each_process_sees_its_gpu_alone(placed):
    """By its number."""
    rows = placed(workers=1, devices=(4, 6))
    assert {row["gpus"] for row in rows["model"] + rows["reader"]} <= {"4", "6"}


def test_a_process_has_two_batches_in_hand(tmp_path):
    """One runs, and one lies ready; a third has no room until one is done."""
    one = Local(workers=1).start(Blobs(tmp_path), "b", Limits())
    assert one.room(Needs(hosted=True)) == 0
    stage = made.Gaze(how="slow")
    one.submit(0, Opening("r", stage))
    one.next()
    assert one.room(Needs(hosted=True)) == 2
    head, buffers = packed((Clip(duration=1.0, frames=Sampled(np.full((2, 8, 8, 3), 90, np.uint8), np.zeros(2))), None))
    for n in range(2):
        write_parcel(one.spool.folder / f"{n}", head, buffers)
        parcel = Parcel(0, "r", bytes([n]) * 16, b"i" * 16, 0, 1, (1,), len(head), f"{n}")
        one.submit(n + 1, Batch(stage, (parcel,)))
        assert one.room(Needs(hosted=True)) == 1 - n
    assert {one.next()[0], one.next()[0]} == {1, 2}
    assert one.room(Needs(hosted=True)) == 2
    one.close()


def test_a_worker_that_grows_is_kept(tmp_path):
    """By more than the 300 MB at which loky would replace it, and with it whatever it has loaded."""
    workers = pool(1, tmp_path, 1, None, {})
    pids = set()
    for _ in range(4):
        pids.add(workers.submit(made.grow).result())
        time.sleep(1.2)  # loky looks once a second
    workers.shutdown(wait=True)
    assert len(pids) == 1
