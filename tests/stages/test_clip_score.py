"""CLIPScore of captions: that of the model's own cosines, over all windows."""

import dataclasses

import numpy as np
import pytest
import torch
from embedded import clip_of, whole
from project import Project, ran
from serving import served

from vbuild.config import checked
from vbuild.errors import UsageError
from vbuild.models.server import Server
from vbuild.stage import Clip, Window
from vbuild.stages.caption import Caption
from vbuild.stages.clip import CLIP
from vbuild.stages.clip_score import ClipScore
from vbuild.stages.dinov2 import DINOv2
from vbuild.stages.siglip import SigLIP

SAID = ("a red car", "dog of night", "video green green", "blue", "night night a dog")


def config(stages):
    """A configuration of some stages, as it is read of a file."""
    split = {"_target_": "vbuild.split.fixed_stride.FixedStride", "min": 0.5}
    return checked({"stages": stages, "source": {"path": "x"}, "split": split}, declared="d")


def judged(vector, *windows):
    """A clip with a vector and what was said of its windows."""
    return Clip(duration=1.0, columns={"vector": {"": vector}, "caption": {"": list(windows)}})


@pytest.mark.parametrize(("kind", "cls"), [("clip", CLIP), ("siglip", SigLIP)])
def test_a_score_is_two_and_a_half_times_the_models_own_cosine(tiny, films, kind, cls):
    """Of one frame and each window's words; the enhanced ones where there are, and a window of none is left out."""
    from transformers import AutoImageProcessor, AutoTokenizer

    embed = cls(model=str(tiny(kind)), count=1, device="cpu")
    network = embed.load()
    clip = clip_of(films[0], embed.asks())
    (row,) = embed.run([clip], network)
    stage = ClipScore(model=embed.model, device="cpu")
    windows = [Window("other", enhanced=SAID[0]), Window(None, status="error"), *map(Window, SAID[1:])]
    turned = [judged(row[""], *windows), judged(-row[""], *windows)]
    found = list(stage.run(turned, stage.load()))
    processor = AutoImageProcessor.from_pretrained(embed.model, backend="pil")
    pixels = processor(images=[*whole(films[0], embed.asks())], return_tensors="pt")["pixel_values"]
    words = [f"A photo depicts {text}" for text in SAID]
    words = [text.lower() for text in words] if kind == "siglip" else words
    tokens = AutoTokenizer.from_pretrained(embed.model)(words, padding="max_length", max_length=16, return_tensors="pt")
    mask = {"attention_mask": tokens["attention_mask"]} if kind == "clip" else {}
    with torch.inference_mode():
        said = network.model(input_ids=tokens["input_ids"], pixel_values=pixels, **mask)
    cosines = (said.text_embeds @ said.image_embeds.T)[:, 0].tolist()
    wanted = [[2.5 * max(sign * cosine, 0) for cosine in cosines] for sign in (1, -1)]
    for one, scores in zip(found, wanted, strict=True):
        assert one[""] == pytest.approx(np.mean(scores), abs=3e-3)
        assert one["min"] == pytest.approx(min(scores), abs=3e-3)
    assert max(map(max, wanted)) > 0.1


def test_what_points_elsewhere_has_no_score_and_what_is_the_same_has_all(tiny):
    """0 below a cosine of 0, and 2.5 of a vector of the very words."""
    stage = ClipScore(model=str(tiny("clip")), prompt="{}", device="cpu")
    model = stage.load()
    (vector,) = model.vectors(["dog"])
    same, opposed = judged(vector, Window("dog")), judged(-vector, Window("dog"))
    assert [row[""] for row in stage.run([same, opposed], model)] == [pytest.approx(2.5, abs=1e-5), 0.0]


def test_neither_the_batch_nor_what_lacks_matters(tiny):
    """One, three or eight at once; None without a vector, a caption, or a word."""
    stage = ClipScore(model=str(tiny("clip")), device="cpu")
    model = stage.load()
    vectors = model.vectors(["dog", "night", "red car", "blue", "a video"])
    clips = [judged(vector, *[Window(text) for text in SAID[: n % 2 + 1]]) for n, vector in enumerate(vectors)]
    clips += [judged(None, Window("dog")), judged(vectors[0], Window(None)), judged(vectors[0])]
    none = dataclasses.replace(clips[0], columns={"vector": {"": vectors[0]}, "caption": {"": None}})
    clips[-1] = none
    alone = [row for clip in clips for row in stage.run([clip], model)]
    for many in (3, 8):
        found = [row for n in range(0, len(clips), many) for row in stage.run(clips[n : n + many], model)]
        for row, other in zip(found, alone, strict=True):
            assert row == {name: pytest.approx(value, abs=2e-6) for name, value in other.items()}
    assert alone[5:] == [{"": None, "min": None}] * 3


