"""What `stages` and `show-config` tell is what the code and the files say."""

import dataclasses
import json
import re

import pytest
import yaml

from vbuild.cli.main import run
from vbuild.contract import member_class
from vbuild.declared import CONF
from vbuild.described import as_yaml, docs, shipped, shown_columns
from vbuild.errors import UsageError
from vbuild.stages.motion import Motion
from vbuild.stages.transcode import Transcode

FILES = {path.stem: path for group in ("stage", "split") for path in (CONF / group).glob("*.yaml")}


def told(capsys, *arguments):
    """What a verb says as JSON."""
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_stage_and_splitter_is_listed(capsys):
    """Once, with what it does."""
    listed = told(capsys, "stages")
    assert sorted(one["name"] for one in listed) == sorted(FILES)
    assert all(one["about"].endswith((".", '."')) for one in listed)
    assert [one["name"] for one in listed if one["kind"] == "decision"] == [
        "balance",
        "cluster",
        "dedup",
        "folds",
    ]
    assert run(["stages"]) == 0
    text = capsys.readouterr().out
    assert all(one["about"] in text for one in listed)


@pytest.mark.parametrize("name", sorted(FILES))
def test_parameters_are_those_of_the_class(name):
    """All fields that may be given, each with its own default or what its file says, what is in no key said so, and its
    docstring."""
    one = shipped()[name]
    cls = member_class(one.target, name)
    fields = {f.name: f for f in dataclasses.fields(cls) if not f.metadata.get("lent")}
    said = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))
    assert {p.name for p in one.parameters} == fields.keys()
    for p in one.parameters:
        f = fields[p.name]
        if p.name not in said:
            default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
            assert p.default == as_yaml(default)
        elif p.name not in ("of", "file"):
            assert p.default == as_yaml(said[p.name])
        wired = bool(f.metadata) or (one.kind == "decision" and p.name in ("of", "at"))
        assert (p.role == "parameter") == (not wired)
        assert p.about == docs(cls).get(p.name, "")


def test_those_of_a_dataset_and_its_decisions_are_listed(capsys):
    """With what is set otherwise than by default, and the columns that they make."""
    added = ["+stage@stages.kind=cluster", "stages.kind.k=7", "+stage@stages.fold=folds"]
    rows = {row["instance"]: row for row in told(capsys, "stages", "+dataset=demo", *added)}
    assert rows["stages.dedup"]["stage"] == "dedup"
    assert rows["stages.kind"] == {
        "instance": "stages.kind",
        "stage": "cluster",
        "phase": "balance",
        "set": {"of": "embed", "k": "7"},
        "values": rows["stages.kind"]["values"],
        "columns": ["kind", "kind_distance"],
    }
    assert rows["stages.fold"]["columns"] == ["fold"]


def test_docstrings_of_fields_are_found():
    """Of the class itself and of those that it is made from."""
    said = docs(Motion)
    assert said["short_side"] == "Pixels to which the shorter side is shrunk for flow."
    assert said["batch"] == "Clips given to `run` at once."


def test_a_stage_is_told_in_full(capsys):
    """Its text, its parameters with values, defaults and units, and its columns."""
    assert run(["stages", "motion"]) == 0
    said = capsys.readouterr().out
    assert "motion: a stage of phase measure, version 2" in said
    assert " ".join(Motion.__doc__.split())[:200] in " ".join(said.split())
    assert re.search(r"^fps +number", said, re.MULTILINE)
    assert "flow | vectors" in said
    assert "NAME_min_patch  float32" in said


def test_columns_are_those_that_a_dataset_has():
    """Of blobs three, with their types."""
    found = shown_columns(Transcode(), "x")
    assert {"x_uri": "string", "x_bytes": "int64", "x_digest": "string"}.items() <= found.items()
    assert shown_columns(shipped_class("preview"), "p")["p_uri"] == "list<string>"
    assert shown_columns(shipped_class("perceptual"), "e") == {"e": "vector<float32>[329]"}


