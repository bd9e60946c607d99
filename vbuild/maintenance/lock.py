"""A dataset's lock: the models, encoders and videos that a build of it found, beside the dataset's file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003  the checker reads the types
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vbuild import digest, source
from vbuild.check import into
from vbuild.contract import called
from vbuild.errors import StoreError, UsageError
from vbuild.store.place import replace as written

if TYPE_CHECKING:
    from vbuild.config import Config
    from vbuild.source import Identified

ENDING = ".lock.yaml"

HEAD = "# Written by `vbuild lock +dataset={name}`. With locked=true a build refuses what is not as it is here.\n"


@dataclass(frozen=True, kw_only=True)
class Videos:
    """A set of videos, each content once, wherever its files are."""

    count: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What a build resolves: each role of each stage, by the path of the stage's keys, and the videos."""

    videos: Videos
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Commits of a hub, or digests of files."""
    encoders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Builds of encoders, by their names."""

    def digest(self) -> str:
        """Of all that it holds."""
        return digest.of("lock", asdict(self)).hex()


def place(declared: str) -> Path:
    """Where the lock of a dataset is: beside the user's own files of datasets."""
    return Path.cwd() / "conf" / "dataset" / f"{declared}{ENDING}"


def present(config: Config, identified: Identified) -> Lock:
    """What is there now. Raises UsageError for a stage whose model is not."""
    stages = config.by_path()
    ids = sorted({value.tobytes() for row, value in enumerate(identified.ids) if row not in identified.errors})
    return Lock(
        videos=Videos(count=len(ids), digest=digest.of("videos", ids).hex()),
        models={name: models for name, stage in stages.items() if (models := dict(stage.models()))},
        encoders={name: encoders for name, stage in stages.items() if (encoders := dict(stage.encoders()))},
    )


def read_lock(config: Config) -> Lock | None:
    """A dataset's lock; None if it has none. Raises UsageError for a file that is none, and where one is needed."""
    path, again = place(config.declared), f"vbuild lock +dataset={config.declared} writes it"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return into(Lock, data, "")
    except FileNotFoundError as error:
        if config.locked:
            raise UsageError(f"locked=true: there is no {path}; {again}") from error
        return None
    except (OSError, ValueError, yaml.YAMLError, UsageError) as error:
        raise UsageError(f"{path}: it is no lock ({' '.join(str(error).split())}); {again} anew") from error


def make(config: Config) -> tuple[Path, Lock, list[str]]:
    """Writes a dataset's lock, whole or not at all: where, what it holds, and what the one before held otherwise.

    Raises UsageError for a stage whose model or encoder is not there and SourceError for a source that cannot be
    listed.
    """
    from vbuild.store.files import Files

    for name, stage in config.by_path().items():
        called(stage, "check", name)
    now = present(config, source.identify(source.list_videos(config.source), Files(config.store)))
    path = place(config.declared)
    try:
        before = read_lock(replace(config, locked=False))
    except UsageError:
        before = None
    text = HEAD.format(name=config.declared) + yaml.safe_dump(asdict(now), sort_keys=False, width=200)
    try:
        written(path, text.encode(), remedy="fix its rights")
    except StoreError as error:
        raise UsageError(str(error)) from error
    return path, now, lock_differences(before, now) if before else []


def lock_differences(held: Lock, now: Lock) -> list[str]:
    """In words, what is now not as a lock holds it; what a lock holds beside it is no difference."""
    return [
        *_roles("model", held.models, now.models),
        *_roles("encoder", held.encoders, now.encoders),
        *_videos(held.videos, now.videos),
    ]


def _roles(kind: str, held: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for stage, roles in now.items():
        for role, value in roles.items():
            other = held.get(stage, {}).get(role)
            if other != value:
                yield f"{stage}: {kind} {role} is {value}, and the lock holds {other or 'none'}"


def _videos(held: Videos, now: Videos) -> Iterator[str]:
    if held != now:
        others = " others" if held.count == now.count else ""
        yield f"source: {now.count} videos, and the lock holds {held.count}{others}"
