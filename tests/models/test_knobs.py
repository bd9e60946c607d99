"""How models run is set by knobs, which are in no key: where, with which attention, and whether compiled."""

import os
import subprocess
import sys
from dataclasses import replace

import models_tiny
import numpy as np
import pytest
import talkers
import tiny
from shipped import classes

from vbuild.described import parameters
from vbuild.errors import PlaceError
from vbuild.models import devices, nsfw
from vbuild.models.messages import Sampling
from vbuild.stage import Clip, Sampled, Stage, Stretch, Window
from vbuild.stages.ask import Ask
from vbuild.stages.caption import Caption
from vbuild.stages.cosmos_embed1 import CosmosEmbed1
from vbuild.stages.enhance import Enhance
from vbuild.stages.internvideo2 import InternVideo2
from vbuild.stages.nsfw import NSFW
from vbuild.stages.shots import Shots
from vbuild.stages.t5 import T5

NETWORK = ("device", "attention", "compile")

KNOBS = {
    **dict.fromkeys(
        ("classifier", "clip", "clip_frames", "dinov2", "dinov3", "internvideo2", "naflex", "pe_video", "siglip", "t5",
         "videoprism", "vjepa2", "xclip"), NETWORK),
    **dict.fromkeys(("ask", "caption", "enhance"), ("server", *NETWORK)),
    "cosmos_embed1": ("trust_remote_code", "python", *NETWORK),
    "shots": ("device", "compile"),
    **dict.fromkeys(("nsfw", "text_overlay", "clip_score", "tags"), ("device",)),
    "embed_server": ("server", "query"),
    "aesthetic": (),
}  # fmt: skip
"""Stage that holds a model → how it may run. TransNetV2 has no attention; of onnxruntime's there is nothing to compile,
and the aesthetic score is a sum."""


def test_each_stage_with_a_model_has_the_knobs_that_make_sense():
    """No stage is forgotten."""
    common = set(Stage.__dataclass_fields__)
    found = {
        cls.title(): tuple(p.name for p in parameters(cls) if p.role == "knob" and p.name not in common)
        for cls in classes()
        if cls.hosted
    }
    assert {name: sorted(knobs) for name, knobs in found.items()} == {n: sorted(knobs) for n, knobs in KNOBS.items()}


# compiled


def compiling(test):
    """Marks what takes a compiler minutes; torch's imports what torch itself has deprecated."""
    marks = pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.filterwarnings("ignore")
    for mark in marks:
        test = mark(test)
    return test


def compiled(stage, call):
    """What a call says of the model of a stage, plain and compiled."""
    return [call(one, one.load()) for one in (stage, replace(stage, compile=True))]


def clip(seed, count=4, side=56):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return Clip(duration=2.0, frames=Sampled(pixels, np.arange(count) / 2), window=Stretch(0, 0.0, 2.0))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    return {name: str(make(tmp_path_factory.mktemp(name))) for name, make in talkers.SEEING.items()}


@compiling
@pytest.mark.parametrize("name", ["smolvlm", "qwen3_vl"])
def test_a_captioner_that_is_compiled_says_the_same(seeing, name):
    """Of batches of other sizes too, and with other questions."""
    stage = Caption(model=seeing[name], dtype="float32", device="cpu", sampling=Sampling(max_tokens=4))

    def said(one, model):
        return [row[""].text for n in (2, 1) for row in one.run([clip(k) for k in range(n)], model)]

    plain, other = compiled(stage, said)
    assert plain == other


@compiling
def test_questions_to_a_model_that_is_compiled_have_the_same_answers(seeing):
    """To rounding."""
    questions = {"people": "Are there people?", "night": "Is it night, or another time of the day?"}
    stage = Ask(model=seeing["internvl"], dtype="float32", device="cpu", questions=questions)
    plain, other = compiled(stage, lambda one, model: [[*row.values()] for row in one.run([clip(1), clip(2)], model)])
    assert np.abs(np.array(plain) - np.array(other)).max() < 1e-5


@compiling
def test_a_writer_that_is_compiled_writes_the_same(tmp_path):
    """Of captions of any length."""
    model = str(talkers.qwen2(tmp_path))
    stage = Enhance(model=model, of="x", dtype="float32", device="cpu", sampling=Sampling(max_tokens=4))
    texts = [Clip(duration=1.0, columns={"": {"": [Window("a car " * n)]}}) for n in (1, 7)]
    plain, other = compiled(stage, lambda one, model: [row[""][0].enhanced for row in one.run(texts, model)])
    assert plain == other


