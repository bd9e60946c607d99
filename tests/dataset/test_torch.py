"""Clips are decoded for training: in an order that a seed tells, whatever the workers, and from where it was left."""

import pickle

import numpy as np
import pytest
import torch
from footage import video
from made import Point, Tone
from project import Project
from torch.utils.data import DataLoader

import vbuild
from vbuild.dataset.torch import ClipStream, Order
from vbuild.errors import DatasetError
from vbuild.stages.transcode import Transcode


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Eleven clips of a second, each of a grey that grows with its time; the darkest is dropped."""
    folder = tmp_path_factory.mktemp("torch")
    stages = {"tone": Tone(), "point": Point(), "transcode": Transcode(crf=10)}
    made = Project(folder, stages, where={"lit": "tone_mean > 10"})

    def picture(time):
        return np.full((48, 64, 3), min(int(time) * 20 + int(time % 1 * 16), 255), np.uint8)

    made.put("a.mp4", video(folder / "a.mp4", seconds=11, fps=8, size=(64, 48), gop=8, picture=picture))
    made.build()
    return made


@pytest.fixture
def dataset(project):
    return vbuild.open("d", store=project.store)


def seen(loader):
    """The clips of an epoch, batch by batch."""
    return [batch["clip_id"] for batch in loader]


def flat(batches):
    """The clips of all batches."""
    return [clip for batch in batches for clip in batch]


def test_a_sample_holds_frames_and_columns(dataset):
    """Frames as tensors at their times, of the clip's own pictures; numbers, texts and vectors beside them."""
    clips = dataset.torch(frames=4, size=(32, 24), columns=["tone_mean", "point", "uri"])
    assert len(clips) == 10
    rows = dataset.to_arrow(["clip_id", "tone_mean", "point", "start_s"]).to_pylist()
    for n in (0, 3):
        sample = clips[n]
        assert sample["clip_id"] == rows[n]["clip_id"]
        assert sample["frames"].shape == (4, 3, 24, 32)
        assert sample["frames"].dtype == torch.uint8
        assert sample["times"].tolist() == [0.125, 0.375, 0.625, 0.875] or len(sample["times"]) == 4
        assert sample["frames"][0].float().mean() == pytest.approx(rows[n]["start_s"] * 20 + 2, abs=4)
        assert sample["tone_mean"] == rows[n]["tone_mean"]
        assert sample["point"].tolist() == pytest.approx(rows[n]["point"])
        assert sample["uri"].endswith("a.mp4")


def test_frames_of_a_rate_lie_that_far_apart(dataset):
    """In the middle of the clip; of one that is shorter the last frame is repeated."""
    times = dataset.torch(frames=3, size=16, fps=4)[0]["times"]
    assert torch.diff(times).tolist() == pytest.approx([0.25, 0.25], abs=0.13)
    longer = dataset.torch(frames=12, size=16, fps=8)[0]
    assert longer["frames"].shape[0] == 12
    assert torch.equal(longer["frames"][8], longer["frames"][11])


def test_the_rate_begins_by_chance_of_seed_and_epoch(dataset):
    """The same each time it is asked for, another in another epoch."""
    clips = dataset.torch(frames=2, size=16, fps=8, shuffle=True, seed=3)
    one, again, other = (clips[(epoch, 5)]["times"].tolist() for epoch in (0, 0, 1))
    assert one == again
    assert one != other


