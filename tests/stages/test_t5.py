"""Captions as vectors of T5: those of transformers' own encoder, cut to the text, a file a clip."""

import json

import numpy as np
import pytest
import torch
from project import Project, ran
from safetensors.numpy import load
from serving import served

from vbuild.errors import AnswerError, UsageError
from vbuild.executor.config import Local
from vbuild.models.server import Server
from vbuild.stage import Clip, Window, Windows
from vbuild.stages.caption import Caption
from vbuild.stages.t5 import T5

TEXTS = ("a red car", "dog", "a photo of night of a blue dog of a green car")


@pytest.fixture(scope="module")
def stage(tiny):
    """With a tiny model, on the processor."""
    return T5(model=str(tiny("t5")), of="said", device="cpu")


def told(*windows):
    """A clip of which something was said."""
    return Clip(duration=1.0, columns={"": {"": list(windows)}})


def kept(row):
    """The vectors of a clip's windows by their numbers."""
    return dict(sorted(load(row[""].data).items()))


def test_vectors_are_those_of_transformers_own_encoder(stage, network):
    """Of each text alone, without anything that fills it up; enhanced where it is, and nothing of what is silent."""
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    windows = [Window("other", enhanced=TEXTS[0]), Window(None, status="error"), Window(TEXTS[1]), Window(TEXTS[2])]
    (row,) = stage.run([told(*windows)], network)
    found = kept(row)
    whole = T5ForConditionalGeneration.from_pretrained(stage.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(stage.model)
    assert list(found) == ["0", "2", "3"]
    for name, text in zip(found, TEXTS, strict=True):
        ids = tokenizer([text], return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            wanted = whole.encoder(input_ids=ids).last_hidden_state[0].numpy()
        assert found[name].dtype == np.float16
        assert found[name].shape == wanted.shape == (ids.shape[1], 32)
        assert np.abs(found[name] - wanted).max() < 2e-3
    assert row["tokens"] == [len(found["0"]), 0, len(found["2"]), len(found["3"])]


def test_long_texts_are_cut(stage, network):
    """To as many tokens as may be, of which the last is the text's end."""
    import dataclasses

    short = dataclasses.replace(stage, max_tokens=4)
    (row,) = short.run([told(Window(TEXTS[2]))], network)
    assert row["tokens"] == [4]
    assert len(kept(row)["0"]) == 4
    (row,) = stage.run([told(Window("a " * 2000))], network)
    assert row["tokens"] == [512]


def test_neither_the_batch_nor_what_lacks_matters(stage, network):
    """One, three or eight at once; None of a clip of which nothing was said."""
    clips = [told(*[Window(text) for text in TEXTS[: n % 3 + 1]]) for n in range(6)]
    clips += [told(Window(None)), told()]
    alone = [row for clip in clips for row in stage.run([clip], network)]
    for many in (3, 8):
        found = [row for n in range(0, len(clips), many) for row in stage.run(clips[n : n + many], network)]
        for row, other in zip(found[:6], alone[:6], strict=True):
            assert row["tokens"] == other["tokens"]
            pairs = zip(kept(row).values(), kept(other).values(), strict=True)
            assert max(np.abs(one.astype(np.float32) - two).max() for one, two in pairs) < 2e-3
    assert alone[6:] == [{"": None, "tokens": None}] * 2


def test_what_is_too_large_for_float16_fails_the_clip_alone(stage):
    """With what to do."""

    class Loud:
        def vectors(self, texts, most):
            return [np.full((2, 3), np.inf if text == "loud" else 1.0, np.float16) for text in texts]

    loud, fine = stage.run([told(Window("loud")), told(Window("fine"))], Loud())
    assert isinstance(loud, AnswerError)
    assert "dtype=float32" in str(loud)
    assert fine["tokens"] == [2]


def test_a_build_keeps_a_file_a_clip(tmp_path, films, stage):
    """In a process of its own, of the windows of a captioner; a shorter limit is another result."""
    with served() as server:
        at = Server(base_url=server.url)
        windows = Windows(frames=6, remainder=4, min=1)
        said = Caption(model=None, served="tiny", server=at, windows=windows)
        one = Project(tmp_path, {"said": said, "t5": stage})
        one.local = Local(workers=1)
        one.put("a.mp4", films[0])
        report = one.build()
        assert not report.failures
        (row,) = one.rows().values()
        (data,) = (data for name, data in one.blobs().items() if name.endswith(".safetensors"))
        assert [len(load(data)[str(n)]) for n in range(3)] == row["t5_tokens"]
        assert len(row["t5_tokens"]) == len(one.rows("captions")) == 3
        one.stages["t5"] = T5(model=stage.model, of="said", device="cpu", max_tokens=3)
        assert set(ran(one.build())) == {"t5"}


def test_other_types_and_no_tokens_are_refused(tiny, tmp_path):
    """When it is planned."""
    with pytest.raises(UsageError, match="of the type clip, and the encoder of one of t5, mt5, umt5 is wanted"):
        T5(model=str(tiny("clip"))).models()
    with pytest.raises(UsageError, match="max_tokens=0"):
        T5(max_tokens=0)
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "model.bin").write_text("")
    with pytest.raises(UsageError, match=r"its config\.json cannot be read"):
        T5(model=str(tmp_path)).models()


def test_a_checkpoint_that_lacks_weights_is_refused(tiny, tmp_path):
    """They would be made up."""
    from safetensors.torch import load_file, save_file

    for file in tiny("t5").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    held = load_file(tmp_path / "model.safetensors")
    gone = next(name for name in held if name.startswith("encoder.block.0"))
    save_file(
        {name: one for name, one in held.items() if name != gone}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "t5"
    with pytest.raises(UsageError, match="its files lack 1 weights"):
        T5(model=str(tmp_path), device="cpu").load()
