"""Clips for training: frames decoded in the workers of a DataLoader, in an order that a seed tells."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from vbuild.dataset.clip import DatasetClip
from vbuild.dataset.joined import columns as columns_of
from vbuild.errors import DatasetError
from vbuild.media.spans import sampled
from vbuild.stage import Frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vbuild.dataset.read import Dataset as BuiltDataset

Sample = dict[str, Any]

Place = int | tuple[int, int]
"""A clip by its row, or an epoch and a row."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is decoded of each clip."""

    frames: int
    size: tuple[int, int]
    fps: float | None
    fit: Literal["squash", "crop", "pad"]
    columns: tuple[str, ...]
    where: str | None
    shuffle: bool
    seed: int

    def __post_init__(self) -> None:
        """Refuses frames that cannot be made."""
        if self.frames < 1 or min(self.size) < 1:
            raise DatasetError(f"frames={self.frames}, size={self.size}: both must be 1 or more")
        if self.fps is not None and not self.fps > 0:
            raise DatasetError(f"fps={self.fps}: must be more than 0")


@dataclass(frozen=True)
class Order:
    """In which order the clips of an epoch come: of a seed, the same whatever the workers and the processes."""

    count: int
    shuffle: bool
    seed: int
    rank: int = 0
    world: int = 1
    batch: int = 1
    drop_last: bool = False

    def rows(self, epoch: int) -> np.ndarray:
        """The rows of all clips, int64 (count,), of all processes together."""
        if not self.shuffle:
            return np.arange(self.count)
        return np.random.default_rng([self.seed, epoch]).permutation(self.count)

    @property
    def steps(self) -> int:
        """Batches an epoch, of each process as many."""
        step = self.batch * self.world
        return self.count // step if self.drop_last else -(-self.count // step)

    def batches(self, epoch: int, first: int = 0) -> Iterator[list[tuple[int, int]]]:
        """The batches of this process from a step on, as epoch and row.

        A step takes `batch` clips a process from the order of all, dealt out in turn; so the clips of a step are the
        same however many processes share it. The last step is shorter; where it cannot be dealt out evenly, clips from
        the start of the epoch come again, so that no process waits for another.
        """
        rows, step = self.rows(epoch), self.batch * self.world
        for number in range(first, self.steps):
            part = rows[number * step : (number + 1) * step]
            lacking = -len(part) % self.world
            part = np.concatenate([part, np.resize(rows, lacking)])
            yield [(epoch, row) for row in part[self.rank :: self.world].tolist()]


class ClipDataset(Dataset[Sample]):  # type: ignore[misc]
    """A map-style dataset: the i-th kept clip with its frames.

    A sample holds `frames`, uint8 (n, 3, h, w); `times`, float32 (n,), their seconds from the clip's start; `clip_id`;
    and the columns asked for, vectors as tensors, a null as None. Without `fps` frames come from the middles of n equal
    parts of the clip; with `fps` they come at that rate from one moment on, by chance of the seed and the epoch where
    it is shuffled, else so that they lie in the middle; of a clip that is shorter the last frame is repeated. It may
    be sent to workers that are spawned; each opens the tables anew.
    """

    def __init__(self, dataset: BuiltDataset, wanted: Wanted) -> None:
        self.dataset, self.wanted = dataset, wanted
        self.rows = dataset.rows(wanted.where)
        """Row ids of the clips, in the order of `scan`."""
        media = [f"{name}{part}" for name in dataset.media for part in ("_uri", "_start")]
        media = [name for name in media if name in dataset.schema.names]
        self._columns = columns_of(dataset, list(dict.fromkeys([*NEEDED, *media, *wanted.columns])))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Place) -> Sample:
        (sample,) = self.__getitems__([place])
        return sample

    def __getitems__(self, places: Sequence[Place]) -> list[Sample]:
        """Several samples, for which the tables are asked once. Raises DatasetError, MediaError."""
        pairs = [place if isinstance(place, tuple) else (0, place) for place in places]
        taken = self.dataset.taken(self.rows.take(pa.array([row for _, row in pairs], pa.int64())), self._columns)
        return [self._sample(row, epoch) for row, (epoch, _) in zip(taken.to_pylist(), pairs, strict=True)]

    def _sample(self, row: dict[str, Any], epoch: int) -> Sample:
        found = self._frames(DatasetClip(self.dataset, row), epoch)
        pixels = torch.from_numpy(np.ascontiguousarray(found.pixels.transpose(0, 3, 1, 2)))
        times = torch.from_numpy(np.asarray(found.times, np.float32))
        values = {name: _tensor(row[name]) for name in self.wanted.columns}
        return {"clip_id": row["clip_id"], "frames": pixels, "times": times, **values}

    def _frames(self, clip: DatasetClip, epoch: int) -> Any:
        wanted = self.wanted
        asked = Frames(count=wanted.frames, size=wanted.size, fit=wanted.fit, kernel="bicubic")
        span = clip.span()
        if wanted.fps is None:
            return sampled(span, asked)
        seconds = clip.row["duration_s"]
        needed = wanted.frames / wanted.fps
        spare = max(seconds - needed, 0.0)
        start = spare / 2
        if wanted.shuffle:
            start = spare * np.random.default_rng([wanted.seed, epoch, int(clip.id[:8], 16)]).random()
        ticks = (span.end_pts - span.start_pts) / seconds
        first = span.start_pts + round(start * ticks)
        last = min(span.end_pts, first + round(needed * ticks))
        found = sampled(replace(span, start_pts=first, end_pts=last), replace(asked, count=None, fps=wanted.fps))
        chosen = np.minimum(np.arange(wanted.frames), len(found.pixels) - 1)
        return replace(found, pixels=found.pixels[chosen], times=np.asarray(found.times)[chosen] + start)

    def loader(
        self,
        batch_size: int,
        *,
        workers: int = 0,
        drop_last: bool = False,
        rank: int | None = None,
        world: int | None = None,
        **more: Any,
    ) -> ClipLoader:
        """Batches of it, epoch after epoch, in workers that are spawned; it can be stopped and gone on with.

        `rank` and `world`: of this process among those that train together; by default as torch.distributed says, or
        RANK and WORLD_SIZE. `more` goes to `torch.utils.data.DataLoader`. Raises DatasetError for a number below 1.
        """
        if batch_size < 1 or workers < 0:
            raise DatasetError(f"batch_size={batch_size}, workers={workers}: a batch of 1 or more is expected")
        own, all_of_them = _processes()
        order = Order(
            len(self),
            self.wanted.shuffle,
            self.wanted.seed,
            own if rank is None else rank,
            all_of_them if world is None else world,
            batch_size,
            drop_last,
        )
        return ClipLoader(self, order, workers, more)


