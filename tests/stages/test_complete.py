"""Stages and decisions are whole: each has its file, its configuration and its test."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from shipped import PRESETS

from vbuild.config import _member
from vbuild.decisions.decision import Decision
from vbuild.declared import CONF
from vbuild.described import parameters
from vbuild.stage import Stage

ROOT = Path(__file__).parents[2]

UNNAMED = frozenset(("__init__", "probe"))
"""Modules of `stages/` that no dataset names: every build begins with the probe."""

DECISIONS = frozenset(("balance", "cluster", "dedup", "folds"))
"""Modules of `decisions/` that a dataset names among its stages."""


def names(folder: Path, suffix: str, start: str = "") -> set[str]:
    return {path.stem.removeprefix(start) for path in folder.glob(f"{start}*{suffix}")}


def test_every_stage_has_a_configuration_and_a_test():
    """The names in `vbuild/stages`, `conf/stage` and `tests/stages` are the same, decisions apart."""
    stages = names(ROOT / "vbuild" / "stages", ".py") - UNNAMED
    assert names(CONF / "stage", ".yaml") == stages | DECISIONS | set(PRESETS)
    assert names(ROOT / "vbuild" / "decisions", ".py") >= DECISIONS
    assert names(ROOT / "tests" / "decisions", ".py", "test_") >= DECISIONS
    assert names(ROOT / "tests" / "stages", ".py", "test_") - {"complete", "probe"} == stages


@pytest.mark.parametrize("name", sorted(names(CONF / "stage", ".yaml")))
def test_a_configuration_tells_all_there_is_to_set(name):
    """Each names a stage of its own module, which says what it is, and a comment for each of its parameters."""
    path = CONF / "stage" / f"{name}.yaml"
    data = OmegaConf.to_container(OmegaConf.load(path))
    module = data["_target_"].rpartition(".")[0]
    base, folder = (Decision, "decisions") if name in DECISIONS else (Stage, "stages")
    assert module == f"vbuild.{folder}.{PRESETS.get(name, name)}"
    stage = _member(data, f"stages.{name}")
    assert isinstance(stage, base)
    assert type(stage).__doc__
    assert isinstance(stage, Decision) or type(stage).title() == PRESETS.get(name, name)
    if f"Keys: see {PRESETS.get(name)}." in path.read_text(encoding="utf-8"):
        return
    comments = "".join(line for line in path.read_text(encoding="utf-8").splitlines(True) if line.startswith("#"))
    own = set(type(stage).__annotations__) | (set(type(stage).__mro__[1].__annotations__) - set(base.__annotations__))
    for parameter in own & {p.name for p in parameters(type(stage))}:
        assert parameter in comments, f"{path.name} does not tell of {parameter}"
