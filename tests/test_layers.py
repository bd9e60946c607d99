"""Imports go one way, files are short, and the page that says so is true."""

import ast
import re
from pathlib import Path

import pytest

import vbuild

ROOT = Path(vbuild.__file__).parent
PAGE = (ROOT / "DESIGN.md").read_text(encoding="utf-8")
ORDER = [line.split()[0] for line in re.search(r"```rooms\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()]
FILES = sorted(ROOT.rglob("*.py"))
MOST = 400

LATE = {("executor.config", "executor")}
"""What is imported upwards, when it is wanted: a configuration starts its executor."""


def name_of(path):
    """A module's name within the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def place(module):
    """The line of the page that a module stands in, the nearest; None for the package itself."""
    parts = module.split(".")
    found = [".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in ORDER]
    return found[0] if found else None


def imported(path):
    """The modules of the package that a file imports when it runs, wherever in it."""

    def visit(node):
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.If) and isinstance(inner.test, ast.Name) and inner.test.id == "TYPE_CHECKING":
                continue
            if isinstance(inner, ast.ImportFrom) and (inner.module or "").split(".")[0] == "vbuild":
                base = inner.module.partition(".")[2]
                for alias in inner.names:
                    whole = ".".join(filter(None, [base, alias.name]))
                    there = (ROOT / whole.replace(".", "/")).with_suffix(".py")
                    yield whole if there.exists() or (ROOT / whole.replace(".", "/")).is_dir() else base
            yield from visit(inner)

    return set(visit(ast.parse(path.read_text(encoding="utf-8"))))


def test_every_module_has_its_line_and_every_line_a_module():
    """The page knows all of them, and no other."""
    names = {name_of(path) for path in FILES} - {"__init__", "decisions"}
    assert {name for name in names if place(name) is None} == set()
    assert [line for line in ORDER if not any(n == line or n.startswith(f"{line}.") for n in names)] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_and_never_up(path):
    """A file imports what stands above it on the page, or beside it."""
    own = place(name_of(path))
    if own is None:
        return
    up = {
        other
        for module in imported(path)
        if (other := place(module)) and ORDER.index(other) > ORDER.index(own) and (own, other) not in LATE
    }
    assert up == set()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_can_be_held_in_the_head(path):
    """It has no more lines than that."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST


def test_what_a_stage_needs_is_exported():
    """By the package itself, each name once, in order."""
    assert len(set(vbuild.__all__)) == len(vbuild.__all__)
    assert all(getattr(vbuild, name) is not None for name in vbuild.__all__)
