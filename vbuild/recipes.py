"""Recipes of stages: what they are called, their version, and the parameters that change what they write."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from vbuild.code import source
from vbuild.contents import content
from vbuild.digest import Recipe, canonical
from vbuild.errors import UsageError
from vbuild.stage import Stage


def recipe(stage: Stage) -> Recipe:
    """The recipe of a stage: what it is called, its version, and the parameters whose effect is not the default's."""
    stage = stage.effective()
    given = {f.name: _param(f, getattr(stage, f.name)) for f in dataclasses.fields(stage) if is_param(f)}
    default = defaults(stage)
    params = {n: v for n, v in given.items() if n not in default or canonical(v) != canonical(default[n])}
    left = {n: v for n, v in default.items() if n not in params}
    kind: Any = type(stage)
    code = source(kind)
    return Recipe(stage.title(), stage.version, params, dict(stage.uses), dict(stage.models()), left, code)


def is_param(f: dataclasses.Field[Any]) -> bool:
    """Whether a field of a stage enters its recipe."""
    return not any(f.metadata.get(mark) for mark in ("knob", "wiring", "weights"))


def defaults(stage: Stage | type[Stage]) -> dict[str, Any]:
    """The parameters of a stage that have a default, with it, as a recipe would hold them.

    A file's path is no such default: what the file holds may change.
    """
    values = {}
    for f in dataclasses.fields(stage):
        default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        if is_param(f) and default is not dataclasses.MISSING and not _names_files(default):
            values[f.name] = _param(f, default)
    return values


def _names_files(value: Any) -> bool:
    if dataclasses.is_dataclass(value):
        return any(_names_files(getattr(value, f.name)) for f in dataclasses.fields(value))
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return isinstance(value, Path) or any(map(_names_files, items))


def _param(f: dataclasses.Field[Any], value: Any) -> Any:
    """A parameter as a recipe holds it. Raises UsageError, of its name, for a file that is not there."""
    try:
        return _plain(value, f.type)
    except UsageError as error:
        raise UsageError(f"{f.name}={error}") from error


def _plain(value: Any, kind: Any = "") -> Any:
    """A value as a recipe holds it. A whole number for a field that is a float is one, as the checker would make it."""
    if isinstance(value, tuple | list):
        return [_plain(item, kind) for item in value]
    if isinstance(value, Stage):
        return recipe(value).id
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {
            f.name: _plain(item) for f in fields if (item := getattr(value, f.name)) != f.default or _names_files(item)
        }
    if isinstance(value, Path):
        return content(value)
    if isinstance(value, Enum):
        return _plain(value.value)
    if type(value) is int and re.search(r"\bfloat\b", str(kind)) and not re.search(r"\bint\b", str(kind)):
        return float(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value
