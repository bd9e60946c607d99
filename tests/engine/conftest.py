"""Footage and datasets for the tests of the build."""

from pathlib import Path

import pytest
from films import coloured, filmed
from footage import scene, video


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> list[Path]:
    """Twelve videos of 1 to 3 s, a colour a second, some colours in several of them."""
    return coloured(tmp_path_factory.mktemp("pool"))


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
