"""Words are compared with vectors of every stage whose model knows words, by that very model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import models_tiny
import numpy as np
import pe_tiny
import pytest
import tiny
from footage import video
from project import Project, ran
from serving import served

from vbuild.config import checked
from vbuild.errors import UsageError
from vbuild.models.server import Server
from vbuild.recipes import recipe
from vbuild.stage import Clip, Stage, Window
from vbuild.stages.clip_score import ClipScore, score
from vbuild.stages.cosmos_embed1 import CosmosEmbed1
from vbuild.stages.embed_server import EmbedServer
from vbuild.stages.internvideo2 import InternVideo2
from vbuild.stages.pe_video import PeVideo
from vbuild.stages.tags import Tags

KINDS = ("pe_video", "internvideo2", "cosmos_embed1", "embed_server")
LABELS = ("a red car", "dogs", "night")
WORDS = [f"a photo of {label}" for label in LABELS]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Kind → what a stage of it is made with, of tiny models."""
    root = tmp_path_factory.mktemp("wordy")
    file = tiny.checkpoint(root / "iv" / "model.pt", side=4, patch=56, dim=512)
    at = {"device": "cpu"}
    with served(models_tiny.make(root / "clip", "clip")) as server:
        yield {
            "pe_video": {"model": str(pe_tiny.make(root / "pe")), "count": 4, **at},
            "internvideo2": {"model": str(file.parent), "text": str(tiny.bert(root / "bert")), **at},
            "cosmos_embed1": {"model": str(tiny.cosmos(root / "ce")), "trust_remote_code": True, **at},
            "embed_server": {"served": "tiny", "server": {"base_url": server.url}, "width": 24, "count": 2},
        }


@pytest.fixture(autouse=True)
def _apart(tmp_path_factory, monkeypatch):
    """Code of checkpoints lies away from the user's own."""
    tiny.code_apart(tmp_path_factory.mktemp("modules"), monkeypatch)


CLASSES = {
    "pe_video": PeVideo,
    "internvideo2": InternVideo2,
    "cosmos_embed1": CosmosEmbed1,
    "embed_server": EmbedServer,
}


def maker(folders, kind, **changes):
    given = {**folders[kind], **changes}
    if "server" in given:
        given["server"] = Server(**given["server"])
    return CLASSES[kind](**given)


def exact(stage):
    """What a stage says of words where it computes them in float32."""
    stage = replace(stage, dtype="float32") if hasattr(stage, "dtype") else stage
    return stage.embed_text(WORDS, stage.load())