def test_conditions_and_columns_that_there_are_not(dataset):
    """Said in a line."""
    assert len(dataset.torch(where="start_s < 3.5")) == 3
    with pytest.raises(DatasetError, match="has no such column"):
        dataset.torch(columns=["tone_men"])
    with pytest.raises(DatasetError, match=r"frames=0, size=\(224, 224\): both must be 1 or more"):
        dataset.torch(frames=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_order_is_the_same_whatever_the_workers(dataset, workers):
    """Epoch after epoch, in processes that are spawned, and the pixels with it."""
    make = dataset.torch(frames=2, size=16, shuffle=True, seed=7)
    here, there = make.loader(3), make.loader(3, workers=workers, persistent_workers=False)
    for _ in range(2):
        for a, b in zip(here, there, strict=True):
            assert a["clip_id"] == b["clip_id"]
            assert torch.equal(a["frames"], b["frames"])


def test_epochs_and_seeds_differ_and_hold_all(dataset):
    """Each epoch holds every clip once."""
    loader = dataset.torch(frames=1, size=8, shuffle=True, seed=1).loader(4)
    first, second = flat(seen(loader)), flat(seen(loader))
    other = flat(seen(dataset.torch(frames=1, size=8, shuffle=True, seed=2).loader(4)))
    assert sorted(first) == sorted(second) == sorted(other)
    assert len(set(first)) == 10
    assert len({tuple(first), tuple(second), tuple(other)}) == 3


def test_it_goes_on_where_it_was_left(dataset):
    """Within an epoch, from a state that was written down, with other workers."""
    make = dataset.torch(frames=1, size=8, shuffle=True, seed=5)
    whole = make.loader(2)
    expected = [*seen(whole), *seen(whole)]
    loader = make.loader(2)
    begun = [batch["clip_id"] for _, batch in zip(range(3), loader, strict=False)]
    state = pickle.loads(pickle.dumps(loader.state_dict()))
    other = make.loader(2, workers=1)
    other.load_state_dict(state)
    assert begun + seen(other) + seen(other) == expected


def test_a_state_of_something_else_is_refused(dataset):
    """Another seed, another selection, or steps that do not fit."""
    make = dataset.torch(frames=1, size=8, shuffle=True, seed=5)
    state = make.loader(2).state_dict()
    with pytest.raises(DatasetError, match="the state is of seed 5, and this is of 6"):
        dataset.torch(frames=1, size=8, shuffle=True, seed=6).loader(2).load_state_dict(state)
    with pytest.raises(DatasetError, match="the state is of clips 10, and this is of 2"):
        dataset.torch(frames=1, size=8, shuffle=True, seed=5, where="start_s < 3").loader(2).load_state_dict(state)
    with pytest.raises(DatasetError, match="2 clips of the epoch were given, which is no whole number of steps"):
        make.loader(3).load_state_dict({**state, "seen": 2})


@pytest.mark.parametrize(("count", "world", "batch"), [(10, 2, 2), (11, 3, 2), (5, 4, 2), (1, 3, 1)])
def test_processes_share_the_clips(count, world, batch):
    """As many batches each; together every clip, and each step the clips that one process alone would see in it."""
    orders = [Order(count, shuffle=True, seed=1, rank=r, world=world, batch=batch) for r in range(world)]
    shares = [[[row for _, row in one] for one in order.batches(4)] for order in orders]
    assert len({len(share) for share in shares}) == 1
    assert all(len({len(share[step]) for share in shares}) == 1 for step in range(len(shares[0])))
    dealt = [row for share in shares for one in share for row in one]
    assert set(dealt) == set(range(count))
    assert len(dealt) - count < world
    alone = list(Order(count, shuffle=True, seed=1, batch=batch * world).batches(4))
    for step, one in enumerate(alone):
        assert {row for _, row in one} <= {row for share in shares for row in share[step]}


def test_a_last_step_that_is_short_may_be_dropped():
    """Then every batch is full."""
    order = Order(11, shuffle=False, seed=0, world=2, batch=2, drop_last=True)
    assert [len(one) for one in order.batches(0)] == [2, 2]
    assert order.steps == 2


def test_ranks_are_taken_from_the_environment(dataset, monkeypatch):
    """As launchers of training set them."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    order = dataset.torch().loader(2).order
    assert (order.rank, order.world) == (1, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iterable_gives_the_same_order(dataset, workers):
    """Whatever the workers of the DataLoader, batch by batch or one by one."""
    clips = dataset.torch(frames=1, size=8, shuffle=True, seed=9)
    expected = seen(clips.loader(4))
    several = {"multiprocessing_context": "spawn"} if workers else {}
    stream = DataLoader(ClipStream(clips, 4), batch_size=None, num_workers=workers, **several)
    assert seen(stream) == expected
    single = DataLoader(ClipStream(clips), batch_size=None, num_workers=workers, **several)
    assert seen(single) == flat(expected)


def test_an_iterable_goes_on_where_it_was_left(dataset):
    """By its own state, where there are no workers."""
    clips = dataset.torch(frames=1, size=8, shuffle=True, seed=9)
    stream = ClipStream(clips, 4)
    first = next(iter(stream))["clip_id"]
    other = ClipStream(clips, 4)
    other.load_state_dict(stream.state_dict())
    assert [first, *seen(other)] == seen(ClipStream(clips, 4))


def test_clips_without_files_are_decoded_from_the_source(project, tmp_path):
    """As they lie there."""
    bare = Project(tmp_path, {"tone": Tone()}, videos=project.videos, where=project.where)
    bare.build()
    here = vbuild.open("d", store=bare.store).torch(frames=2, size=16)[4]
    there = vbuild.open("d", store=project.store).torch(frames=2, size=16)[4]
    assert here["clip_id"] == there["clip_id"]
    assert (here["frames"].float() - there["frames"].float()).abs().mean() < 3
