"""Where datasets are declared: the packaged configuration, and the user's own `./conf`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CONF = next(path for path in (HERE / "conf", HERE.parent / "conf") if path.is_dir())
"""The packaged configuration: inside the wheel, or beside the package in a checkout."""


def user_conf() -> Path | None:
    """The user's own `./conf`, if there is one that is not the packaged one."""
    own = Path.cwd() / "conf"
    return own if own.is_dir() and own.resolve() != CONF.resolve() else None


@dataclass(frozen=True)
class Declared:
    """A dataset that can be built."""

    name: str
    about: str
    """The first comment line of its file."""
    hides: bool = False
    """Whether it is packaged and stands before another one of the same name that is the user's."""


def datasets() -> list[Declared]:
    """Every dataset once, the packaged ones first."""
    packaged, own = _files(CONF), _files(user_conf())
    twice = {name for name in packaged.keys() & own.keys() if packaged[name].read_bytes() != own[name].read_bytes()}
    return [Declared(name, _about(path), name in twice) for name, path in (own | packaged).items()]


def names() -> list[str]:
    """The names of the datasets; no file is read."""
    return [*(_files(user_conf()) | _files(CONF))]


def _files(conf: Path | None) -> dict[str, Path]:
    """The files of datasets by name; their locks stand beside them."""
    paths = sorted((conf / "dataset").glob("*.yaml")) if conf else []
    return {path.stem: path for path in paths if not path.name.endswith(".lock.yaml")}


def _about(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    comments = (line[1:].strip() for line in lines if line.startswith("#"))
    return next((text for text in comments if not text.startswith("@package")), "")
