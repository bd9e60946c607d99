"""A vector by Cosmos-Embed1, by code of a checkpoint's own, in this interpreter and in another."""

import json
import re
from importlib.metadata import version

import lance
import numpy as np
import pytest
import tiny
from footage import video
from project import Project, ran

from vbuild.compose import load
from vbuild.engine.finish import environments
from vbuild.errors import UsageError
from vbuild.executor.config import Local
from vbuild.models import elsewhere
from vbuild.recipes import recipe
from vbuild.stage import Clip, Frames, Sampled, outputs
from vbuild.stages.cosmos_embed1 import PINNED, CosmosEmbed1

WORDS = ["a red car at night", "the dogs running"]


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Where transformers puts code of checkpoints, away from the user's own."""
    return tmp_path_factory.mktemp("modules")


@pytest.fixture(autouse=True)
def _apart(modules, monkeypatch):
    tiny.code_apart(modules, monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of vectors of 256 numbers."""
    return tiny.cosmos(tmp_path_factory.mktemp("cosmos") / "tiny")


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """Another interpreter."""
    return tiny.interpreter(tmp_path_factory.mktemp("second") / "env")


def stage(folder, **params):
    given = {"trust_remote_code": True, "dtype": "float32", "device": "cpu", **params}
    return CosmosEmbed1(model=str(folder), **given)


def clips(count=2, side=32):
    pixels = np.random.default_rng(5).integers(0, 256, (count, 8, side, side, 3), dtype=np.uint8)
    return [Clip(duration=1.0, frames=Sampled(some, np.arange(8.0))) for some in pixels]


def embedded(one, model, some):
    return np.stack([row[""] for row in one.run(some, model)])


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_vectors_are_those_of_the_checkpoints_own_code(folder, second, where):
    """Of its processor and its model, clip by clip, and of texts; made unit vectors."""
    from transformers import AutoModel, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    network = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    one = stage(folder, python=second if where == "elsewhere" else None)
    model = one.load()
    assert isinstance(model, elsewhere.Elsewhere) == (where == "elsewhere")
    for vector, clip in zip(embedded(one, model, clips(2)), clips(2), strict=True):
        videos = processor(videos=clip.frames.pixels.transpose(0, 3, 1, 2)[None])["videos"]
        wanted = network.get_video_embeddings(videos=videos).visual_proj[0].detach().numpy()
        assert vector == pytest.approx(wanted, abs=1e-6)
    wanted = network.get_text_embeddings(**processor(text=WORDS)).text_proj.detach().numpy()
    assert one.embed_text(WORDS, model) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_the_size_of_a_batch_changes_nothing(folder, second, where):
    """One, three or eight clips at once, beyond rounding."""
    one = stage(folder, python=second if where == "elsewhere" else None)
    model, some = one.load(), clips(8)
    found = {n: np.concatenate([embedded(one, model, some[at : at + n]) for at in range(0, 8, n)]) for n in (1, 3, 8)}
    assert found[1] == pytest.approx(found[8], abs=1e-6)
    assert found[3] == pytest.approx(found[8], abs=1e-6)
    assert np.abs(np.diff(found[8], axis=0)).max() > 1e-3


def project(tmp_path, one, **local):
    made = Project(tmp_path, {"ce": one})
    made.put("a.mp4", video(tmp_path / "long.mp4", seconds=2.0, fps=10, size=(64, 48)))
    made.put("b.mp4", video(tmp_path / "short.mp4", seconds=0.6, fps=5, size=(64, 48), seed=3))
    made.local = Local(**local)
    return made


def test_a_build_is_the_same_here_and_elsewhere(tmp_path, folder, second):
    """Every clip has a unit vector, however short it is, and what one build found the other takes."""
    here = project(tmp_path / "here", stage(folder), workers=0)
    there = project(tmp_path / "there", stage(folder, python=second, batch=2), workers=1)
    for one in (here, there):
        report = one.build()
        assert not report.failures
        assert ran(report)["ce"] == 3
    vectors, others = ({key: np.array(row["ce"]) for key, row in one.rows().items()} for one in (here, there))
    for key, vector in vectors.items():
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert vector == pytest.approx(others[key], abs=1e-6)
    here.stages["ce"] = stage(folder, python=second)
    assert ran(here.build()) == {}


def test_a_clip_without_a_frame_has_none(folder):
    """Among others that have."""
    one = stage(folder)
    empty = Clip(duration=1.0, frames=Sampled(np.empty((0,), np.uint8), np.empty(0)))
    rows = list(one.run([empty, *clips(1), empty], one.load()))
    assert [row[""] is None for row in rows] == [True, False, True]


@pytest.mark.parametrize(("dim", "side"), [(256, 224), (768, 336), (768, 448)])
def test_sizes_are_those_of_the_checkpoints_configuration(tmp_path, dim, side):
    """Of the vector and of the pictures, which reach to the clip's last."""
    one = stage(tiny.cosmos(tmp_path / "sizes", embed_dim=dim, resolution=side))
    assert str(outputs(one)[""]) == f"vector[{dim}]"
    assert one.asks() == Frames(count=8, ends=True, size=(side, side), kernel="bicubic")


def settings(folder, file="config.json", **changes):
    """Changes what a checkpoint's configuration says; None takes it away."""
    path = folder / file
    said = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
    return folder


def test_a_size_that_is_not_said_is_told(tmp_path):
    """Before anything is decoded; that of the processor's own configuration is as good."""
    folder = settings(tiny.cosmos(tmp_path / "unsaid"), resolution=None)
    assert stage(folder).asks().size == (32, 32)
    settings(folder, "processor_config.json", resolution=None)
    with pytest.raises(UsageError, match=r"resolution is None in config.json"):
        stage(folder).asks()


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_code_that_makes_other_vectors_than_are_said_is_told(tmp_path, second, where):
    """When it is loaded."""
    folder = settings(tiny.cosmos(tmp_path / f"other-{where}"), "processor_config.json", num_video_frames=4)
    with pytest.raises(ValueError, match="its code makes 256 numbers of 4 pictures of 32 pixels a side"):
        stage(folder, python=second if where == "elsewhere" else None).load()


@pytest.mark.parametrize("name", ["moments", "projection.weight"])
def test_a_weight_that_is_missing_is_named(tmp_path, folder, name):
    """The libraries would make one up."""
    from safetensors.torch import load_file, save_file

    broken = tiny.cosmos(tmp_path / f"missing-{name}")
    found = load_file(broken / "model.safetensors")
    save_file({n: w for n, w in found.items() if n != name}, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=re.escape(f"the checkpoint lacks {name}")):
        stage(broken).load()


def test_code_of_a_repository_runs_only_if_the_dataset_says_so(tmp_path, folder):
    """The stage's own yaml does; without it a build is refused."""
    assert load(["+dataset=folder", "source.path=.", "stage@stages.ce=cosmos_embed1"]).stages["ce"].trust_remote_code
    assert not CosmosEmbed1().trust_remote_code
    with pytest.raises(UsageError, match=r"stages.ce.trust_remote_code=false: the model is code of its repository"):
        project(tmp_path, stage(folder, trust_remote_code=False)).build()


def test_code_of_another_repository_is_refused(tmp_path):
    """Its commit would be nobody's."""
    named = {"AutoModel": "nvidia/Cosmos-Embed1-448p--modeling_embed1.CosmosEmbed1"}
    folder = settings(tiny.cosmos(tmp_path / "foreign"), auto_map=named)
    with pytest.raises(UsageError, match=r"its config.json has code of another repository run"):
        stage(folder).check()


@pytest.mark.parametrize("python", [None, "second"])
def test_another_transformers_than_the_codes_is_refused(tmp_path, second, python):
    """Of another major version: it may give other vectors without a word."""
    python = second if python else None
    folder = tiny.cosmos(tmp_path / "old", transformers="4.55.4")
    with pytest.raises(UsageError, match=re.escape(f"its transformers is {version('transformers')}, and the code")):
        stage(folder, python=python).check()
    stage(settings(folder, transformers_version=version("transformers")), python=python).check()


def test_an_interpreter_that_is_none_is_told_before_a_build(tmp_path, folder):
    """In one line."""
    one = project(tmp_path, stage(folder, python=str(tmp_path / "none")))
    with pytest.raises(UsageError, match=r"stages.ce.python=.*/none: it cannot be started"):
        one.build()


def test_a_model_that_dies_is_the_places_failure(tmp_path, second):
    """Nothing is put down of the clips, and its last words are told."""
    folder = tiny.cosmos(tmp_path / "deadly")
    code = folder / "modeling_tiny.py"
    dying = 'import os, sys\n        print("no more", file=sys.stderr)\n        os._exit(7)\n        seen ='
    code.write_text(code.read_text().replace("seen =", dying, 1))
    one = project(tmp_path, stage(folder, python=second), workers=1)
    report = one.build()
    assert len(report.wrong) == 1
    assert re.search("its process ended with exit code 7; it said: .*no more", report.wrong[0])
    assert not one.rows("failures")


def test_the_recipe_holds_weights_and_code_and_not_where_they_run(tmp_path, folder, second):
    """A changed line of the code is another model."""
    one = recipe(stage(folder))
    assert one.id == recipe(stage(folder, python=second, batch=2, trust_remote_code=False)).id
    assert set(one.params) == {"dtype"}
    other = tiny.cosmos(tmp_path / "changed")
    assert recipe(stage(other)).id == one.id
    (other / "modeling_tiny.py").write_text((other / "modeling_tiny.py").read_text().replace("tanh", "sin"))
    assert recipe(stage(other)).id != one.id


def test_the_versions_of_the_other_interpreter_are_locked(folder, second):
    """With a dataset's models."""
    assert not stage(folder).encoders()
    (told,) = stage(folder, python=second).encoders().values()
    assert f"transformers {version('transformers')}" in told


def test_the_versions_of_the_other_interpreter_stand_in_builds(tmp_path, folder, second):
    """Beside those of this one; of an interpreter that is gone nothing is told, and no build fails for it."""
    one = project(tmp_path, stage(folder, python=second))
    assert not one.build().failures
    (row,) = lance.dataset(str(one.store / "datasets" / one.name / "builds.lance")).to_table().to_pylist()
    told = json.loads(row["versions"])
    assert told["stages.ce.python"] == stage(folder, python=second).encoders()["python"]
    assert f"torch {version('torch')}" in told["stages.ce.python"]
    assert told["numpy"] == version("numpy")
    one.stages["ce"] = stage(folder, python=str(tmp_path / "gone"))
    assert environments(one.config()) == {}
    one.stages["ce"] = stage(folder)
    assert environments(one.config()) == {}


@pytest.mark.parametrize("size", ["224p", "448p"])
def test_each_size_has_a_preset(size):
    """With the commit that is known to serve."""
    made = load(["+dataset=folder", "source.path=.", f"stage@stages.ce=cosmos_embed1_{size}"]).stages["ce"]
    assert (made.model, made.trust_remote_code) == (f"nvidia/Cosmos-Embed1-{size}", True)
    assert made.revision == PINNED[made.model]


def test_the_published_repositories_are_held_to_a_commit():
    """Others, and paths, to what is there."""
    for name in ("224p", "336p", "448p"):
        assert re.fullmatch("[0-9a-f]{40}", CosmosEmbed1(model=f"nvidia/Cosmos-Embed1-{name}").revision)
    assert CosmosEmbed1(model="somebody/else").revision is None


DECLARED = """\
# @package _global_
# Clips that are searched by words
defaults:
  - /stage@stages.ce: cosmos_embed1
  - _self_
source: {{path: videos}}
split: {{length: 1, min: 0.5}}
stages: {{ce: {{model: {model}, dtype: float32, device: cpu, python: {python}}}}}
executor: {{workers: 0}}
"""


def test_a_search_runs_the_model_as_the_datasets_file_says(tmp_path, folder, second, monkeypatch, capsys):
    """In that environment, without a word; what is asked for goes before it, and another model's file says nothing."""
    from vbuild.cli.main import run

    (tmp_path / "videos").mkdir()
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    file = tmp_path / "conf" / "dataset" / "mine.yaml"
    file.write_text(DECLARED.format(model=folder, python=second))
    video(tmp_path / "videos" / "a.mp4", seconds=2.0, fps=8, size=(64, 48))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VBUILD_STORE", raising=False)
    assert run(["build", "mine"]) == 0
    capsys.readouterr()
    assert run(["query", "mine", "--near", "a red car", "--limit", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    with pytest.raises(UsageError, match=r"python=/none: it cannot be started"):
        run(["query", "mine", "--near", "a red car", "--knob", "ce.python=/none"])
    file.write_text(DECLARED.format(model=tiny.cosmos(tmp_path / "other", resolution=16), python=second))
    with pytest.raises(UsageError, match="trust_remote_code=false: the model is code of its repository"):
        run(["query", "mine", "--near", "a red car"])
    file.unlink()
    with pytest.raises(UsageError, match="trust_remote_code=false"):
        run(["query", "mine", "--near", "a red car"])
