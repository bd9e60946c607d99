"""Composes a configuration: what people type, made what Hydra reads; what Hydra says, made one line."""

from __future__ import annotations

import os
import re
import typing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import KeyValidationError, OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from vbuild import secrets
from vbuild.check import hint
from vbuild.config import Config, checked
from vbuild.declared import CONF, datasets, user_conf
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = "config"
TEXTS = re.compile(r"where\.\w+|.*\.keep")
"""Keys whose values are SQL, which Hydra's grammar would read as its own."""

REFUSALS = (HydraException, OmegaConfBaseException, YAMLError, ValueError)
"""What Hydra raises for a wrong command line or file; ValueError for a null group, for flags that exclude others, and
for a file in another encoding."""

LITERAL = frozenset({"name", "source.path", "store", "output", "upstream"})
"""Keys whose values are texts, whatever they look like."""

PATHS = frozenset({"store", "output", "upstream", "source.path", "name"})
"""Keys that say where things lie: what the environment gives them is no secret, but in a url."""

ENV = re.compile(r"\boc\.env:\s*([^,}\s]+)")

SCALARS = frozenset({"name", "store", "output", "upstream", "locked", "shard"})


def register() -> None:
    """Gives the resolvers that the packaged configuration uses; both are pure."""
    for name, resolver in (("user_conf", _search_path), ("folder", _folder)):
        OmegaConf.register_new_resolver(f"vbuild.{name}", resolver, replace=True)


def _search_path() -> list[str]:
    own = user_conf()
    return [f"file://{own}"] if own else []


def _folder(path: Any) -> str:
    """The name of a dataset made of a folder: the folder's, of what may stand in a name."""
    first = path if not isinstance(path, ListConfig) else next(iter(path), "")
    stem = Path(str(first)).absolute()
    text = stem.stem if stem.suffix and not stem.is_dir() else stem.name
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.") or "videos"


def load(arguments: Sequence[str], *, sourced: bool = True) -> Config:
    """The checked configuration that overrides such as `+dataset=foo` and `stages.motion.fps=4` stand for.

    `sourced`: whether it must say where its videos are; else they are where the command runs, if it does not.

    Raises UsageError, with one line, for whatever is wrong with them.
    """
    overrides = rewritten(arguments)
    for argument in overrides:
        if "=" not in argument and not argument.startswith("~"):
            raise UsageError(f"{argument}: it is neither a command nor key=value; see vbuild --help")
    if not any(argument.startswith("+dataset=") for argument in overrides):
        raise UsageError(f"no dataset is named; give +dataset=NAME{hint('', [d.name for d in datasets()])}")
    composed = _composed(overrides)
    if not sourced and OmegaConf.is_missing(composed.get("source", {}), "path"):
        composed = _composed([*overrides, "++source.path=."])
    return config_composed(composed, choice(composed))


def assembled(arguments: Sequence[str], declared: str) -> Config:
    """The checked configuration of keys alone, that no file of a dataset declares. Raises UsageError."""
    return config_composed(_composed(rewritten(arguments)), declared)


def _composed(overrides: Sequence[str]) -> DictConfig:
    register()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3", job_name="vbuild"):
            return hydra_compose(ROOT, list(overrides), return_hydra_config=True)
    except REFUSALS as error:
        raise UsageError(reworded(error)) from error
    except OSError as error:
        raise UsageError(f"{error.filename}: it cannot be read ({error.strerror})") from error


def choice(composed: DictConfig) -> str:
    """The dataset's file, as Hydra chose it."""
    chosen = str(composed.hydra.runtime.choices.get("dataset"))
    if chosen.startswith("["):
        raise UsageError(f"dataset={chosen}: one dataset is built at a time; -m +dataset=a,b builds several")
    return chosen


def config_composed(composed: DictConfig, declared: str, *, suffix: str = "") -> Config:
    """The checked configuration of what Hydra composed."""
    names: Any = [key for key in composed if key != "hydra"]
    plain = OmegaConf.masked_copy(composed, names)
    missing = sorted(_missing(plain))
    if missing:
        raise UsageError("; ".join(f"{key}: a value is needed, give {key}=…" for key in missing))
    _hold(OmegaConf.to_container(plain, resolve=False))
    try:
        data = OmegaConf.to_container(plain, resolve=True)
    except OmegaConfBaseException as error:
        raise UsageError(reworded(error)) from error
    assert isinstance(data, dict)
    if suffix:
        data["name"] = f"{data.get('name') or declared}-{suffix}"
    return checked(typing.cast("dict[str, Any]", data), declared=declared)


def _hold(node: Any, path: str = "") -> None:
    """Takes for secrets what comes of the environment, but for what only says where things lie."""
    if isinstance(node, str) and path not in PATHS:
        for name in ENV.findall(node):
            secrets.hold(os.environ.get(name, ""))
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, item in pairs:
        _hold(item, path if isinstance(node, list) else f"{path}.{key}".lstrip("."))


