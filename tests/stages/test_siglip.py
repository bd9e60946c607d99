"""Embeddings by SigLIP: true to the checkpoint, and the same in any batch."""

import pytest
import torch
from embedded import check_batches, check_words, unit, whole

from vbuild.errors import UsageError
from vbuild.stages.siglip import SigLIP


@pytest.fixture(scope="module")
def stage(tiny):
    """With a tiny model, on the processor."""
    return SigLIP(model=str(tiny("siglip")), device="cpu")


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


def test_words_have_vectors_too(stage, network):
    """Unit vectors of the same width, a text's own whatever else is asked."""
    found = check_words(stage, network)
    assert found[0] @ found[1] < 0.9999


def test_another_type_is_refused_with_the_stage_that_takes_it(tiny):
    """When it is planned."""
    with pytest.raises(UsageError, match=r"of the type clip, .* use stage clip"):
        SigLIP(model=str(tiny("clip"))).models()
