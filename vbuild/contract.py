"""Whether a user's class is what a stage must be; and its faults, and those of its code, in one line."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from vbuild.check import hint, nearest_name
from vbuild.decisions.decision import Decision
from vbuild.errors import UsageError, VbuildError, WeightsError
from vbuild.executor.boundary import guarded
from vbuild.executor.config import ExecutorConfig
from vbuild.fields import kind_from
from vbuild.recipes import is_param, recipe
from vbuild.stage import PHASES, Frames, Media, Packets, Request, Stage, Vectors, by_parameters, declared_writes
from vbuild.values import DIGEST, value_column

T = TypeVar("T")

RESERVED = ("key", "warning", "seconds", "created", "build")
"""Columns that the store has for every result."""

DECLARED = (
    "version", "phase", "writes", "reads", "mentions", "scope", "dear", "sink", "hosted", "partial", "uses",
)  # fmt: skip
"""What a stage says of itself beside its parameters."""

PACKAGE = Path(__file__).parent


class _CodeError(UsageError):
    """A user's code that failed, told with its key."""


def member_class(target: str, path: str) -> type[Stage | Decision]:
    """The class that `_target_` names: a stage, or a decision of vbuild's own.

    Raises UsageError, of that key, for what is neither or breaks the contract.
    """
    key = f"{path}._target_={target}"
    cls = _class_at(target, key, _is)
    if not _is(cls):
        raise UsageError(f"{key}: it is no stage; a stage is a dataclass made from vbuild.Stage")
    if not is_own(cls):
        for fault in _faults(cls):
            raise UsageError(f"{key}: {fault} ({_place(cls)})")
    return cls  # type: ignore[no-any-return]


def executor_class(target: str, path: str) -> type[ExecutorConfig]:
    """The class that `_target_` names: where tasks run. Raises UsageError, of that key, for what is none."""
    key = f"{path}._target_={target}"

    def fits(value: Any) -> bool:
        return inspect.isclass(value) and issubclass(value, ExecutorConfig) and dataclasses.is_dataclass(value)

    cls = _class_at(target, key, fits)
    if not fits(cls) or cls is ExecutorConfig:
        raise UsageError(f"{key}: it is no executor; one is a dataclass made from {ExecutorConfig.__module__}")
    return cls  # type: ignore[no-any-return]


def _class_at(target: str, key: str, fits: Callable[[Any], bool]) -> Any:
    """What stands at a path of Python's; of other things there that would fit, the nearest name is said."""
    module, _, name = target.rpartition(".")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    loaded = guarded(lambda: importlib.import_module(module), lambda error: _unloaded(error, module, key))
    cls = getattr(loaded, name, None)
    if cls is None:
        raise UsageError(f"{key}: there is no such class{hint(name, [n for n, v in vars(loaded).items() if fits(v)])}")
    return cls


def obeyed(stage: Stage, path: str) -> None:
    """Raises UsageError for a user's stage that cannot say what it asks for or what it is made of.

    One whose weights are not here says it when it is to run, as vbuild's own do.
    """
    with suppress(WeightsError):
        _obeyed(stage, path)


def _obeyed(stage: Stage, path: str) -> None:
    request = called(stage, "asks", path)
    if not isinstance(request, Request | None):
        raise UsageError(
            f"{_key(type(stage), path)}: asks() gives {type(request).__name__}, which is no request; give Frames, "
            f"Sound, Media, Packets, Vectors or None ({_place(type(stage))})"
        )
    for fault in _said(stage, request, path):
        raise UsageError(f"{_key(type(stage), path)}: {fault} ({_place(type(stage))})")
    named(path, lambda: of_code(type(stage), path, lambda: recipe(stage), "what its key is made of"))


def _said(stage: Stage, request: Request | None, path: str) -> Iterator[str]:
    """What is wrong with what a stage that is made says of itself."""
    if stage.sink and (request is None or isinstance(request, Vectors)):
        yield f"sink = True, and asks() gives {type(request).__name__}, of which a sink is fed nothing; write run()"
    if not stage.sink and isinstance(request, Media | Packets):
        yield f"asks() gives {type(request).__name__}, which only a sink is fed; say sink = True and write open()"
    windows = isinstance(request, Frames) and request.windows is not None
    if windows and (stage.sink or not stage.hosted):
        yield "asks() gives windows, for hosted stages that are no sinks; say hosted = True, write run(), join()"
    if stage.partial and not (windows or (stage.hosted and stage.sink)):
        yield "partial = True, and it is given no clip in parts; ask for windows"
    told = called(stage, "models", path)
    if not isinstance(told, Mapping) or not all(isinstance(text, str) for pair in told.items() for text in pair):
        yield f"models() gives {told!r}: a mapping of texts is expected, of roles to identities"
    if by_parameters(type(stage)):
        yield from _written(of_code(type(stage), path, lambda: declared_writes(stage), "writes"))