NEEDED = ("clip_id", "video_id", "uri", "start_s", "start_pts", "end_pts", "duration_s", "kept")
"""What the footage of a clip is found by."""


def _processes() -> tuple[int, int]:
    """The rank of this process, and how many train together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _tensor(value: Any) -> Any:
    """A list of numbers as a tensor, all else as it is."""
    if isinstance(value, list) and value and all(isinstance(x, int | float) for x in value):
        return torch.tensor(value)
    return value


def collated(samples: Sequence[Sample]) -> Sample:
    """A batch: what are tensors of one shape, and numbers, stacked; all else as lists. A null among floats is NaN."""
    return {name: _stacked([sample[name] for sample in samples]) for name in samples[0]}


def _stacked(values: list[Any]) -> Any:
    if all(isinstance(v, torch.Tensor) for v in values) and len({v.shape for v in values}) == 1:
        return torch.stack(values)
    if all(isinstance(v, float) or v is None for v in values) and any(v is not None for v in values):
        return torch.tensor([float("nan") if v is None else v for v in values])
    if all(isinstance(v, bool | int) for v in values):
        return torch.tensor(values)
    return values


@dataclass
class ClipLoader:
    """Batches of clips, an epoch each time it is iterated; its state tells where it stands, within an epoch too."""

    clips: ClipDataset
    order: Order
    workers: int = 0
    more: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    position: int = 0
    """Batches of the epoch that were given."""

    def __len__(self) -> int:
        """Batches an epoch."""
        return self.order.steps

    def __iter__(self) -> Iterator[Sample]:
        """What is left of the epoch; behind its end the next one begins."""
        several: dict[str, Any] = {"multiprocessing_context": "spawn"} if self.workers else {}
        batches = list(self.order.batches(self.epoch, self.position))
        loader: DataLoader[Sample] = DataLoader(
            self.clips,
            batch_sampler=batches,
            num_workers=self.workers,
            **{"collate_fn": collated, **several, **self.more},
        )
        for batch in loader:
            self.position += 1
            yield batch
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Where it stands: to be saved beside the weights, the same in all processes."""
        step = self.order.batch * self.order.world
        return {
            "build": self.clips.dataset.build["id"],
            "clips": self.order.count,
            "seed": self.order.seed,
            "shuffle": self.order.shuffle,
            "epoch": self.epoch,
            "seen": self.position * step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where another stood: of the same clips and seed, with any number of workers, and of processes as long
        as a step holds as many clips or a whole number of steps was done. Raises DatasetError if it cannot."""
        now = self.state_dict()
        if other := [name for name in ("build", "clips", "seed", "shuffle") if state[name] != now[name]]:
            both = f"{state[other[0]]}, and this is of {now[other[0]]}"
            raise DatasetError(f"the state is of {other[0]} {both}; open that build with vbuild.open(…, build=…)")
        steps, rest = divmod(state["seen"], self.order.batch * self.order.world)
        if rest:
            raise DatasetError(f"{state['seen']} clips of the epoch were given, which is no whole number of steps here")
        self.epoch, self.position = state["epoch"], steps


class ClipStream(IterableDataset[Sample]):  # type: ignore[misc]
    """The same clips one after the other, for who wants an iterable: an epoch each time it is iterated.

    In a DataLoader with `batch_size=None` they come in the order of the seed, whatever the number of workers, and each
    worker decodes its share. `batch`: it gives batches of so many, collated. It is sharded among processes that train
    together as `ClipDataset.loader` is.
    """

    def __init__(self, clips: ClipDataset, batch: int | None = None) -> None:
        self.clips, self.batch = clips, batch
        rank, world = _processes()
        wanted = clips.wanted
        self.order = Order(len(clips), wanted.shuffle, wanted.seed, rank, world, batch or 1)
        self.epoch = self.position = 0

    def __len__(self) -> int:
        return self.order.steps

    def __iter__(self) -> Iterator[Sample]:
        """What is left of the epoch, or of it this worker's share."""
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        for place, batch in enumerate(self.order.batches(self.epoch, self.position)):
            if place % count == number:
                samples = self.clips.__getitems__(batch)
                if worker is None:
                    self.position += 1
                yield collated(samples) if self.batch else samples[0]
        if worker is None:
            self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Where it stands; in a DataLoader with workers only the DataLoader knows, so use `ClipDataset.loader`."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self.epoch, self.position = state["epoch"], state["position"]