def _missing(node: Any, path: str = "") -> Iterator[str]:
    """The keys that stand at ???; what is interpolated from one of them needs no value of its own."""
    keys: Iterable[Any] = node if isinstance(node, DictConfig) else ()
    for key in keys:
        if OmegaConf.is_missing(node, key):
            yield f"{path}{key}"
        elif not OmegaConf.is_interpolation(node, key):
            yield from _missing(node[key], f"{path}{key}.")


# what people type


def rewritten(arguments: Sequence[str], *, sweep: bool = False) -> list[str]:
    """Arguments as Hydra wants them: SQL and paths quoted, `+` where a name is new, flags as they are."""
    return _placed([_rewritten(argument, sweep=sweep) for argument in arguments])


def _rewritten(argument: str, *, sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    bare = key.lstrip("+~")
    if not equals or argument.startswith(("-", "~", "hydra")):
        return argument
    if bare == "dataset":
        names = [value] if value.startswith(("[", "'", '"')) else value.split(",")
        return f"+dataset={','.join(map(_quoted, names))}"
    if TEXTS.fullmatch(bare) or (bare in LITERAL and not (sweep and "," in value)):
        value = _quoted(value)
    if bare == key and "@" not in key and ("." in key or key in SCALARS):
        key = f"++{key}"
    return f"{key}={value}"


def _quoted(value: str) -> str:
    """A value in quotes, unless it is quoted, a list, null or empty."""
    if value in ("", "null", "???") or (len(value) > 1 and value[0] + value[-1] in ("''", '""', "[]")):
        return value
    escaped = re.sub(r"(\\*)('|\Z)", lambda part: part[1] * 2 + part[2].replace("'", "\\'"), value)
    return f"'{escaped}'"


def _placed(arguments: list[str]) -> list[str]:
    """`stage@stages.extra=motion` with a `+` where no stage of that name is there to be replaced; Hydra knows which."""
    made = list(arguments)
    for n, argument in enumerate(arguments):
        key = argument.partition("=")[0]
        if "@" in key and not argument.startswith(("+", "~", "-", "hydra")):
            register()
            try:
                with initialize_config_dir(str(CONF), version_base="1.3", job_name="vbuild"):
                    hydra_compose(ROOT, [a for a in made if "=" in a])
            except HydraException as error:
                if f"Could not override '{key}'" in str(error):
                    made[n] = f"+{argument}"
    return made


# what Hydra says


def reworded(error: Exception) -> str:
    """An error of Hydra or OmegaConf in one line, with the nearest name where a name is wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, YAMLError):
        return _unparsed(error)
    if isinstance(error, UnicodeDecodeError):
        return _undecoded(error)
    if isinstance(error.__cause__, KeyValidationError):
        where = error.__cause__.full_key or "a file of the dataset"
        return f"{where}: YAML reads a name in it as null or in another way that is no text; put the name in quotes"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group or 'config'}={name}: there is no such {group or 'config'}{hint(name, error.options or ())}"
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        return f"{error.override}: it cannot be read; put the value in quotes of its own, as in '{key}=\"{value}\"'"
    if text.startswith("Config group override must be") and "NoneType" not in text:
        return "a group, such as split, takes the name of one of its files, not a number"
    if text.startswith("Config group override must be"):
        return "a group, such as split, cannot be null; name one of its files, or null the keys that it gave"
    if match := re.match(r"In '([^']+)': .*Cannot merge DictConfig with ListConfig", text):
        return f"{match[1]}.yaml: a group of keys is expected, and it is a list"
    if match := re.search(r"Could not override '([^']+)'", text):
        groups = [path.name for path in CONF.iterdir() if path.is_dir() and path.name != "dataset"]
        keys = [f.name for f in fields(Config) if f.name != "declared"]
        return f"{match[1]}: there is no such key{hint(match[1], dict.fromkeys([*keys, *groups]))}"
    if match := re.search(r"Ambiguous value for argument '\+?(\w+)=", text):
        return f"{match[1]}: several values are given; name one, or use -m to build one after the other"
    if match := re.search(r"Multiple values for (\S+?)\.", text):
        return f"{match[1]}: it is given twice; name one, or use -m {match[1]}=a,b to build several"
    return text.split(" See https:")[0].split(" full_key:")[0]


def _unparsed(error: YAMLError) -> str:
    """What is no YAML, by its file and line."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return f"a file is no YAML: {' '.join(str(error).split())}"
    mark, context = error.problem_mark, error.context_mark
    since = f", {error.context} in line {context.line + 1}" if context and context.line != mark.line else ""
    return f"{mark.name} line {mark.line + 1}: it is no YAML: {error.problem}{since}"


def _undecoded(error: UnicodeDecodeError) -> str:
    """What is no UTF-8; Hydra does not say which file it read."""
    own = user_conf()
    for path in sorted(own.rglob("*.yaml")) if own else ():
        if (data := path.read_bytes()) == error.object or error.object in data:
            line = data.count(b"\n", 0, data.index(error.object) + error.start) + 1
            return f"{path} line {line}: it is no UTF-8; save it as UTF-8"
    return f"a file is no UTF-8: {error}"
