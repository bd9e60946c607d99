"""How well labels fit: by the model's own scale, or the cosine."""

import numpy as np
import pytest
import torch
from embedded import clip_of, whole

from vbuild.errors import UsageError
from vbuild.stage import Clip
from vbuild.stages.clip import CLIP
from vbuild.stages.siglip import SigLIP
from vbuild.stages.tags import Tags

LABELS = ("red car", "Green dog!", "night")


@pytest.mark.parametrize(("kind", "cls"), [("clip", CLIP), ("siglip", SigLIP)])
def test_probabilities_are_those_of_the_model_itself(tiny, films, kind, cls):
    """Of one frame and the same words."""
    from transformers import AutoImageProcessor, AutoTokenizer

    embed = cls(model=str(tiny(kind)), count=1, device="cpu")
    network = embed.load()
    clip = clip_of(films[0], embed.asks())
    (row,) = embed.run([clip], network)
    stage = Tags(model=embed.model, labels=LABELS)
    (found,) = stage.run([Clip(duration=1.0, columns={"vector": row})], stage.load())
    processor = AutoImageProcessor.from_pretrained(embed.model, backend="pil")
    pixels = processor(images=[*whole(films[0], embed.asks())], return_tensors="pt")["pixel_values"]
    words = [f"a photo of {label}" for label in LABELS]
    words = [text.lower() for text in words] if kind == "siglip" else words
    tokens = AutoTokenizer.from_pretrained(embed.model)(words, padding="max_length", max_length=16, return_tensors="pt")
    mask = {"attention_mask": tokens["attention_mask"]} if kind == "clip" else {}
    with torch.inference_mode():
        logits = network.model(input_ids=tokens["input_ids"], pixel_values=pixels, **mask).logits_per_image[0]
    wanted = logits.sigmoid() if kind == "siglip" else logits.softmax(-1)
    assert list(found) == ["", "red_car", "green_dog", "night"]
    assert list(found.values())[1:] == pytest.approx(wanted.tolist(), abs=2e-3)
    assert found[""] == LABELS[int(wanted.argmax())]


def test_a_cosine_is_one(tiny):
    """Of a text with itself; a clip without a vector has no number, and the batch does not matter."""
    stage = Tags(model=str(tiny("clip")), labels=("dog", "night"), prompt="{}", scale="cosine")
    model = stage.load()
    clips = [Clip(duration=1.0, columns={"vector": {"": vector}}) for vector in (model[0][0], None, model[0][1])]
    found = list(stage.run(clips, model))
    assert found[0]["dog"] == pytest.approx(1, abs=1e-5)
    assert found[0][""] == "dog"
    assert found[1] == {"": None, "dog": None, "night": None}
    assert found == [row for clip in clips for row in stage.run([clip], model)]


def test_vectors_of_another_width_are_refused(tiny):
    """With what to do."""
    stage = Tags(model=str(tiny("clip")), labels=("dog",))
    clip = Clip(duration=1.0, columns={"vector": {"": np.zeros(7, np.float32)}})
    with pytest.raises(UsageError, match="vectors of 24 numbers, and those that are read have 7; give the model"):
        list(stage.run([clip], stage.load()))


def test_labels_have_columns_of_their_own():
    """Those of one column are refused, and so are none, and a prompt without a place."""
    with pytest.raises(UsageError, match="each needs letters of its own"):
        Tags(labels=("red car", "Red-car"))
    with pytest.raises(UsageError, match=r"say with {} where the label goes"):
        Tags(labels=("a",), prompt="a photo")
    with pytest.raises(UsageError, match="labels: say which"):
        Tags(model="x").models()
