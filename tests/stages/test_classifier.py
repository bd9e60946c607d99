"""A classifier of pictures: a column of each label, as the model itself says."""

import json
import shutil

import numpy as np
import pytest
import torch
from embedded import clip_of, rows, whole, with_frames

from vbuild.errors import UsageError
from vbuild.stages.classifier import Classifier


@pytest.fixture(scope="module")
def stage(tiny):
    return Classifier(model=str(tiny("classifier")), fps=8, device="cpu")


def test_probabilities_are_those_of_the_model_itself(stage, films):
    """By transformers' own processor, of the same frames; mean and max, whatever the batch; of no frame none."""
    from transformers import AutoImageProcessor

    clips = [clip_of(path, stage.asks()) for path in films]
    clips += [with_frames(clips[0], n) for n in (1, 0)]
    network = stage.load()
    processor = AutoImageProcessor.from_pretrained(stage.model, backend="pil")
    assert list(stage.writes) == ["indoor", "out_door", "studio"]
    for over in ("mean", "max"):
        one = Classifier(model=stage.model, fps=8, device="cpu", over=over)
        found = rows(one, clips, 8, network)
        for batch in (1, 3):
            for row, other in zip(found[:-1], rows(one, clips, batch, network), strict=False):
                assert [*row.values()] == pytest.approx([*other.values()], abs=1e-6)
        for row, path in zip(found[:3], films, strict=True):
            pixels = processor(images=[*whole(path, stage.asks())], return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                shares = network.model(pixel_values=pixels).logits.softmax(-1).numpy()
            wanted = shares.mean(0) if over == "mean" else shares.max(0)
            assert [*row.values()] == pytest.approx(wanted.tolist(), abs=5e-3)
            assert np.argmax([*row.values()]) == wanted.argmax()
        assert set(found[-1].values()) == {None}


def test_labels_choose_columns(stage):
    """By the checkpoint's names of them; one that it does not know is refused."""
    assert list(Classifier(model=stage.model, labels=("studio",)).writes) == ["studio"]
    with pytest.raises(UsageError, match=r"labels=\['Studio'\]: the model knows indoor, Out door, studio"):
        Classifier(model=stage.model, labels=("Studio",)).chosen()


def test_another_kind_of_model_too_many_labels_and_missing_weights_are_refused(stage, tiny, tmp_path):
    """With what to do."""
    with pytest.raises(UsageError, match="it is no classifier of pictures, but CLIPModel"):
        Classifier(model=str(tiny("clip"))).models()
    many = shutil.copytree(stage.model, tmp_path / "many")
    said = json.loads((many / "config.json").read_text())
    said["id2label"] = {n: f"thing {n}" for n in range(100)}
    (many / "config.json").write_text(json.dumps(said))
    with pytest.raises(UsageError, match=r"labels: the model knows 100, such as thing 0, .*say which"):
        Classifier(model=str(many)).chosen()
    other = shutil.copytree(tiny("dinov2"), tmp_path / "other")
    said = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**said, "architectures": ["Dinov2ForImageClassification"]}))
    with pytest.raises(UsageError, match=r"its files lack .* weights, such as classifier"):
        Classifier(model=str(other), device="cpu").load()