def shipped_class(name):
    return member_class(shipped()[name].target, name)


def test_a_class_of_ones_own_is_told_by_its_path(capsys):
    """As the shipped ones are."""
    one = told(capsys, "stages", "made.Tone")
    assert (one["kind"], one["phase"], one["columns"]) == (
        "stage", "measure", {"tone_mean": "float32", "tone_step": "int64"},
    )  # fmt: skip


def test_what_is_needed_has_no_default():
    """What a file leaves open is to be given."""
    (file,) = (p for p in shipped()["scenes"].parameters if p.name == "file")
    assert file.default is None


def test_a_name_of_nothing_gets_the_nearest():
    """Of stages, splitters and datasets."""
    with pytest.raises(UsageError, match="did you mean 'motion'"):
        run(["stages", "motoin"])
    with pytest.raises(UsageError, match="did you mean 'demo'"):
        run(["stages", "demos"])


def test_the_instances_of_a_dataset(capsys):
    """In the order in which they run, with what is set otherwise than by default, and their columns."""
    rows = {row["instance"]: row for row in told(capsys, "stages", "demo", "stages.motion.fps=4")}
    assert [*rows][:3] == ["split", "stages.changes", "stages.motion"]
    assert rows["stages.motion"]["set"] == {"fps": "4.0"}
    assert rows["stages.motion"]["values"]["short_side"] == "256"
    assert rows["stages.embed"]["columns"] == ["embed"]
    assert rows["where.black"]["set"] == {"": "quality_black < 0.5"}
    assert run(["stages", "demo"]) == 0
    assert "max=5.0" in capsys.readouterr().out


# show-config


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder to work in, with a dataset over the demo."""
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [demo, _self_]\nname: mine\nwhere: {still: null}\n"
        "stages: {preview: {height: 100}}\nwindows: {min: 3}\nupstream: ${oc.env:MY_UPSTREAM,null}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VBUILD_STORE", raising=False)
    return tmp_path


def test_every_key_says_where_it_was_set(own, capsys):
    """In the code, in which file, or on the command line; the last that set it, as Hydra has it."""
    rows = told(capsys, "show-config", "mine", "stages.motion.fps=4", "windows.frames=32")
    found = {row["key"]: (row["value"], row["origin"]) for row in rows}
    assert found["stages.motion.fps"] == ("4.0", "command line")
    assert found["stages.motion.short_side"] == ("256", "default")
    assert found["stages.motion._target_"][1] == "vbuild's conf/stage/motion.yaml"
    assert found["stages.preview.height"] == ("100", "conf/dataset/mine.yaml")
    assert found["stages.preview.windows.frames"] == ("32", "command line")
    assert found["stages.preview.windows.min"] == ("3", "conf/dataset/mine.yaml")
    assert found["stages.preview.windows.remainder"] == ("128", "default")
    assert found["split.max"] == ("5.0", "vbuild's conf/dataset/demo.yaml")
    assert found["store"] == (str(own / "cache"), "vbuild's conf/config.yaml")
    assert "where.still" not in found
    assert found["limits.seconds"] == ("3600.0", "default")


def test_what_the_environment_sets_is_said(own, capsys, monkeypatch):
    """By the name of the variable, and of what is a secret its value is not shown."""
    monkeypatch.setenv("VBUILD_STORE", str(own / "elsewhere"))
    found = {row["key"]: row for row in told(capsys, "show-config", "mine")}
    assert found["store"]["value"] == str(own / "elsewhere")
    assert found["store"]["origin"].startswith("$VBUILD_STORE ")


def test_only_what_is_set_is_shown_on_demand(own, capsys):
    """--set leaves out what is at its default."""
    assert run(["show-config", "mine", "--set", "stages.transcode.crf=30"]) == 0
    said = capsys.readouterr().out
    assert "stages.transcode.crf" in said
    assert "default" not in said.splitlines()[0]
    assert "stages.motion.short_side" not in said
