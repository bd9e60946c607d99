"""A vector by InternVideo2, its network equal to the published one."""

import re

import numpy as np
import pytest
import tiny
import torch
from footage import video
from project import Project, ran

from vbuild.errors import PlaceError, UsageError
from vbuild.models import internvideo2
from vbuild.recipes import recipe
from vbuild.stage import Clip, Sampled
from vbuild.stages.internvideo2 import InternVideo2, chosen_by_curator

# What the published definition says of the weights of tests/tiny.py, computed with its own code outside this project:
# pictures and texts through its vision encoder, its BERT in mode "text" and its tokenizer, projected, of length 1.
VIDEO = [
    [0.08733992, 0.09763668, 0.23385477, -0.5687944, -0.06194822, 0.01118374, 0.45025778, -0.63081616],
    [0.29479164, 0.35203892, 0.2535002, -0.42119443, 0.11830182, -0.02837478, 0.227025, -0.6936559],
]
IMAGE = [
    [0.01325953, 0.04123786, 0.37276363, -0.2459943, 0.4079739, 0.00258101, 0.0693309, -0.79208684],
    [0.34924665, 0.37071708, 0.25346246, -0.33699653, -0.0615769, -0.22124791, 0.37162197, -0.60986924],
]
TEXT = [
    [-0.52303684, -0.53776497, -0.23029749, 0.30457076, 0.32210326, 0.02949678, -0.4286364, -0.05560075],
    [-0.4672556, -0.6558581, -0.21119837, 0.20016232, 0.16915281, 0.03304148, -0.45110044, -0.18345767],
]
WORDS = ["a red Car, at night", "the dogs running " * 30]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny.bert(tmp_path_factory.mktemp("bert") / "bert")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of pictures of 224 pixels and vectors of 512 numbers."""
    return tiny.checkpoint(tmp_path_factory.mktemp("model") / "model.pt", side=4, patch=56, dim=512).parent


@pytest.fixture(scope="module")
def load(bert):
    """Loads a checkpoint."""
    from transformers import AutoTokenizer, BertConfig

    def text():
        return BertConfig.from_pretrained(bert), AutoTokenizer.from_pretrained(bert)

    def network(file, dtype="float32"):
        return internvideo2.Network(file, text, heads=16, dtype=dtype, device="cpu")

    return network


def pictures(count=2, side=28):
    return np.random.default_rng(11).integers(0, 256, (count, 4, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("key", ["model", "module", None])
def test_vectors_are_those_of_the_published_definition(tmp_path, load, key):
    """Of videos, of single pictures, which have places of their own, and of texts, short and too long."""
    network = load(tiny.checkpoint(tmp_path / "a.pt", key=key))
    assert network.clips(pictures()) == pytest.approx(np.array(VIDEO), abs=1e-5)
    assert network.clips(pictures()[:, :1]) == pytest.approx(np.array(IMAGE), abs=1e-5)
    assert network.texts(WORDS) == pytest.approx(np.array(TEXT), abs=1e-5)


def test_half_precision_says_nearly_the_same(tmp_path, load):
    """In bfloat16, in which it is published to run."""
    found = load(tiny.checkpoint(tmp_path / "a.pt"), "bfloat16").clips(pictures())
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert (found * VIDEO).sum(1).min() > 0.9995


def changed(tmp_path, change):
    """A checkpoint in which something is changed."""
    file = tiny.checkpoint(tmp_path / "a.pt")
    state = torch.load(file)
    change(state["model"])
    torch.save(state, file)
    return file


NAMES = sorted(
    name
    for name in tiny.internvideo2()
    if not internvideo2.LEFT.fullmatch(name) and not re.match(r"text_encoder\.bert\.encoder\.layer\.[34]", name)
)
"""All that the network computes with."""


@pytest.mark.parametrize("name", NAMES[:: len(NAMES) // 12])
def test_a_weight_that_is_missing_is_named(tmp_path, load, name):
    """Whichever it is: a network that lacks one would answer too."""
    with pytest.raises(PlaceError, match=re.escape(f"the checkpoint lacks {name}")):
        load(changed(tmp_path, lambda state: state.pop(name)))


@pytest.mark.parametrize(
    "name",
    ["vision_encoder.blocks.1.attn.qkv.bias", "text_encoder.bert.encoder.layer.2.other.weight", "audio_proj.weight"],
)
def test_a_weight_that_is_not_known_is_named(tmp_path, load, name):
    """What only training needs may be there, and nothing else."""
    with pytest.raises(PlaceError, match=re.escape(f"the checkpoint has {name}, which this network does not")):
        load(changed(tmp_path, lambda state: state.update({name: torch.zeros(3)})))


def test_a_weight_of_another_size_is_named(tmp_path, load):
    """With both sizes."""
    name = "vision_encoder.blocks.1.mlp.fc2.bias"
    with pytest.raises(PlaceError, match=re.escape(f"{name} is (3,) in the checkpoint, and (64,) is wanted")):
        load(changed(tmp_path, lambda state: state.update({name: torch.zeros(3)})))


class Harmful:
    def __reduce__(self):
        return print, ("run",)


def test_a_file_that_runs_code_is_refused(tmp_path, load, capfd):
    """Nothing of it is run."""
    torch.save({"model": Harmful()}, tmp_path / "a.pt")
    with pytest.raises(PlaceError, match="it is no checkpoint of weights"):
        load(tmp_path / "a.pt")
    assert "run" not in capfd.readouterr().out


@pytest.mark.parametrize("data", [b"", b"no weights"])
def test_a_file_that_is_no_checkpoint_is_told(tmp_path, load, data):
    """In one line."""
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(PlaceError, match="it is no checkpoint of weights") as told:
        load(tmp_path / "a.pt")
    assert "\n" not in str(told.value)


def stage(folder, bert, **params):
    return InternVideo2(model=str(folder), text=str(bert), dtype="float32", device="cpu", **params)


def test_the_size_of_a_batch_changes_nothing(folder, bert):
    """One, three or eight clips at once, beyond rounding."""
    one = stage(folder, bert)
    model = one.load()
    clips = [Clip(duration=1.0, frames=Sampled(some, np.arange(4.0))) for some in pictures(8, 224)]
    batches = {
        n: np.stack([row[""] for at in range(0, 8, n) for row in one.run(clips[at : at + n], model)]) for n in (1, 3, 8)
    }
    assert batches[1] == pytest.approx(batches[8], abs=1e-6)
    assert batches[3] == pytest.approx(batches[8], abs=1e-6)
    assert np.abs(np.diff(batches[8], axis=0)).max() > 1e-3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler imports what torch itself has deprecated
def test_compiled_it_says_the_same(folder, bert):
    """Beyond rounding, of batches of any size."""
    one, other = stage(folder, bert), stage(folder, bert, compile=True)
    clips = [Clip(duration=1.0, frames=Sampled(some, np.arange(4.0))) for some in pictures(3, 224)]
    plain = np.stack([row[""] for row in one.run(clips, one.load())])
    model = other.load()
    for count in (3, 1, 2):
        found = np.stack([row[""] for row in other.run(clips[:count], model)])
        assert found == pytest.approx(plain[:count], abs=1e-5)
    assert recipe(one).id == recipe(other).id


@pytest.mark.parametrize("sampling", ["middles", "curator"])
def test_every_clip_has_a_vector_however_short(tmp_path, folder, bert, sampling):
    """Also one of fewer pictures than four; and texts have vectors as long."""
    one = Project(tmp_path, {"iv": stage(folder, bert, sampling=sampling)})
    one.put("a.mp4", video(tmp_path / "long.mp4", seconds=2.0, fps=10, size=(64, 48)))
    one.put("b.mp4", video(tmp_path / "short.mp4", seconds=0.6, fps=5, size=(64, 48), seed=3))
    report = one.build()
    assert not report.failures
    assert ran(report)["iv"] == 3
    vectors = np.array([row["iv"] for row in one.rows().values()])
    assert vectors.shape == (3, 512)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    words = one.stages["iv"].embed_text(["a red car", "the dogs"], one.stages["iv"].load())
    assert words.shape == (2, 512)
    assert np.linalg.norm(words, axis=1) == pytest.approx(1, abs=1e-5)
    assert ran(one.build()) == {}


def test_a_clip_without_a_frame_has_none(folder, bert):
    """Among others that have."""
    one = stage(folder, bert)
    empty = Clip(duration=1.0, frames=Sampled(np.empty((0,), np.uint8), np.empty(0)))
    full = Clip(duration=1.0, frames=Sampled(pictures(1, 224)[0], np.arange(4.0)))
    rows = list(one.run([empty, full, empty], one.load()))
    assert [row[""] is None for row in rows] == [True, False, True]


@pytest.mark.parametrize("count", [4, 5, 7, 8, 11, 20, 21])
def test_curators_pictures(count):
    """Of four or more, each n-th from the first."""
    assert chosen_by_curator(count) == list(range(count))[:: count // 4][:4]


@pytest.mark.parametrize(("count", "chosen"), [(1, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (3, [0, 0, 1, 2])])
def test_of_fewer_some_are_taken_twice(count, chosen):
    """Where NeMo Curator has no vector."""
    assert chosen_by_curator(count) == chosen


def test_the_recipe_holds_the_weights_and_what_changes_a_vector(tmp_path, folder, bert):
    """Not where they lie, nor the device or the batch."""
    one = stage(folder, bert)
    elsewhere = tiny.checkpoint(tmp_path / "other.pt", side=4, patch=56, dim=512)
    assert recipe(one).id == recipe(stage(folder, bert, batch=3)).id
    assert set(recipe(one).params) == {"dtype"}
    assert set(recipe(one).models) == {"model", "text"}
    assert recipe(one).id != recipe(stage(folder, bert, sampling="curator")).id
    assert stage(elsewhere, bert).load().shape == one.load().shape


def test_the_published_repositories_are_held_to_a_commit():
    """Others, and paths, to what is there."""
    assert re.fullmatch("[0-9a-f]{40}", InternVideo2().revision)
    assert re.fullmatch("[0-9a-f]{40}", InternVideo2().text_revision)
    assert InternVideo2(model="somebody/else").revision is None
    assert InternVideo2(revision="main").revision == "main"


def test_a_folder_of_several_checkpoints_is_told(tmp_path, bert):
    """With their names."""
    for name in ("a.pt", "b.pt"):
        tiny.checkpoint(tmp_path / name)
    with pytest.raises(UsageError, match=re.escape("one .pt file is wanted there, and there is a.pt, b.pt")):
        stage(tmp_path, bert).load()
