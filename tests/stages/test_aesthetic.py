"""The aesthetic score: that of the layers one by one, by the mean and the least of a clip's frames."""

import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vbuild.errors import UsageError
from vbuild.models import aesthetic, identity
from vbuild.recipes import recipe
from vbuild.stage import Clip
from vbuild.stages.aesthetic import Aesthetic

WIDTHS = (768, 1024, 128, 64, 16, 1)


@pytest.fixture(scope="module")
def layers():
    """The predictor as it was published: linear layers with dropout between."""
    torch.manual_seed(0)
    made = []
    for n, (wide, narrow) in enumerate(itertools.pairwise(WIDTHS)):
        made += [torch.nn.Linear(wide, narrow), *([torch.nn.Dropout(0.2)] if n < 3 else [])]
    return torch.nn.Sequential(*made).double().eval()


@pytest.fixture(scope="module")
def folder(layers, tmp_path_factory):
    """Its weights as the hub has them, and in the original's file."""
    made = tmp_path_factory.mktemp("aesthetic")
    held = {f"layers.{name}": tensor.float() for name, tensor in layers.state_dict().items()}
    (made / "hub").mkdir()
    save_file(held, made / "hub" / "model.safetensors")
    torch.save(held, made / "original.pth")
    return made


def frames(count, width=768):
    vectors = np.random.default_rng(count).normal(size=(count, width)).astype(np.float16)
    return Clip(duration=1.0, columns={"frames": {"vectors": vectors}})


@pytest.mark.parametrize("name", ["hub", "original.pth"])
def test_scores_are_those_of_the_layers(layers, folder, name):
    """Of unit vectors; without a frame there is none, and the batch does not matter."""
    stage = Aesthetic(model=str(folder / name))
    clips = [frames(3), frames(1), frames(0), *map(frames, range(4, 9))]
    model = stage.load()
    found = list(stage.run(clips, model))
    assert found == [row for n in range(8) for row in stage.run(clips[n : n + 1], model)]
    assert found == [row for n in range(0, 8, 3) for row in stage.run(clips[n : n + 3], model)]
    for clip, row in zip(clips, found, strict=True):
        vectors = torch.from_numpy(clip.columns["frames"]["vectors"]).double()
        scores = layers(torch.nn.functional.normalize(vectors, dim=-1)).detach().numpy()
        if not len(vectors):
            assert row == {"": None, "min": None}
            continue
        assert row[""] == pytest.approx(scores.mean(), abs=1e-5)
        assert row["min"] == pytest.approx(scores.min(), abs=1e-5)


def test_vectors_of_another_model_and_other_weights_are_refused(folder, tiny):
    """With what to do."""
    model = Aesthetic(model=str(folder / "hub")).load()
    with pytest.raises(UsageError, match=r"scores vectors of 768 numbers.* such of 24; read a clip_frames with model="):
        model.scores(np.zeros((1, 24)))
    with pytest.raises(UsageError, match=r"it is no aesthetic predictor, for it has no layers\.0\.weight"):
        aesthetic.Predictor(str(tiny("clip")), None)


def test_a_file_alone_is_known_by_what_it_holds(folder):
    """Its path is in no recipe."""
    stage = Aesthetic(model=str(folder / "original.pth"))
    assert recipe(stage).models == {"model": identity.of(stage.model)}
    assert recipe(stage).params == {}
