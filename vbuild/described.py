"""What stages, splitters and decisions say of themselves, read from their code: for people, and with no second copy."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from vbuild.contract import member_class
from vbuild.decisions.decision import Decision
from vbuild.declared import CONF, user_conf
from vbuild.fields import kind_from
from vbuild.stage import Stage, by_parameters, declared_writes

if TYPE_CHECKING:
    from collections.abc import Iterator

Role = Literal["parameter", "weights", "knob", "wiring"]

NAMES = {bool: "true | false", int: "whole number", float: "number", str: "text", Path: "path", type(None): "null"}

FOLDERS = {"stage": "stage", "split": "splitter"}
"""Folder of a configuration → what its files are."""


@dataclass(frozen=True)
class Parameter:
    """One field of a stage."""

    name: str
    kind: str
    """Its type, as a person writes a value of it."""
    default: str | None
    """As in yaml; None where a value is needed."""
    about: str
    """Its docstring: what it is, and its unit."""
    role: Role
    """A `parameter` is in every key, and of `weights` what they are; a `knob` and the `wiring` are in none."""


@dataclass(frozen=True)
class Described:
    """One stage, splitter or decision."""

    name: str
    """Of its file in `conf/stage` or `conf/split`, or the path of its class."""
    kind: Literal["stage", "splitter", "decision"]
    target: str
    phase: str
    about: str
    """The first paragraph of its docstring."""
    text: str
    """All of it."""
    parameters: tuple[Parameter, ...]
    columns: dict[str, str]
    """Column that it makes in a dataset, under its own name → type."""
    version: int | None
    """None for a decision, which is in no key."""


def shipped() -> dict[str, Described]:
    """All stages, then all splitters, of the packaged configuration and of the user's own, by name."""
    members: dict[str, Described] = {}
    for folder, kind in FOLDERS.items():
        for conf in filter(None, (CONF, user_conf())):
            for path in sorted((conf / folder).glob("*.yaml")):
                data = yaml.safe_load(path.read_text(encoding="utf-8"))
                target = data.pop("_target_", None) if isinstance(data, dict) else None
                if isinstance(target, str) and path.stem not in members:
                    cls = member_class(target, f"{folder}={path.stem}")
                    members[path.stem] = described(cls, path.stem, data, splitter=kind == "splitter")
    return members


def shipped_files() -> dict[str, Path]:
    """The names of all stages and splitters, with their files; no class is loaded."""
    confs = [conf for conf in (user_conf(), CONF) if conf]
    return {path.stem: path for c in confs for folder in FOLDERS for path in sorted((c / folder).glob("*.yaml"))}


def described(
    cls: type[Stage | Decision], name: str, given: Mapping[str, Any] | None = None, *, splitter: bool = False
) -> Described:
    """What a class says of itself, as a stage called `name`. `given`: what the file of that name sets beside it."""
    text = inspect.cleandoc(cls.__doc__ or "")
    decides = issubclass(cls, Decision)
    return Described(
        name=name,
        kind="splitter" if splitter else "decision" if decides else "stage",
        target=f"{cls.__module__}.{cls.__qualname__}",
        phase="" if splitter else str(cls.phase),
        about=" ".join(text.partition("\n\n")[0].split()),
        text=text,
        parameters=tuple(_set(p, given or {}) for p in parameters(cls)),
        columns={} if splitter else shown_columns(cls, name),
        version=cls.version if issubclass(cls, Stage) else None,
    )


def shown_columns(member: Stage | Decision | type[Stage | Decision], name: str) -> dict[str, str]:
    """The columns of a dataset that a stage called so makes, with their types. A stage of videos makes few.

    None of a class whose columns depend on its parameters.
    """
    from vbuild.dataset.columns import arrow
    from vbuild.plan.wiring import column

    writes: Any
    if isinstance(member, type) and issubclass(member, Stage):
        writes = {} if by_parameters(member) else member.writes
    else:
        writes = declared_writes(member) if isinstance(member, Stage) else member.adds
    return {
        column(name, field) + part: arrow(shown.stored()[""])
        for field, kind in writes.items()
        for part, shown in kind_from(kind).columns().items()
    }


def parameters(cls: type[Stage | Decision]) -> Iterator[Parameter]:
    """A class's own fields, then those that every stage has."""
    told, hints = docs(cls), typing.get_type_hints(cls)
    decides = issubclass(cls, Decision)
    common = {f.name for f in dataclasses.fields(Decision if decides else Stage)}
    for f in sorted(dataclasses.fields(cls), key=lambda f: f.name in common):
        if f.metadata.get("lent"):
            continue
        wired = f.metadata.get("wiring") or (decides and f.name in ("of", "at"))
        marks: tuple[Role, ...] = ("knob", "weights")
        role = next((mark for mark in marks if f.metadata.get(mark)), "wiring" if wired else "parameter")
        yield Parameter(f.name, spelled_type(hints[f.name]), _default(f), told.get(f.name, ""), role)


def _set(p: Parameter, given: Mapping[str, Any]) -> Parameter:
    """A parameter with the default that a file gives it; `???` is none."""
    if p.name not in given:
        return p
    return dataclasses.replace(p, default=None if given[p.name] == "???" else as_yaml(given[p.name]))


def _default(f: dataclasses.Field[Any]) -> str | None:
    if f.default is not dataclasses.MISSING:
        return as_yaml(f.default)
    return None if f.default_factory is dataclasses.MISSING else as_yaml(f.default_factory())


def docs(cls: type) -> dict[str, str]:
    """Field → the docstring that stands under it, of a dataclass and of those that it is made from."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(typing.cast("type", base)))).body
        except (OSError, TypeError, ValueError, SyntaxError):
            continue  # typed into an interpreter
        body = node.body if isinstance(node, ast.ClassDef) else []
        for field, behind in itertools.pairwise(body):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant):
                texts[field.target.id] = " ".join(str(behind.value.value).split())
    return texts


def spelled_type(kind: Any) -> str:
    """A type hint as a person writes values of it."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return " | ".join(map(str, args))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(spelled_type, args))
    if origin is tuple:
        return f"list of {spelled_type(args[0])}" if args[-1] is Ellipsis else f"list of {len(args)}"
    if origin is not None and issubclass(origin, Mapping):
        return f"names with {spelled_type(args[1])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " | ".join(str(member.value) for member in kind)
    if dataclasses.is_dataclass(kind):
        return "{" + ", ".join(f.name for f in dataclasses.fields(kind)) + "}"
    return NAMES.get(kind, "any" if kind is Any else getattr(kind, "__name__", str(kind)))


def as_yaml(value: Any) -> str:
    """A value as it stands in yaml."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return as_yaml({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, Enum):
        return as_yaml(value.value)
    return '""' if value == "" else str(value)
