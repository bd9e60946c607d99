"""Every key of a dataset with its value, and where that was set: on the command line, in a file, or nowhere."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from vbuild.compose import ENV, ROOT, load, register, rewritten
from vbuild.declared import CONF, user_conf
from vbuild.described import as_yaml
from vbuild.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vbuild.config import Config

DEFAULT = "default"
"""Where a key was set that nobody set: in the code."""

COMMAND = "command line"


@dataclass(frozen=True)
class Setting:
    """One key."""

    key: str
    value: str
    """As in yaml."""
    origin: str
    """`default`, `command line`, or the file that set it last."""


def settings(arguments: Sequence[str]) -> list[Setting]:
    """Every key of the dataset that overrides stand for. Raises UsageError, as a build would."""
    config = load(arguments)
    told = _origins(rewritten(arguments))
    return [Setting(key, value, _origin(key, told)) for key, value in _leaves(config)]


def _origin(key: str, told: Mapping[str, str]) -> str:
    """Where a key was set, or the group that holds it, or, of a stage's windows, the section of that name."""
    parts = key.split(".")
    groups = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    origin = next((told[group] for group in groups if group in told), None)
    if origin is None and "windows" in parts[1:]:
        origin = told.get(".".join(parts[parts.index("windows", 1) :]))
    return origin or DEFAULT


def _leaves(config: Config) -> Iterator[tuple[str, str]]:
    """The keys of a configuration, with their values as in yaml."""
    for f in dataclasses.fields(config):
        if f.name != "declared":
            yield from _within(f.name, getattr(config, f.name))


def _within(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Stage):
        yield f"{key}._target_", f"{type(value).__module__}.{type(value).__qualname__}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for f in dataclasses.fields(value):
            yield from _within(f"{key}.{f.name}", getattr(value, f.name))
    elif isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _within(f"{key}.{name}", item)
    else:
        yield key, as_yaml(value)


def _origins(overrides: Sequence[str]) -> dict[str, str]:
    """Key → what set it last: the files in the order in which Hydra reads them, then the command line."""
    register()
    origins: dict[str, str] = {}
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="vbuild"):
        loader = GlobalHydra.instance().config_loader()
        read = loader.compute_defaults_list(ROOT, list(overrides), RunMode.RUN).defaults
    for file in read:
        path = _file(file.config_path or "")
        if path is not None:
            _take(origins, (file.package or "").replace("_global_", ""), OmegaConf.load(path), _name(path))
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if "@" not in key and not (CONF / key).is_dir():
            origins = {name: origin for name, origin in origins.items() if not name.startswith(f"{key}.")}
            origins[key] = COMMAND
    return origins


def _take(origins: dict[str, str], package: str, data: Any, name: str) -> None:
    """Puts down a file as what set the keys in it."""
    plain: Any = OmegaConf.to_container(data, resolve=False) if OmegaConf.is_config(data) else data
    for key, value in plain.items() if isinstance(plain, dict) else ():
        path = f"{package}.{key}".lstrip(".")
        if isinstance(value, dict) and value:
            _take(origins, path, value, name)
        else:
            given = [env for env in ENV.findall(str(value)) if os.environ.get(env)]
            origins[path] = f"${given[0]} ({name})" if given else name


def _file(path: str) -> Path | None:
    """The file of a part of the configuration; the packaged one stands before the user's. None for Hydra's own."""
    confs = [conf for conf in (CONF, user_conf()) if conf]
    return next((conf / f"{path}.yaml" for conf in confs if (conf / f"{path}.yaml").is_file()), None)


def _name(path: Path) -> str:
    """What a file is called: from here, or as vbuild's own."""
    own = user_conf()
    if own and path.is_relative_to(own):
        return str(path.relative_to(own.parent))
    return f"vbuild's {path.relative_to(CONF.parent)}"
