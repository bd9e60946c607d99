"""Footage and datasets for the tests of the build."""

from pathlib import Path

import numpy as np
import pytest
from films import filmed
from footage import scene, video

SIZE = (64, 48)


def flat(levels):
    """A picture of one colour in each second."""

    def picture(time: float) -> np.ndarray:
        level = levels[min(int(time), len(levels) - 1)]
        colour = np.array([level, (level * 3) % 256, (level * 7) % 256], np.uint8)
        return np.broadcast_to(colour, (SIZE[1], SIZE[0], 3)).copy()

    return picture


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> list[Path]:
    """Twelve videos of 1 to 3 s, a colour a second, some colours in several of them."""
    folder = tmp_path_factory.mktemp("pool")
    shades = [20, 60, 100, 140, 180, 220]
    made = []
    for n in range(12):
        levels = [shades[(n * 5 + k * (1 + n % 3)) % 6] + (n // 6) * 7 for k in range(1 + n % 3)]
        made.append(
            video(folder / f"{n}.mp4", seconds=float(len(levels)), fps=4, size=SIZE, gop=4, picture=flat(levels))
        )
    return made


@pytest.fixture(scope="session")
def shots(tmp_path_factory) -> list[Path]:
    """Four videos of 2 s with pictures that move, the last one a still, and the first once more in another quality."""
    folder = tmp_path_factory.mktemp("shots")
    made = [video(folder / f"{n}.mp4", fps=8, gop=8, seed=n, sound="aac" if n else None) for n in range(3)]
    stand = scene(9, (128, 96))(0.0)
    made.append(video(folder / "still.mp4", fps=8, gop=8, picture=lambda _: stand))
    return [*made, video(folder / "twin.mkv", fps=8, gop=4, seed=0, crf=26, size=(128, 96))]


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> list[Path]:
    """Three videos of seven seconds; two seconds of the first are dark."""
    return filmed(tmp_path_factory.mktemp("films"))