def test_a_long_caption_is_cut_to_what_the_tower_takes(tiny):
    """Its beginning is judged, and what is behind changes nothing."""
    stage = ClipScore(model=str(tiny("clip")), prompt="{}", device="cpu")
    model = stage.load()
    (vector,) = model.vectors(["night"])
    long = "dog " * 40
    first, second = stage.run([judged(vector, Window(long + "night")), judged(vector, Window(long + "red"))], model)
    assert first == second


def test_scores_of_a_build_find_the_model_through_the_embedding(tmp_path, films, tiny):
    """The embedding is read by one port, captions by the other; the network of pictures runs no more."""
    with served() as server:
        at = {"base_url": server.url}
        data = {
            "embed": {"_target_": "vbuild.stages.clip.CLIP", "model": str(tiny("clip")), "count": 2, "device": "cpu"},
            "said": {"_target_": "vbuild.stages.caption.Caption", "model": None, "served": "tiny", "server": at},
            "fit": {"_target_": "vbuild.stages.clip_score.ClipScore", "of": {"vector": "embed", "caption": "said"}},
        }
        stages = config(data).stages
        assert stages["fit"].model == stages["embed"].model
        one = Project(tmp_path, stages)
        one.put("a.mp4", films[0])
        report = one.build()
    assert not report.failures
    assert ran(report)["fit"] == 1
    (row,) = one.rows().values()
    assert 0 <= row["fit_min"] == row["fit"] <= 2.5


def test_a_model_of_a_server_is_lent_none(tiny):
    """What a server enhances is a caption of a model that is loaded here, and stays the server's."""
    at = {"base_url": "http://127.0.0.1:1/v1"}
    data = {
        "said": {"_target_": "vbuild.stages.caption.Caption", "model": str(tiny("clip"))},
        "more": {"_target_": "vbuild.stages.enhance.Enhance", "model": None, "served": "w", "server": at, "of": "said"},
    }
    assert config(data).stages["more"].model is None


def planned(tmp_path, films, embed, **changes):
    """What a plan says of scores by such an embedding."""
    at = Server(base_url="http://127.0.0.1:1/v1")
    said = Caption(model=None, served="tiny", server=at)
    fit = ClipScore(of={"vector": "embed", "caption": "said"}, **changes)
    one = Project(tmp_path, {"embed": embed, "said": said, "fit": fit})
    one.put("a.mp4", films[0])
    return one.plan()


def test_a_model_without_words_is_refused_when_it_is_planned(tmp_path, films, tiny):
    """Before anything runs."""
    model = str(tiny("dinov2"))
    with pytest.raises(UsageError, match=r"stages\.fit\.model=.*type dinov2 knows no words here; clip, siglip"):
        planned(tmp_path, films, DINOv2(model=model), model=model)


def test_a_model_that_is_none_of_pictures_is_refused_likewise(tiny):
    """By its type, and not by what its files do not say."""
    with pytest.raises(UsageError, match="a model of type t5 knows no words here; clip"):
        ClipScore(model=str(tiny("t5"))).models()


def test_another_model_than_that_of_the_vectors_is_refused_when_it_is_planned(tmp_path, films, tiny):
    """Though its vectors are as wide; the same one by another path is the same."""
    with pytest.raises(UsageError, match=r"stages\.fit\.model=.*: it is dir:.* the vectors of embed are of dir:"):
        planned(tmp_path, films, CLIP(model=str(tiny("clip"))), model=str(tiny("siglip")))
    other = tmp_path / "link"
    other.symlink_to(tiny("clip"))
    assert planned(tmp_path / "same", films, CLIP(model=str(tiny("clip"))), model=str(other)).clips >= 0


def test_vectors_of_another_width_and_a_prompt_without_a_place_are_refused(tiny):
    """With what to do."""
    stage = ClipScore(model=str(tiny("clip")), device="cpu")
    with pytest.raises(UsageError, match="vectors of 24 numbers, and those that are read have 7; give the model"):
        list(stage.run([judged(np.ones(7, np.float32), Window("dog"))], stage.load()))
    with pytest.raises(UsageError, match=r"say with {} where the caption goes"):
        ClipScore(prompt="a photo")