def called(stage: Stage, method: str, path: str) -> Any:
    """What a method of a stage gives. Raises UsageError for what goes wrong in it, of the stage's keys."""
    return named(path, lambda: of_code(type(stage), path, getattr(stage, method), f"{method}()"))


def named(path: str, call: Callable[[], T]) -> T:
    """What a call gives, whose UsageError begins with a field's name; `path` is that of the stage's keys."""
    try:
        return call()
    except _CodeError:
        raise
    except UsageError as error:
        kind = WeightsError if isinstance(error, WeightsError) else UsageError
        raise kind(f"{path}.{error}") from error


def of_code(cls: type[Stage], path: str, call: Callable[[], T], what: str) -> T:
    """What a call of a stage's code gives. Raises UsageError for what goes wrong in the code of a user's."""

    def told(error: BaseException) -> NoReturn:
        if is_own(cls) or isinstance(error, VbuildError | KeyboardInterrupt):
            raise error
        raise _CodeError(f"{_key(cls, path)}: {what} failed: {_line(error)}; mend it") from error

    return guarded(call, told)


def is_own(cls: type) -> bool:
    """Whether a class is one of vbuild's own."""
    return cls.__module__.partition(".")[0] == "vbuild"


def _is(value: Any) -> bool:
    if not isinstance(value, type) or value in (Stage, Decision):
        return False
    return issubclass(value, Stage) or (issubclass(value, Decision) and is_own(value))


def _key(cls: type[Stage], path: str) -> str:
    return f"{path}._target_={cls.__module__}.{cls.__qualname__}"


