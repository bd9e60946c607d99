"""The verb `models`: what a dataset needs, what is missing, and fetching it from a hub."""

import json
import os
import subprocess
import sys

import models_tiny
import pytest
from hub import COMMIT, serving

VBUILD = [sys.executable, "-c", "from vbuild.cli.main import main; main()"]

DATASET = """# @package _global_
defaults:
  - /stage@stages.embed: clip
  - /stage@stages.nsfw: nsfw
  - _self_
source: {path: .}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny CLIP as the hub has it, with a card, and weights in a form that nothing here reads."""
    folder = models_tiny.make(tmp_path_factory.mktemp("hub") / "net", "clip")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Net\n")
    (folder / "tf_model.h5").write_text("other")
    (folder / "pytorch_model.bin").write_text("twice")
    return folder


def models(folder, *arguments, endpoint="http://127.0.0.1:9", repo="org/net", code=0):
    """What it says on a machine of its own, in a process of its own."""
    (folder / "conf" / "dataset").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "dataset" / "d.yaml").write_text(DATASET)
    keys = ["d", f"stages.embed.model={repo}"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))}
    env |= {"HF_HOME": str(folder / "home"), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1"}
    env |= {"XDG_CACHE_HOME": str(folder / "xdg"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run([*VBUILD, "models", *keys, *arguments], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def told(text):
    (one,) = (one for one in json.loads(text) if one["instance"] == "stages.embed")
    return one


def test_what_is_missing_is_listed_fetched_and_found(tmp_path, model):
    """With bytes and licence before and after; only what is read is fetched; then no hub is needed."""
    with serving({"org/net": model}) as (endpoint, asked):
        before = told(models(tmp_path, "--json", endpoint=endpoint, code=1))
        assert before["identity"] is None
        assert before["licence"] == "apache-2.0"
        assert "`vbuild models d --download` or `hf download org/net` gets it" in before["why"]
        assert not any("/resolve/" in path for path in asked)
        shown = models(tmp_path, "--download", endpoint=endpoint)
        assert f"hub:org/net@{COMMIT}" in shown
        assert any("model.safetensors" in path for path in asked)
        assert not any("tf_model.h5" in path or "pytorch_model.bin" in path for path in asked if "/resolve/" in path)
    after = told(models(tmp_path, "--json"))
    assert after["identity"] == f"hub:org/net@{COMMIT}"
    assert after["why"] == ""
    assert after["licence"] == "apache-2.0"
    assert after["bytes"] == sum(
        f.stat().st_size for f in model.iterdir() if f.suffix in (".json", ".safetensors", ".txt")
    )


@pytest.mark.parametrize(
    ("repo", "said"),
    [
        ("org/gated", "it is gated; accept its terms at"),
        ("org/none", "the hub shows no such model"),
        ("./nowhere", "there is no such folder"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_what_to_do(tmp_path, model, repo, said):
    """When it is listed, and when it is to be fetched."""
    with serving({"org/net": model, "org/gated": None}) as (endpoint, _):
        assert said in told(models(tmp_path, "--json", endpoint=endpoint, repo=repo, code=1))["why"]
        lines = models(tmp_path, "--download", endpoint=endpoint, repo=repo, code=2).splitlines()
    assert said in lines[-1]


def test_without_a_hub_it_is_said_at_once(tmp_path):
    """By name, with the reason."""
    why = told(models(tmp_path, "--json", code=1))["why"]
    assert why.startswith("model=org/net: it is not on this machine (the hub does not answer: ")
    assert "could not be fetched" in models(tmp_path, "--download", code=1)


def test_models_of_packages_are_listed_too(tmp_path, model):
    """And a folder by the digest of its files."""
    text = models(tmp_path, "--json", repo=str(model))
    assert told(text)["identity"].startswith("dir:")
    (nsfw,) = (one for one in json.loads(text) if one["instance"] == "stages.nsfw")
    assert (nsfw["role"], nsfw["model"], len(nsfw["identity"])) == ("weights", "", 32)