@pytest.mark.parametrize("kind", KINDS)
def test_texts_have_the_vectors_that_searches_have(folders, kind):
    """Those of the stage that made the clips' vectors, in whichever numbers that computes."""
    stage = maker(folders, kind)
    found = ClipScore(maker=stage).load().vectors(WORDS)
    assert found == pytest.approx(exact(stage), abs=1e-6)
    (tagged, _) = Tags(maker=stage, labels=LABELS, scale="cosine").load()
    assert tagged == pytest.approx(found, abs=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_build_compares_words_with_what_the_stage_made(tmp_path, folders, kind):
    """The stage that is read is enough to say; what changes no text runs nothing anew."""
    target = f"vbuild.stages.{kind}.{CLASSES[kind].__name__}"
    words = {"_target_": "vbuild.stages.tags.Tags", "of": "embed", "labels": LABELS, "scale": "cosine"}
    data = {
        "embed": {"_target_": target, **folders[kind]},
        "said": {"_target_": "vbuild.stages.caption.Caption", "model": None, "served": "tiny",
                 "server": folders["embed_server"]["server"]},
        "tags": words,
        "fit": {"_target_": "vbuild.stages.clip_score.ClipScore", "of": {"vector": "embed", "caption": "said"}},
    }  # fmt: skip

    def stages(**embed):
        made = {**data, "embed": {**data["embed"], **embed}}
        split = {"_target_": "vbuild.split.fixed_stride.FixedStride"}
        return checked({"stages": made, "source": {"path": "x"}, "split": split}, declared="d").stages

    one = Project(tmp_path, stages())
    one.put("a.mp4", video(tmp_path / "a.mp4", seconds=1.0, fps=8, size=(64, 48), seed=2))
    report = one.build()
    assert not report.failures, one.rows("failures")
    assert not report.wrong
    (row,) = one.rows().values()
    vector, texts = np.array(row["embed"], np.float32), exact(one.stages["embed"])
    found = [row[f"tags_{name}"] for name in ("a_red_car", "dogs", "night")]
    assert found == pytest.approx((texts @ vector).tolist(), abs=1e-5)
    caption = ClipScore(maker=one.stages["embed"]).load().vectors([f"A photo depicts {row['said']}"])[0]
    assert row["fit"] == pytest.approx(score(caption, vector), abs=1e-5)
    one.stages = stages(batch=2)
    assert ran(one.build()) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_tells_what_shapes_texts_and_no_more(tmp_path, folders, kind):
    """Not how many frames were seen, nor how it runs; the weights, and of a server the model's name."""
    key = recipe(Tags(maker=maker(folders, kind), labels=LABELS, scale="cosine")).id
    other = {
        "pe_video": ({"count": 2, "compile": True, "dtype": "bfloat16"}, {}),
        "internvideo2": ({"sampling": "curator", "heads": 4, "dtype": "float16"}, {}),
        "cosmos_embed1": ({"python": "/x", "dtype": "float16", "trust_remote_code": False}, {}),
        "embed_server": (
            {"count": 5, "instruction": "?", "query": "q {}", "form": "together", "server": {"base_url": "http://x"}},
            {"served": "other"},
        ),
    }
    same, differs = other[kind]
    assert recipe(Tags(maker=maker(folders, kind, **same), labels=LABELS, scale="cosine")).id == key
    if kind == "internvideo2":
        differs = {"text": str(tiny.bert(tmp_path / "bert"))}
        (tmp_path / "bert" / "vocab.txt").write_text("other\n" + (tmp_path / "bert" / "vocab.txt").read_text())
    elif not differs:
        copy = {"pe_video": pe_tiny.make, "cosmos_embed1": tiny.cosmos}[kind](tmp_path / "other")
        said = (copy / "config.json").read_text()
        (copy / "config.json").write_text(said.rstrip()[:-1] + ', "new": 1}')
        differs = {"model": str(copy)}
    assert recipe(Tags(maker=maker(folders, kind, **differs), labels=LABELS, scale="cosine")).id != key


def test_probabilities_are_by_the_checkpoints_own_scale(folders):
    """Of InternVideo2 its temperature, of Cosmos-Embed1 its logarithm of a factor."""
    for kind, factor in (("internvideo2", 1 / float(tiny.weight("temp", ()))),
                         ("cosmos_embed1", float(np.exp(tiny.weight("logit_scale", ()))))):  # fmt: skip
        stage = Tags(maker=maker(folders, kind), labels=LABELS)
        texts, scale = stage.load()
        assert scale == pytest.approx((factor, 0.0, False), rel=1e-5)
        clip = Clip(duration=1.0, columns={"vector": {"": texts[1]}})
        (row,) = stage.run([clip], (texts, scale))
        shares = np.exp(factor * (texts @ texts[1]))
        assert [row["a_red_car"], row["dogs"], row["night"]] == pytest.approx(
            (shares / shares.sum()).tolist(), abs=1e-4
        )


@pytest.mark.parametrize("kind", ["pe_video", "embed_server"])
def test_where_no_scale_is_told_probabilities_are_refused(folders, kind):
    """When it is planned, with what to say."""
    with pytest.raises(UsageError, match=f"scale=probability: {kind} has no scale of its model .* say cosine"):
        Tags(maker=maker(folders, kind), labels=LABELS).models()


@dataclass(frozen=True, kw_only=True)
class Own(Stage):
    """A stage of a person's own, whose vectors are of letters."""

    version: ClassVar[int] = 1
    phase: ClassVar[Any] = "embed"
    writes: ClassVar[Mapping[str, Any]] = {"": "vector[2]"}

    def run(self, clips: Sequence[Clip], model: Any) -> Iterable[Mapping[str, Any]]:
        """The same of each."""
        return [{"": np.array([1.0, 0.0], np.float32)} for _ in clips]

    def embed_text(self, words: Sequence[str], model: Any) -> np.ndarray:
        """By whether there is an a in it."""
        return np.array([[1.0, 0.0] if "a" in text else [0.0, 1.0] for text in words], np.float32)


def test_a_stage_of_ones_own_that_knows_words_is_as_good():
    """By its method alone."""
    stage = ClipScore(maker=Own(), prompt="{}")
    said = {"vector": {"": np.array([1.0, 0.0], np.float32)}, "caption": {"": [Window("a"), Window("b")]}}
    (row,) = stage.run([Clip(duration=1.0, columns=said)], stage.load())
    assert row == {"": 1.25, "min": 0.0}


def test_what_knows_no_words_is_refused_when_it_is_planned(tmp_path):
    """In one line that says what does."""
    split = {"_target_": "vbuild.split.fixed_stride.FixedStride"}
    data = {
        "looks": {"_target_": "vbuild.stages.perceptual.Perceptual"},
        "tags": {"_target_": "vbuild.stages.tags.Tags", "of": "looks", "labels": ["dog"]},
    }
    one = Project(tmp_path, checked({"stages": data, "source": {"path": "x"}, "split": split}, declared="d").stages)
    one.put("a.mp4", video(tmp_path / "a.mp4", seconds=1.0, fps=8, size=(64, 48)))
    said = r"stages.tags.model: tags compares words, and nothing that it reads knows any; clip, .*embed_server do"
    with pytest.raises(UsageError, match=said):
        one.plan()
