"""A small dataset with clips that are encoded, in a store of its own."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import lance
import pytest
from footage import video

from vbuild.config import Config, Source
from vbuild.engine import build, plan
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride
from vbuild.stages.perceptual import Perceptual
from vbuild.stages.quality import Quality
from vbuild.stages.transcode import Transcode


@pytest.fixture(scope="session")
def footage_folder(tmp_path_factory) -> Path:
    """Three videos of 2 s."""
    folder = tmp_path_factory.mktemp("footage")
    for n in range(3):
        os.utime(video(folder / f"{n}.mp4", fps=8, gop=8, seed=n), (1_000_000_000 + n,) * 2)
    return folder


class Shop:
    """One dataset `d` over copies of the footage: two clips a video, measured, embedded and encoded."""

    def __init__(self, root: Path, footage: Path) -> None:
        self.videos, self.store = root / "videos", root / "store"
        self.videos.mkdir(parents=True)
        self.footage = footage
        for n in range(2):
            self.put(n)
        self.config = Config(
            name="d",
            declared="d",
            source=Source(path=(str(self.videos),)),
            split=FixedStride(length=1.0, min=0.5),
            stages={"quality": Quality(), "embed": Perceptual(), "transcode": Transcode(crf=40)},
            executor=Local(workers=0),
            store=self.store,
            output=self.store / "datasets",
        )

    def put(self, n: int) -> None:
        """Adds one of the videos."""
        os.link(self.footage / f"{n}.mp4", self.videos / f"{n}.mp4")

    def change(self, **fields) -> None:
        """Declares the dataset otherwise."""
        self.config = dataclasses.replace(self.config, **fields)

    def stage(self, name: str, **fields) -> None:
        """Changes a stage's parameters."""
        made = dataclasses.replace(self.config.stages[name], **fields)
        self.change(stages={**self.config.stages, name: made})

    def build(self):
        return build(self.config)

    def plan(self):
        return plan(self.config)

    def ran(self) -> dict[str, int]:
        """What a build has to run now, by stage."""
        return {stage.name: stage.ran for stage in self.build().stages if stage.ran}

    def blobs(self) -> list[Path]:
        return sorted(p for p in (self.store / "blobs").glob("??/*") if p.is_file())

    def recipes(self, stage: str) -> list[Path]:
        return sorted((self.store / "actions" / stage).glob("*.lance"))

    def clips(self, version: int | None = None, output: Path | None = None) -> list[dict]:
        path = (output or self.config.output) / self.config.name / "clips.lance"
        rows = lance.dataset(str(path), version=version).to_table().to_pylist()
        return sorted(rows, key=lambda row: row["clip_id"])


@pytest.fixture
def shop(tmp_path, footage_folder) -> Shop:
    """A dataset that is not built yet."""
    return Shop(tmp_path, footage_folder)
