"""Embeddings by XCLIP: true to the checkpoint, and the same in any batch."""

import pytest
import torch
from embedded import IMAGENET, by_hand, check_batches, check_words, unit, whole

from vbuild.errors import UsageError
from vbuild.stages.xclip import XCLIP


@pytest.fixture(scope="module")
def stage(tiny):
    """With a tiny model, on the processor."""
    return XCLIP(model=str(tiny("xclip")), device="cpu")


def test_it_is_what_the_published_preprocessing_and_the_model_say(stage, network, clips, films):
    """Cosine of 0.9999 and more, of the same frames."""
    for clip, path in zip(clips, films, strict=True):
        pixels = torch.from_numpy(by_hand(whole(path, stage.asks()), short=32, size=32, bicubic=False, **IMAGENET))
        with torch.inference_mode():
            vectors = network.model.get_video_features(pixel_values=pixels[None]).pooler_output
        (row,) = stage.run([clip], network)
        assert float(row[""] @ unit(vectors[0])) >= 0.9999


def test_neither_the_batch_nor_a_clips_length_matters(stage, network, clips):
    """One, three or eight at once; of one frame, two or three; of none there is no vector."""
    check_batches(stage, clips, network)


def test_words_have_vectors_too(stage, network):
    """Unit vectors of the same width, a text's own whatever else is asked."""
    found = check_words(stage, network)
    assert found[0] @ found[1] < 0.9999


def test_another_type_is_refused_with_the_stage_that_takes_it(tiny):
    """When it is planned."""
    with pytest.raises(UsageError, match=r"of the type vjepa2, .* use stage vjepa2"):
        XCLIP(model=str(tiny("vjepa2"))).models()
