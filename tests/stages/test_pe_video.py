"""Embeddings by Perception Encoder AV: numbers of the published definitions, every weight accounted for, any batch."""

import json

import numpy as np
import pe_tiny
import pytest
import torch
from embedded import check_batches, check_words, clip_of

from vbuild.errors import UsageError
from vbuild.stages.pe_video import PeVideo

VIDEO = [
    [-0.111829, -0.0562962, 0.016007, -0.0204213, -0.2654558, -0.0944362, -0.0643785, 0.3476535],
    [-0.1107476, -0.0441097, -0.0065215, -0.0165646, -0.2649742, -0.1014529, -0.0686097, 0.3471968],
]
TEXT = [
    [0.1851933, -0.3462423, -0.1594741, -0.0811408, -0.032503, 0.0451378, 0.2252546, 0.0484651],
    [0.1066178, -0.3148631, -0.2431488, -0.1436541, -0.0430777, -0.0312491, 0.1452078, 0.0079913],
]
"""The first numbers of unit vectors by transformers' PeVideoModel with timm's own Eva in it, computed elsewhere."""

TOWER = "video_encoder.embedder.vision_model.timm_model."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pe_tiny.make(tmp_path_factory.mktemp("pe") / "tiny")


@pytest.fixture(scope="module")
def stage(folder):
    """With a tiny model, on the processor."""
    return PeVideo(model=str(folder), device="cpu", count=4)


def videos():
    return np.random.default_rng(11).integers(0, 256, (2, 5, 28, 28, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["pe_audio_video", "pe_video"])
def test_vectors_are_those_of_the_published_definitions(tmp_path, kind):
    """Of videos and of texts, of a whole checkpoint and of one of video alone."""
    network = PeVideo(model=str(pe_tiny.make(tmp_path / "a", kind)), device="cpu").load()
    found = network.videos(videos())
    assert found.shape == (2, 32)
    assert found[:, :8] == pytest.approx(np.array(VIDEO), abs=1e-5)
    assert network.texts(["red green dog", "night"])[:, :8] == pytest.approx(np.array(TEXT), abs=1e-5)


def test_it_is_what_transformers_own_model_says(stage, network):
    """Of the same weights and tower, asked for both at once."""
    pixels = (torch.from_numpy(videos()).permute(0, 1, 4, 2, 3).float() / 255 - 0.5) / 0.5
    words = network.tokenizer(["red green dog", "night"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        given = {"input_ids": words["input_ids"], "attention_mask": words["attention_mask"]}
        said = network.model(pixel_values_videos=pixels, **given)
    for mine, theirs in (
        (network.videos(videos()), said.video_embeds),
        (network.texts(["red green dog", "night"]), said.text_video_embeds),
    ):
        assert np.abs(mine - torch.nn.functional.normalize(theirs, dim=-1).numpy()).max() < 1e-6


def test_neither_the_batch_nor_a_clips_length_matters(stage, network, clips):
    """One, three or eight at once; of one frame, two or three; of none there is no vector."""
    check_batches(stage, clips, network)


def test_words_have_vectors_too(stage, network):
    """Unit vectors of the same width, a text's own whatever else is asked."""
    found = check_words(stage, network)
    assert found[0] @ found[1] < 0.9999


def test_frames_reach_from_the_first_to_the_last(stage, films):
    """As the published processor chooses them; one alone is the middle."""
    times = clip_of(films[0], stage.asks()).frames.times
    assert times == pytest.approx([0, 5 / 16, 11 / 16, 15 / 16])
    assert not PeVideo(model=stage.model, count=1).asks().ends
    assert PeVideo(model=stage.model).asks().count == 16


@pytest.mark.parametrize(
    "name", [f"{TOWER}blocks.1.attn.qkv.bias", "video_encoder.layers.0.mlp.up_proj.weight", "video_head.proj.weight"]
)
def test_a_weight_that_lacks_is_named(tmp_path, name):
    """It would be made up."""
    path = pe_tiny.make(tmp_path / "a", change=lambda held: held.pop(f"video_model.{name}"))
    with pytest.raises(UsageError, match=f"its video part lacks {name}"):
        PeVideo(model=str(path), device="cpu").load()


def test_a_weight_that_is_not_known_is_named(tmp_path):
    """But what is for sound, and what timm makes of no weight."""

    def change(held):
        held[f"video_model.{TOWER}rope.pos_embed"] = torch.zeros(2)
        held[f"video_model.{TOWER}blocks.0.gamma_1"] = torch.zeros(64)

    path = pe_tiny.make(tmp_path / "a", change=change)
    with pytest.raises(UsageError, match=f"its video part has {TOWER}blocks.0.gamma_1, which is not as published"):
        PeVideo(model=str(path), device="cpu").load()


def test_other_towers_and_types_are_refused(tmp_path, tiny):
    """With those that are known."""
    path = pe_tiny.make(tmp_path / "a")
    said = json.loads((path / "config.json").read_text())
    said["audio_video_config"]["video_config"]["vision_config"]["architecture"] = "vit_giant"
    (path / "config.json").write_text(json.dumps(said))
    with pytest.raises(UsageError, match="its frames go through vit_giant; vit_pe_core_base_patch16_224, vit_pe_core"):
        PeVideo(model=str(path), device="cpu").load()
    with pytest.raises(UsageError, match=r"of the type clip, .* use stage clip"):
        PeVideo(model=str(tiny("clip"))).models()
    empty = pe_tiny.make(tmp_path / "b", change=lambda held: held.pop(f"video_model.{TOWER}pos_embed"))
    with pytest.raises(UsageError, match=r"hold no video_encoder.*; give a checkpoint of PE-AV"):
        PeVideo(model=str(empty), device="cpu").load()


def test_nothing_is_said_while_it_loads(folder, capfd):
    """What the library prints of itself is in nobody's output."""
    PeVideo(model=str(folder), device="cpu").load()
    assert capfd.readouterr().out == ""
