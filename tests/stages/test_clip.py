"""Embeddings by CLIP: true to the checkpoint, and the same in any batch."""

import dataclasses
import shutil

import models_tiny
import numpy as np
import pytest
import torch
from embedded import check_batches, check_words, unit, whole

from vbuild.errors import UsageError
from vbuild.stages.clip import CLIP


@pytest.fixture(scope="module")
def stage(tiny):
    """With a tiny model, on the processor."""
    return CLIP(model=str(tiny("clip")), device="cpu")


def test_it_is_what_transformers_own_processor_and_model_say(stage, network, clips, films):
    """Cosine of 0.9999 and more, of the same frames."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(stage.model, backend="pil")
    for clip, path in zip(clips, films, strict=True):
        pixels = processor(images=[*whole(path, stage.asks())], return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            vectors = unit(network.model.get_image_features(pixel_values=pixels).pooler_output)
        (row,) = stage.run([clip], network)
        assert float(row[""] @ unit(vectors.mean(0))) >= 0.9999


def test_neither_the_batch_nor_a_clips_length_matters(stage, network, clips):
    """One, three or eight at once; of one frame, two or three; of none there is no vector."""
    check_batches(stage, clips, network)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler imports what torch itself has deprecated
def test_compiled_it_says_the_same(stage, network, clips):
    """Beyond rounding, of batches of any size."""
    other = dataclasses.replace(stage, compile=True)
    plain = np.stack([row[""] for row in stage.run(clips, network)])
    model = other.load()
    for count in (3, 1, 2):
        found = np.stack([row[""] for row in other.run(clips[:count], model)])
        assert np.abs(found - plain[:count]).max() < 1e-5


def test_words_have_vectors_too(stage, network):
    """Unit vectors of the same width, a text's own whatever else is asked."""
    found = check_words(stage, network)
    assert found[0] @ found[1] < 0.9999


def test_another_type_is_refused_with_the_stage_that_takes_it(tiny):
    """When it is planned."""
    with pytest.raises(UsageError, match=r"of the type siglip, .* use stage siglip"):
        CLIP(model=str(tiny("siglip"))).models()


def test_what_is_loaded_is_the_commit_that_the_key_tells(tmp_path, monkeypatch, tiny, clips):
    """Of two in the hub's cache; the one that was fetched last where none is named; network, processor and words."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    base, commits = tmp_path / "models--org--net", ("a" * 40, "b" * 40)
    (base / "snapshots").mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(commits[1])
    folders = [tiny("clip"), models_tiny.make(tmp_path / "other", "clip", seed=1)]
    for folder, commit in zip(folders, commits, strict=True):
        shutil.copytree(folder, base / "snapshots" / commit)
    wanted = [loaded(str(folder), None, clips) for folder in folders]
    assert not np.allclose(wanted[0][0], wanted[1][0], atol=1e-3)
    for revision, (vector, words) in ((commits[0], wanted[0]), (commits[1], wanted[1]), (None, wanted[1])):
        found = loaded("org/net", revision, clips)
        assert np.allclose(found[0], vector, atol=1e-6)
        assert np.allclose(found[1], words, atol=1e-6)
        assert CLIP(model="org/net", revision=revision).models()["model"] == f"hub:org/net@{revision or commits[1]}"


def loaded(model, revision, clips):
    """The vectors of a clip and of a text."""
    stage = CLIP(model=model, revision=revision, device="cpu")
    network = stage.load()
    (row,) = stage.run(clips[:1], network)
    return row[""], stage.embed_text(["a red car"], network)[0]
