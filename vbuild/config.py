"""The dataclasses that a composed configuration is checked against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vbuild.stage import Stage, knob


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the videos come from."""

    path: tuple[str, ...]
    """A folder (read to the bottom), a glob, a video, or a list file (.txt: a path a line); or several of these."""
    extensions: tuple[str, ...] = (
        "mp4", "mov", "avi", "mkv", "webm", "m4v", "ts", "mpg", "mpeg", "flv", "ogv", "3gp", "wmv",
    )  # fmt: skip
    limit: int | None = None
    """The first so many videos, in order of their paths."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How a clip is cut into spans that get one caption each, in frames."""

    frames: int = 256
    remainder: int = 128
    min: int = 4


@dataclass(frozen=True, kw_only=True)
class Local:
    """Where actions run: processes on this machine."""

    workers: int | None = knob(None)
    """Processes; one a core by default. 0 runs everything in the build's own process."""
    shard: int = knob(256)
    """Videos that move through the waves together."""


@dataclass(frozen=True, kw_only=True)
class Failures:
    """What becomes of actions that failed before."""

    retry: Literal["never", "always"] = "never"


@dataclass(frozen=True, kw_only=True)
class Config:
    """A target dataset, composed, checked and resolved to plain data."""

    name: str
    declared: str
    """The file in `conf/dataset/` that declared it."""
    source: Source
    split: Stage
    stages: Mapping[str, Stage]
    where: Mapping[str, str] = field(default_factory=dict)
    windows: Windows = Windows()
    executor: Local = Local()
    failures: Failures = Failures()
    store: Path = Path("cache")
    output: Path = Path("cache/datasets")
    """The folder of the LanceDB databases."""
