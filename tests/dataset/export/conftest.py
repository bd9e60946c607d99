"""A small dataset that exports are made of."""

import numpy as np
import pytest
from footage import video
from made import Tone
from project import Project

import vbuild
from vbuild.decisions.dedup import Dedup
from vbuild.split.fixed_stride import FixedStride
from vbuild.stages.describe import Describe
from vbuild.stages.motion import Motion
from vbuild.stages.perceptual import Perceptual
from vbuild.stages.preview import Preview
from vbuild.stages.quality import Quality
from vbuild.stages.transcode import Transcode


def painted(seed, dark=()):
    """A moving pattern of its own; of seconds in `dark` a black picture."""

    def paint(time):
        if int(time) in dark:
            return np.zeros((48, 64, 3), np.uint8)
        y, x = np.mgrid[:48, :64]
        wave = np.sin(x / (3 + seed) + 5 * time) + np.cos(y / (4 + seed) - 3 * time)
        return np.stack([(wave + 2) * 60, (wave + 2) * 30 + 20 * seed, np.full_like(wave, 40 * seed)], -1).astype(
            np.uint8
        )

    return paint


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Two videos of two clips each of 2 s, of which the last is dark and dropped, with all that exports take."""
    folder = tmp_path_factory.mktemp("exports")
    stages = {
        "tone": Tone(),
        "motion": Motion(),
        "quality": Quality(),
        "embed": Perceptual(),
        "dedup": Dedup(of="embed", eps=0.001),
        "caption": Describe(),
        "preview": Preview(),
        "transcode": Transcode(preset="ultrafast"),
    }
    made = Project(folder, stages, where={"lit": "quality_black < 0.5"}, split=FixedStride(length=2.0, min=1.0))
    for name, seed, dark in (("a b.mp4", 1, ()), ("deep/c.mp4", 2, (2, 3))):
        shot = video(folder / "shot.mp4", seconds=4, fps=10, size=(64, 48), gop=10, picture=painted(seed, dark))
        made.put(name, shot)
    made.build()
    return made


@pytest.fixture
def dataset(shop):
    """It as its last build left it."""
    return vbuild.open("d", store=shop.store)
