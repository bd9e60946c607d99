"""Turns plain data into dataclasses by their type hints, and says which key is wrong when it cannot."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from vbuild.errors import UsageError

T = TypeVar("T")


def into(cls: type[T], data: Any, where: str, *, known: Mapping[str, Any] | None = None) -> T:
    """A dataclass from a mapping. `where` is the path of the mapping; `known` gives fields that are made elsewhere.

    Raises UsageError for a key that the class does not have (with the nearest that it has), for a value of another
    type, for what is missing, and for what the class itself refuses (in a message that begins with the field's name),
    always with the key's path in front.
    """
    if not isinstance(data, Mapping):
        raise UsageError(f"{where or 'the configuration'}={data!r}: a group of keys is expected")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if not f.metadata.get("lent")}  # type: ignore[arg-type]
    values = dict(known or {})
    for key, value in data.items():
        if key in values:
            continue
        path = join(where, key)
        if key not in fields:
            raise UsageError(f"{path}: there is no such key{hint(str(key), fields)}")
        values[key] = convert(hints[key], value, path)
    for name, f in fields.items():
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise UsageError(f"{join(where, name)}: a value is needed; give {join(where, name)}=…")
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(f"{where}.{error}" if where else str(error)) from error


def join(where: str, key: Any) -> str:
    """The path of a key."""
    return f"{where}.{key}" if where else str(key)


def hint(name: str, names: Any) -> str:
    """The nearest of some names, as the end of a message; all of them if none is near and they are few."""
    listed = [str(n) for n in names]
    few = f"; there are {', '.join(sorted(listed))}" if 0 < len(listed) <= 60 else ""
    return nearest(name, listed) or few


def nearest(name: str, names: Any) -> str:
    """The nearest of some names, as the end of a message; nothing if none is near."""
    one = nearest_name(name, names)
    return f"; did you mean {one!r}?" if one else ""


def nearest_name(name: str, names: Any) -> str | None:
    """The nearest of some names, if one is near."""
    return next(iter(difflib.get_close_matches(name, [str(n) for n in names], 1, 0.5)), None)


def convert(kind: Any, value: Any, path: str) -> Any:
    """A value as a type hint wants it: `8`, `8.0` and `"8"` are one float, and one int."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _union(args, value, path)
    if kind is Any:
        return value
    if origin is Literal:
        if value not in args:
            raise UsageError(
                f"{path}={value}: it must be one of {', '.join(map(str, args))}{nearest(str(value), args)}"
            )
        return value
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(convert(args[0], item, f"{path}[{n}]") for n, item in enumerate(items))
        if len(items) != len(args):
            raise UsageError(f"{path}={value}: a list of {len(args)} values is expected")
        return tuple(convert(a, item, f"{path}[{n}]") for n, (a, item) in enumerate(zip(args, items, strict=True)))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise UsageError(f"{path}={value!r}: a group of keys is expected")
        return {str(key): convert(args[1], item, join(path, key)) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return into(typing.cast("type[Any]", kind), value, path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, value, path)
    return _scalar(kind, value, path)


def _member(kind: type[Enum], value: Any, path: str) -> Enum:
    """A member by its value, else by its name."""
    named = {**kind.__members__, **{str(member.value): member for member in kind}}
    chosen = value if isinstance(value, kind) else named.get(str(value))
    if chosen is None:
        members = [m.value if isinstance(m.value, str) else m.name for m in kind]
        raise UsageError(f"{path}={value}: it must be one of {', '.join(members)}{nearest(str(value), members)}")
    return chosen


def _union(args: tuple[Any, ...], value: Any, path: str) -> Any:
    """The first alternative that takes the value; None only for null."""
    if value is None and type(None) in args:
        return None
    rest = [a for a in args if a is not type(None)]
    for kind in rest:
        if isinstance(kind, type) and type(value) is kind:
            return value
    said: UsageError | None = None
    for kind in rest:
        try:
            return convert(kind, value, path)
        except UsageError as error:
            said = said or error
    raise said or UsageError(f"{path}={value!r}: no type takes it")


def _scalar(kind: Any, value: Any, path: str) -> Any:
    read: Any = None
    if kind is bool:
        read = {"true": True, "false": False}.get(str(value).lower()) if isinstance(value, bool | str) else None
    elif kind is float:
        read = _number(value)
    elif kind is int:
        number = value if isinstance(value, int) and not isinstance(value, bool) else _number(value)
        read = int(number) if number is not None and number == int(number) else None
    elif kind is str:
        read = value if isinstance(value, str) else None if isinstance(value, bool | list | dict) else value
        read = None if read is None else str(read)
    elif kind is Path:
        read = Path(value).expanduser() if isinstance(value, str | Path) and str(value) else None
    if read is None:
        names = {bool: "true or false", float: "a number", int: "a whole number", str: "a text", Path: "a path"}
        raise UsageError(f"{path}={value!r}: {names.get(kind, kind)} is expected")
    return read


def _number(value: Any) -> float | None:
    """A finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