@compiling
def test_networks_that_are_compiled_say_the_same(tmp_path):
    """TransNetV2, T5 and the code of a checkpoint of Cosmos-Embed1's kind."""
    windows = np.random.default_rng(0).integers(0, 256, (2, 100, 27, 48, 3), dtype=np.uint8)
    plain, other = compiled(Shots(device="cpu"), lambda _, model: model.probabilities(windows))
    assert np.abs(plain - other).max() < 1e-5
    t5 = T5(model=str(models_tiny.make(tmp_path / "t5", "t5")), device="cpu")
    plain, other = compiled(t5, lambda _, model: model.vectors(["a red car", "dog"], 8))
    assert all(
        np.abs(a.astype(np.float32) - b.astype(np.float32)).max() < 2e-3 for a, b in zip(plain, other, strict=True)
    )


@compiling
def test_code_of_a_checkpoint_is_compiled_and_told_of_attention(tmp_path, monkeypatch):
    """As far as it can."""
    tiny.code_apart(tmp_path / "modules", monkeypatch)
    stage = CosmosEmbed1(model=str(tiny.cosmos(tmp_path / "ce")), trust_remote_code=True, dtype="float32", device="cpu")
    frames = np.random.default_rng(1).integers(0, 256, (2, 8, 32, 32, 3), dtype=np.uint8)
    plain, other = compiled(stage, lambda _, model: model.clips(frames))
    assert np.abs(plain - other).max() < 1e-5
    eager = replace(stage, attention="eager").load()
    assert np.abs(plain - eager.clips(frames)).max() < 1e-6
    assert eager.network.config._attn_implementation == "eager"


def test_attention_of_internvideo2_is_computed_as_is_said(tmp_path):
    """Each way comes to the same, to rounding."""
    folder = tiny.checkpoint(tmp_path / "model.pt", side=4, patch=56, dim=512).parent
    text = str(tiny.bert(tmp_path / "bert"))
    frames = np.random.default_rng(1).integers(0, 256, (2, 4, 224, 224, 3), dtype=np.uint8)
    found = {
        name: InternVideo2(model=str(folder), text=text, dtype="float32", device="cpu", attention=name)
        .load()
        .clips(frames)
        for name in ("auto", "sdpa", "eager", "flash_attention_2")
    }
    for other in found.values():
        assert np.abs(found["auto"] - other).max() < 1e-5


def test_where_nothing_can_be_compiled_it_is_one_line(tmp_path):
    """When the model is loaded: of the place, and not of a clip."""
    code = """
from vbuild.errors import PlaceError
from vbuild.models import devices
try:
    devices.compiled(lambda x: x + 1, "cpu")
except PlaceError as error:
    print(error)
"""
    env = {**os.environ, "CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("compile=true: torch cannot compile for cpu here (")
    assert line.endswith("); say false")


# onnxruntime


def test_onnxruntime_is_told_of_a_gpu_where_it_can_use_one(monkeypatch):
    """And always of the processor, behind it."""
    import onnxruntime

    cpu = ("CPUExecutionProvider", {})
    assert devices.providers("cpu") == devices.providers("auto") == [cpu]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", cpu[0]])
    assert devices.providers("cuda:1") == [("CUDAExecutionProvider", {"device_id": 1}), cpu]
    assert devices.providers("auto") == [("CUDAExecutionProvider", {"device_id": 0}), cpu]
    assert devices.providers("cpu") == [cpu]


def test_a_device_that_onnxruntime_has_not_is_refused():
    """With what to do; the processor gives the same by its name."""
    for name, said in (("cuda", "onnxruntime-gpu brings it"), ("mps", "runs here on cuda and cpu")):
        with pytest.raises(PlaceError, match=f"device={name}: .*{said}"):
            NSFW(device=name).load()
    picture = np.full((1, nsfw.SIDE, nsfw.SIDE, 3), 90, np.uint8)
    found = [NSFW(device=name).load().probabilities(picture) for name in ("auto", "cpu")]
    assert found[0] == found[1]
