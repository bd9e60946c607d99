"""The lock of stages: what their code and defaults were when somebody last said that their version tells the truth."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import vbuild
from vbuild import digest
from vbuild.fields import kind_from
from vbuild.media.versions import COVERS
from vbuild.recipes import defaults
from vbuild.stage import Stage, outputs

ROOT = Path(vbuild.__file__).parent
LOCK = Path(__file__).resolve().parents[1] / "tests" / "stages.lock.json"

PLUMBING = {"vbuild", "vbuild.request", "vbuild.stage", "vbuild.digest", "vbuild.errors", "vbuild.check", "vbuild.uris",
            "vbuild.fields", "vbuild.values", "vbuild.windows", "vbuild.models.devices",
            "vbuild.models.elsewhere", "vbuild.models.guest", "vbuild.models.identity"}  # fmt: skip
"""Modules that shape no value; also every `versions`."""

MARKS = ("knob", "wiring", "weights")
"""What makes fields that are in no key."""

VALUES = ("defaults", "writes")
"""What cannot change under one version, whatever somebody says of it."""


# what code says, however it is written


def normal(source: str) -> object:
    """A module less what cannot change what it does: comments, format, docstrings, hints, and imports for hints.

    Hints of a class's fields stay, for they make its fields and choose how values are read.
    """
    tree = _Normal().visit(ast.parse(source))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    body, imports = [], []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            origin = f"{'.' * node.level}{node.module}" if isinstance(node, ast.ImportFrom) else ""
            names = [a for a in node.names if (a.asname or a.name).split(".")[0] in used]
            imports += [(origin, a.name, a.asname or "") for a in names]
        else:
            body.append(_plain(node))
    return [sorted(imports), body]


class _Normal(ast.NodeTransformer):
    def visit_Expr(self, node):
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_If(self, node):
        self.generic_visit(node)
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.returns = None
        node.body = [_bare(n) for n in node.body] or [ast.Pass()]
        return node

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        node.body = [_unkeyed(n) for n in node.body] or [ast.Pass()]
        return node


def _bare(node):
    """A local name with a hint as one without."""
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return ast.Assign(targets=[node.target], value=node.value)
    return node


def _unkeyed(node):
    """A knob, a wiring or a name of weights without its default, which is in no key."""
    call = node.value if isinstance(node, ast.AnnAssign) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in MARKS:
        return ast.AnnAssign(target=node.target, annotation=ast.Name(id=call.func.id), simple=1)
    return node


def _plain(node: object) -> object:
    """A tree as plain values, alike under every Python: what is empty is left out."""
    if isinstance(node, ast.AST):
        kept = {n: _plain(v) for n, v in ast.iter_fields(node) if v not in (None, []) and n not in ("ctx", "kind")}
        return {"": type(node).__name__, **kept}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return node if isinstance(node, str | bytes | int | float | bool | None) else repr(node)


# what a stage is


def imported(module: str) -> set[str]:
    """The modules of vbuild that a module imports to run, wherever in it."""
    tree = _Normal().visit(ast.parse(path(module).read_text(encoding="utf-8")))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inner if _exists(name)} or {node.module}
    return {m for m in found if m.split(".")[0] == "vbuild" and m not in PLUMBING and not m.endswith(".versions")}


def _exists(module: str) -> bool:
    return module.startswith("vbuild.") and path(module).is_file()


def path(module: str) -> Path:
    """The file of a module."""
    return ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")


def reached(modules: set[str], stop: set[str]) -> set[str]:
    """Modules and all that they import, not looking into those of `stop`."""
    found: set[str] = set()
    left = set(modules)
    while left:
        module = left.pop()
        found.add(module)
        left |= set() if module in stop else imported(module) - found
    return found


def covered(number: str) -> set[str]:
    """The modules that a number in `uses` stands for."""
    if number in COVERS:
        return {f"vbuild.media.{name}" for name in COVERS[number]}
    return {f"vbuild.models.{number}"}


def source(modules: set[str]) -> str:
    """One digest of what modules do."""
    texts = {module: _lists(normal(path(module).read_text(encoding="utf-8"))) for module in modules}
    return digest.of("source", texts).hex()


def _lists(value: object) -> object:
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value


def classes() -> list[type[Stage]]:
    """Every stage and splitter that is shipped."""
    found = []
    for folder in ("stages", "split"):
        for file in sorted((ROOT / folder).glob("[!_]*.py")):
            module = importlib.import_module(f"vbuild.{folder}.{file.stem}")
            own = (v for v in vars(module).values() if inspect.isclass(v) and v.__module__ == module.__name__)
            found += [cls for cls in own if issubclass(cls, Stage)]
    return found


def now() -> dict[str, dict[str, object]]:
    """What stands in the code: per stage and per number the version, the code, and what a version promises."""
    found: dict[str, dict[str, object]] = {}
    numbers: dict[str, int] = {}
    for cls in classes():
        numbers |= cls.uses
        under = set().union(*map(covered, cls.uses))
        own = reached({cls.__module__}, under) - under
        default = {name: digest.of("default", v).hex() for name, v in defaults(cls).items() if _is_plain(v)}
        found[f"{cls.title()}.{cls.__name__}"] = {
            "version": cls.version, "source": source(own), "defaults": default, "writes": _written(cls),
        }  # fmt: skip
    for name, version in numbers.items():
        found[f"uses {name}"] = {"version": version, "source": source(covered(name))}
    return found


def _written(cls: type[Stage]) -> dict[str, str]:
    """What a stage writes; one whose parameters say so, with their defaults, if no weights have a say in it."""
    if not isinstance(cls.writes, Mapping) and any(f.metadata.get("weights") for f in fields(cls)):
        return {}
    written = cls.writes if isinstance(cls.writes, Mapping) else outputs(cls())
    return {name: str(kind_from(kind)) for name, kind in written.items()}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool | list | dict)


# the lock


def locked() -> dict[str, dict[str, object]]:
    """What was accepted last."""
    return json.loads(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else {}


def broken(was: dict, is_: dict) -> str | None:
    """Why something cannot be accepted as it is: another promise under the old version, or an older version."""
    if is_["version"] < was["version"]:
        return f"its version went back from {was['version']} to {is_['version']}; go on to {was['version'] + 1}"
    if is_["version"] > was["version"]:
        return None
    for part in VALUES:
        old, new = was.get(part, {}), is_.get(part, {})
        changed = [n for n in old if n in new and new[n] != old[n]]
        changed += [n for n in old.keys() ^ new.keys() if part == "writes"]
        if changed:
            what = "default" if part == "defaults" else "column"
            return f"the {what} of {', '.join(sorted(changed))!r} changed under version {is_['version']}; bump version"
    return None


def problems(was: dict, is_: dict) -> dict[str, str]:
    """What is not as it was accepted, with what to do."""
    found = {}
    for name in sorted(was.keys() | is_.keys()):
        if name in was and name in is_ and (why := broken(was[name], is_[name])):
            found[name] = why
        elif name not in is_:
            found[name] = "it is gone; run tools/accept"
        elif name not in was:
            found[name] = "it is new; run tools/accept"
        elif was[name]["version"] != is_[name]["version"]:
            found[name] = "it has a new version; run tools/accept"
        elif was[name] != is_[name]:
            found[name] = "its code changed and its version did not; bump it, or run tools/accept if it writes the same"
    return found


def accept(names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Takes what stands in the code into the lock, of some names or all. What was accepted, and what cannot be."""
    was, is_ = locked(), now()
    found = problems(was, is_)
    if unknown := [n for n in names if n not in found]:
        raise SystemExit(
            f"tools/accept: nothing to accept of {', '.join(unknown)}; there is {', '.join(found) or 'nothing'}"
        )
    chosen = [name for name in found if not names or name in names]
    refused = {n: found[n] for n in chosen if n in was and n in is_ and broken(was[n], is_[n])}
    done = [name for name in chosen if name not in refused]
    kept = {**was, **{name: is_[name] for name in done if name in is_}}
    kept = {name: value for name, value in sorted(kept.items()) if name in is_ or name not in done}
    LOCK.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return done, refused
