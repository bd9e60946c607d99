"""What `vbuild` exports is all that a stage's author needs, and costs nothing until it is used."""

import ast
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import vbuild
from vbuild.fields import Scalar
from vbuild.recipes import recipe
from vbuild.stage import Stage, outputs

ROOT = Path(vbuild.__file__).parent
README = (ROOT.parent / "README.md").read_text(encoding="utf-8")
INNER = {"CELL"}
"""Names of `vbuild.stage` that shipped stages share with the pass."""


def imported(code: str) -> dict[str, set[str]]:
    """Module → the names that are imported from it."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, set())
        elif isinstance(node, ast.ImportFrom):
            found.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return found


def test_every_public_name_is_there():
    """Each is what its module has, and a name that is none is refused as Python does it."""
    assert vbuild.__all__ == sorted(vbuild.__all__)
    assert all(getattr(vbuild, name) is not None for name in vbuild.__all__)
    with pytest.raises(AttributeError, match="module 'vbuild' has no attribute 'Stages'"):
        vbuild.Stages  # noqa: B018


def test_checkers_know_every_public_name():
    """What is imported for them is what is exported."""
    told = imported((ROOT / "__init__.py").read_text(encoding="utf-8"))
    names = set().union(*(names for module, names in told.items() if module.partition(".")[0] == "vbuild"))
    assert names == set(vbuild.__all__)


def test_to_import_it_costs_nothing():
    """Nothing of it is loaded but itself, until a name is used; a stage's author loads no array."""
    code = "import sys, vbuild; print([m for m in sys.modules if m.startswith('vbuild.')]); "
    code += "vbuild.Stage, vbuild.fields.Vector(4); print({'numpy', 'pyarrow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nset()\n"


def test_the_stage_of_the_readme_imports_only_from_vbuild():
    """It is made, and says what it asks for and writes."""
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Redness(Stage)" in code)
    assert {module for module in imported(block) if module.startswith("vbuild")} == {"vbuild"}
    assert imported(block)["vbuild"] <= set(vbuild.__all__)
    module = types.ModuleType("redness")
    sys.modules["redness"] = module
    try:
        exec(block, vars(module))
    finally:
        del sys.modules["redness"]
    stage = module.Redness(frames=3)
    assert isinstance(stage, Stage)
    assert (stage.asks().count, outputs(stage)) == (3, {"": Scalar("float32")})


def test_the_model_of_ones_own_in_the_readme_runs(tmp_path, monkeypatch):
    """It imports what is public alone, and says a probability."""
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Indoors(Stage)" in code)
    assert imported(block)["vbuild"] <= set(vbuild.__all__)
    module = types.ModuleType("indoors")
    monkeypatch.setitem(sys.modules, "indoors", module)
    exec(block, vars(module))
    monkeypatch.chdir(tmp_path)
    torch.save({"2.weight": torch.zeros(1, 192), "2.bias": torch.zeros(1)}, "indoors.pt")
    stage = module.Indoors(count=2)
    clip = vbuild.Clip(duration=1.0, frames=vbuild.Sampled(np.zeros((2, 224, 224, 3), np.uint8), np.arange(2.0)))
    assert list(stage.run([clip], stage.load())) == [{"": 0.5}]
    assert recipe(stage).models == {"network": "indoors-2026-11"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("stages/[!_]*.py")), ids=lambda path: path.stem)
def test_what_shipped_stages_use_is_public(path):
    """Of the stage's own modules, so that a user may write what we do."""
    told = imported(path.read_text(encoding="utf-8"))
    used = set().union(*(told.get(f"vbuild.{name}", set()) for name in ("stage", "values", "windows", "errors")))
    assert used - INNER <= set(vbuild.__all__)
    assert all(hasattr(vbuild.fields, name) for name in told.get("vbuild.fields", ()))