def _unloaded(error: BaseException, module: str, key: str) -> NoReturn:
    """Raises what is to be said of a module that cannot be imported."""
    if isinstance(error, KeyboardInterrupt):
        raise error
    if not module or (isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")):
        missing = error.name if isinstance(error, ModuleNotFoundError) else key.rpartition("=")[2]
        raise UsageError(f"{key}: there is no module {missing!r} that can be imported") from error
    if isinstance(error, SyntaxError) and error.filename:
        raise UsageError(f"{key}: {error.filename} line {error.lineno}: it is no Python: {error.msg}") from error
    if isinstance(error, ModuleNotFoundError):
        remedy = "install it, or mend the import"
    else:
        remedy = "write @dataclass(frozen=True, kw_only=True)" if "non-frozen" in str(error) else "mend it"
    raise UsageError(f"{key}: its module cannot be imported: {_line(error)}; {remedy}") from error


def _line(error: BaseException) -> str:
    """An exception in one line, with the innermost place in a user's code, or else in whatever it went through."""
    import sysconfig

    said = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    frames = [f for f in frames if not Path(f.filename).is_relative_to(PACKAGE)]
    installed = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    users = [f for f in frames if not any(Path(f.filename).is_relative_to(folder) for folder in installed)]
    at = (users or frames)[-1:]
    return f"{said} ({at[0].filename} line {at[0].lineno})" if at else said


def _place(cls: type[Stage]) -> str:
    """Where a class is written."""
    try:
        return f"{inspect.getfile(cls)} line {inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return cls.__module__


# the contract


def _faults(cls: Any) -> Iterator[str]:
    """What is wrong with a class, the first reason first."""
    if "__dataclass_fields__" not in vars(cls):
        yield "it is no dataclass; write @dataclass(frozen=True, kw_only=True) over it"
    for f in dataclasses.fields(cls):
        if f.name in DECLARED:
            yield f"{f.name} is no parameter; write {f.name} = … without a type, or with ClassVar"
        if callable(getattr(Stage, f.name, None)):
            yield f"{f.name} is a method of every stage; call the parameter otherwise"
        if not f.kw_only:
            yield f"{f.name} is given by place; write @dataclass(frozen=True, kw_only=True) over the class"
    if any(f.metadata.get("weights") for f in dataclasses.fields(cls)) and cls.models is Stage.models:
        yield "it has weights() and no models(), which tells its key what they are; write models()"
    yield from _undeclared(cls)
    if not by_parameters(cls):
        yield from _written(cls.writes)
    yield from _untyped(cls)
    yield from _mistyped(cls)
    method = "open" if cls.sink is True else "run"
    if getattr(cls, method) is getattr(Stage, method):
        other = "; one with open() says sink = True" if cls.open is not Stage.open else ""
        yield f"it has no {method}(), which gives the rows{other}"


def _undeclared(cls: Any) -> Iterator[str]:
    """What is wrong with what a class says of itself, but for `writes`."""
    own = [name for c in cls.__mro__ if c not in Stage.__mro__ for name in vars(c) if not name.startswith("_")]
    for name, example in (("version", "1"), ("phase", '"measure"'), ("writes", '{"": "float32"}')):
        if getattr(cls, name, None) is getattr(Stage, name, None):
            like = nearest_name(name, [n for n in own if n not in DECLARED])
            yield f"it has no {name}; {f'rename {like}' if like else f'write {name} = {example}'}"
    if not isinstance(cls.version, int) or isinstance(cls.version, bool):
        yield f"version={cls.version!r}: a whole number is expected; write version = 1"
    for name, known in (("phase", PHASES), ("scope", ("clip", "video")), ("sink", (True, False))):
        value = getattr(cls, name)
        if value not in known:
            yield f"{name}={value!r}: it must be one of {', '.join(map(str, known))}"
    for name in ("reads", "uses"):
        if not isinstance(getattr(cls, name), Mapping):
            yield f"{name}={getattr(cls, name)!r}: a mapping is expected"
    for port, fields in cls.reads.items():
        if (
            not isinstance(port, str)
            or not isinstance(fields, tuple | list)
            or not all(isinstance(f, str) for f in fields)
        ):
            yield f"reads={cls.reads!r}: a list of fields for each port is expected"
    if not all(isinstance(name, str) and type(number) is int for name, number in cls.uses.items()):
        yield f"uses={cls.uses!r}: a whole number for each name is expected"


def _written(writes: Any) -> Iterator[str]:
    """What is wrong with what a class, or a stage, says it writes."""
    if not isinstance(writes, Mapping):
        yield f"writes={writes!r}: a mapping is expected"
        return
    taken = dict.fromkeys(RESERVED, "every result")
    for name, kind in writes.items():
        if not isinstance(name, str) or not (name.isidentifier() or not name):
            yield f"writes {name!r}: a field's name becomes a column; use letters, digits and _"
        try:
            parts = kind_from(kind).columns()
        except UsageError as error:
            yield f"writes {name!r} as {error}"
            continue
        for stored in [value_column(name) + part for part in parts]:
            other = taken.setdefault(stored.lower(), f"the field {name!r}")
            other = "every result" if stored.startswith(DIGEST) else other
            if other != f"the field {name!r}":
                yield f"writes {name!r}: {other} has the column {stored!r} already; call it otherwise"


def _untyped(cls: Any) -> Iterator[str]:
    """Values in the class's body that look like parameters and are none, for they have no type."""
    fields = {f.name for f in dataclasses.fields(cls)}
    for c in cls.__mro__[: cls.__mro__.index(Stage)]:
        typed = inspect.get_annotations(c)
        for name, value in vars(c).items():
            declared = name in DECLARED or any(name in inspect.get_annotations(b) for b in c.__mro__)
            constant = name.startswith("_") or name.isupper() or isinstance(value, type | types.ModuleType)
            known = name in typed or (declared and name not in fields)
            if not known and not constant and not hasattr(value, "__get__"):
                kind = type(value).__name__ if value is not None else "int | None"
                yield f"{name} = {value!r} has no type; write {name}: {kind} = … for a parameter, or ClassVar"


def _mistyped(cls: Any) -> Iterator[str]:
    """Parameters of types that no configuration can give."""
    hints = guarded(lambda: typing.get_type_hints(cls), _line)
    if isinstance(hints, str):
        yield f"a parameter's type is not known when the program runs: {hints}; import it outside of TYPE_CHECKING"
        return
    for f in dataclasses.fields(cls):
        if is_param(f) and not _is_kind(hints[f.name]):
            yield (
                f"{f.name} has the type {hints[f.name]}, which no configuration can give; "
                "use bool, int, float, str, Path, an Enum, Literal, tuple, Mapping, a dataclass, or several by |"
            )


def _is_kind(kind: Any) -> bool:
    """Whether values of a type can be read from a configuration, and stand in a key."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind in (Any, bool, int, float, str, Path, type(None)) or origin is Literal:
        return True
    if origin in (typing.Union, types.UnionType, tuple) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return all(arg is Ellipsis or _is_kind(arg) for arg in args)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return all(isinstance(member.value, bool | int | float | str) for member in kind)
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)
