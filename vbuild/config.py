"""The dataclasses that a composed configuration is checked against."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from vbuild import places, uris
from vbuild.check import hint, into, join
from vbuild.contents import content
from vbuild.contract import executor_class, is_own, member_class, obeyed, of_code
from vbuild.decisions.decision import Decision
from vbuild.errors import UsageError
from vbuild.executor.config import ExecutorConfig, Local
from vbuild.stage import Decode, Stage, Windows, knob, revisions


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the videos come from."""

    path: tuple[str, ...]
    """A folder (read to the bottom), a glob, a video, a list of videos (.txt, .csv, .json, .jsonl, .parquet) or a tar
    archive of videos; or several of these. On this machine, or s3://, gs://, http(s):// and what else fsspec knows."""
    column: str | None = None
    """The column of a list that holds the paths; else the first of uri, path, video, file, url, filename. The others
    become columns of `videos`."""
    include: tuple[str, ...] = ()
    """Patterns as of a shell, for the whole path or the name; with any, only videos that meet one are taken."""
    exclude: tuple[str, ...] = ()
    """Patterns of videos that are left out."""
    extensions: tuple[str, ...] = (
        "mp4", "mov", "avi", "mkv", "webm", "m4v", "ts", "mpg", "mpeg", "flv", "ogv", "3gp", "wmv",
    )  # fmt: skip
    limit: int | None = None
    """The first so many videos, in order of their paths."""
    missing: Literal["keep", "drop"] = knob("keep")
    """What becomes of the clips of videos that the last build could read and this one cannot reach."""

    def __post_init__(self) -> None:
        """Refuses a source of nothing."""
        if not all(self.path) or not self.path:
            raise UsageError(f"path={list(self.path)}: a folder, a list or a video is needed")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit={self.limit}: must be 1 or more videos, or null for all")


SETTLED = 20
"""Actions that have run before the share of those that failed says anything."""


@dataclass(frozen=True, kw_only=True)
class FailurePolicy:
    """What becomes of actions that fail, and of those that failed before."""

    retry: Literal["never", "changed", "transient", "always"] = "changed"
    """Which of those that failed before are tried again: those that failed under other versions of the libraries, of
    vbuild or of their stage's code; those whose failure may pass (a worker that died, a limit); all."""
    attempts: int = knob(1)
    """How often an action whose failure may pass is tried in one build."""
    backoff: float = knob(1.0)
    """Seconds before the second attempt; each further one waits twice as long."""
    max: int | None = None
    """Actions that may fail in a build before it is ended; what was done is kept."""
    max_rate: float | None = None
    """The share of a build's actions that may fail, once 20 have run, before it is ended."""
    tolerate: float = 0.2
    """The share of a stage's actions that may fail, of 20 and more, before the build, which goes on, has failed."""

    def __post_init__(self) -> None:
        """Refuses what no build could do."""
        if self.attempts < 1:
            raise UsageError(f"attempts={self.attempts}: an action is tried at least once")
        if self.backoff < 0:
            raise UsageError(f"backoff={self.backoff}: must be 0 or more seconds")
        if self.max is not None and self.max < 0:
            raise UsageError(f"max={self.max}: must be 0 or more failures, or null for no limit")
        if self.max_rate is not None and not 0 <= self.max_rate <= 1:
            raise UsageError(f"max_rate={self.max_rate}: it is a share, from 0 to 1, or null for no limit")
        if not 0 <= self.tolerate <= 1:
            raise UsageError(f"tolerate={self.tolerate}: it is a share, from 0 to 1")

    def untolerated(self, failed: int, tried: int) -> str | None:
        """Of how many actions so many failed, if that is too much for one stage."""
        if failed and failed == tried:
            return f"all {tried} actions that it tried"
        if tried >= SETTLED and failed > self.tolerate * tried:
            return f"{failed} of {tried} actions, which is more than failures.tolerate={self.tolerate:g}"
        return None

    def exceeded(self, failed: int, ran: int | None) -> str | None:
        """Which limit a number of failures is over, of so many actions; None if it is over none."""
        if self.max is not None and failed > self.max:
            return f"failures.max={self.max}: {failed} actions failed"
        if self.max_rate is not None and ran is not None and failed > self.max_rate * ran:
            return f"failures.max_rate={self.max_rate:g}: {failed} of {ran} actions failed"
        return None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one clip, or one whole video, may take of a worker; more fails it, and all others go on."""

    seconds: float | None = knob(3600.0)
    """Wall seconds; a pass over several clips has as many times as long."""
    memory: float | None = knob(None)
    """GiB of data in one worker process (Linux)."""

    def __post_init__(self) -> None:
        """Refuses limits that nothing could keep."""
        for name in ("seconds", "memory"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name}={value}: must be more than 0, or null for no limit")

    def over(self, clips: int) -> float | None:
        """Seconds that so many clips together may take."""
        return None if self.seconds is None else self.seconds * max(clips, 1)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A target dataset, composed, checked and resolved to plain data."""

    name: str
    declared: str
    """The file in `conf/dataset/` that declared it."""
    source: Source
    split: Stage
    stages: Mapping[str, Stage | Decision]
    """In the order in which they are written."""
    where: Mapping[str, str] = field(default_factory=dict)
    windows: Windows = Windows()
    executor: ExecutorConfig = knob(Local())
    shard: int = knob(256)
    """Videos that move through the waves together."""
    failures: FailurePolicy = FailurePolicy()
    limits: Limits = Limits()
    decode: Decode = Decode()
    store: Path = Path("cache")
    output: Path = Path("cache/datasets")
    """The folder of the LanceDB databases."""
    upstream: str | None = knob(None)
    """Another store, a folder or a url, that is read where this one has no result."""
    locked: bool = knob(False)
    """Whether models, encoders and videos must be those that the dataset's lock holds."""

    def under(self, kind: type[T]) -> dict[str, T]:
        """What stands under `stages` and is of a kind: a stage, a decision, a dedup."""
        return {name: one for name, one in self.stages.items() if isinstance(one, kind)}

    def __post_init__(self) -> None:
        """Refuses shards of nothing."""
        if self.shard < 1:
            raise UsageError(f"shard={self.shard}: must be 1 or more videos")

    def by_path(self) -> dict[str, Stage]:
        """The splitter and every stage, by the path of its keys."""
        return {"split": self.split, **{f"stages.{name}": stage for name, stage in self.under(Stage).items()}}


NONE: Mapping[str, Any] = MappingProxyType({})

T = TypeVar("T")

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What a stage or a predicate may be called: it becomes a column, or a value of `dropped_by`."""

TAKEN = frozenset(
    [
        *("clip_id", "video_id", "uri", "start_s", "end_s", "duration_s", "start_pts", "end_pts"),
        *("source_w", "source_h", "source_fps"),
        *("kept", "dropped_by", "duplicate_of", "error", "warning", "row_digest"),
        *("base", "decisions", "probe", "source", "span", "split"),
    ]
)
"""Names that every dataset uses itself."""

FOLDER = re.compile(r"[\w.,=+@-]+")
"""What a dataset may be called: it becomes a folder."""


def checked(data: Mapping[str, Any], *, declared: str) -> Config:
    """The configuration of a dataset from composed plain data. Raises UsageError with the path of the key at fault."""
    stages, windows = _group(data, "stages"), _group(data, "windows")
    _texts(data)
    known: dict[str, Any] = {
        "declared": declared,
        "name": _name(declared if data.get("name") is None else data["name"]),
        "stages": {
            name: _member(value, f"stages.{name}", stages, windows)
            for name, value in stages.items()
            if value is not None
        },
        "where": {
            name: _sql(value, f"where.{name}") for name, value in _group(data, "where").items() if value is not None
        },
        "split": _split(data.get("split")),
        "executor": _executor(data.get("executor")),
        **{key: uris.folder(data[key], key) for key in ("store", "output") if isinstance(data.get(key), str)},
    }
    for kind in ("stages", "where"):
        for name in known[kind]:
            _identifier(kind, name, known["stages"] if kind == "where" else {})
    if not known["stages"]:
        raise UsageError("stages: the dataset has no stage; give it one, as in +stage@stages.motion=motion")
    known["stages"] = {name: _lent(name, known["stages"]) for name in known["stages"]}
    config = into(Config, data, "", known=known)
    return dataclasses.replace(config, store=config.store.absolute(), output=config.output.absolute())


def _lent(name: str, stages: Mapping[str, Any]) -> Any:
    """A stage with what it takes over of the stage that it reads, or of the one that this reads.

    One that names no model, here or served, has its model; one that compares words with vectors has what made them.
    """
    stage = stages[name]
    if not isinstance(stage, Stage):
        return stage
    nameless = "model" in revisions(stage) and stage.model is None and getattr(stage, "served", None) is None  # type: ignore[attr-defined]
    takes = [f.name for f in dataclasses.fields(stage) if f.metadata.get("lent")]
    lent: dict[str, Any] = {}
    for lender in _read_by(name, stages) if nameless or takes else ():
        if nameless and not lent and getattr(lender, "model", None) is not None and "model" in revisions(lender):
            lent = {"model": lender.model, "revision": lender.revision}  # type: ignore[attr-defined]
        if hasattr(lender, "embed_text"):
            if takes:
                from vbuild.embedding import encoded

                lent |= {} if encoded(lender) else dict.fromkeys(takes, lender)
            break
    return dataclasses.replace(stage, **lent) if lent else stage


def _read_by(name: str, stages: Mapping[str, Any]) -> Iterator[Stage]:
    """The stage that one reads by its first port, which is that of vectors, the one that this reads, and so on."""
    seen = [name]
    while isinstance(stage := stages[seen[-1]], Stage):
        of = stage.of
        if isinstance(of, Mapping):
            of = of.get(next(iter(stage.reads), "").rstrip("?"))
        if of is None or of in seen or not isinstance(stages.get(of), Stage):
            return  # who wires and who loads it says what is wrong
        seen.append(of)
        yield stages[of]


def _group(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    group = data.get(name)
    if group is not None and not isinstance(group, Mapping):
        raise UsageError(f"{name}={group!r}: a group of names is expected")
    return group or {}


def _texts(value: Any, path: str = "") -> None:
    """Refuses names of which YAML has made something else than a text."""
    for key, item in value.items() if isinstance(value, Mapping) else ():
        if isinstance(key, str):
            _texts(item, join(path, key))
        elif key is True and re.fullmatch(r"stages\.\w+|split", path):
            raise _renamed(path, item)
        else:
            made = str(key).lower() if isinstance(key, bool) else "a number" if isinstance(key, int | float) else key
            also = ", as it does on, off, yes and no" if isinstance(key, bool) else ""
            raise UsageError(f"{join(path, key)}: YAML reads this name as {made}{also}; put it in quotes")


def _renamed(path: str, value: Any) -> UsageError:
    return UsageError(f"{path}.on: it is called clips now; write clips: {value}")


def _name(text: Any) -> str:
    if not isinstance(text, str):
        raise UsageError(f"name={text}: YAML reads it as a number or a date, not as a text; put it in quotes")
    if not FOLDER.fullmatch(text) or text.startswith((".", "-")):
        raise UsageError(f"name={text!r}: a dataset's name is a folder's; use letters, digits and . , = + @ _ -")
    return text


def _identifier(kind: str, name: str, others: Mapping[str, Any]) -> None:
    path = join(kind, name)
    if not NAME.fullmatch(name):
        raise UsageError(f"{path}: a name starts with a small letter and goes on with small letters, digits and _")
    if name in TAKEN:
        raise UsageError(f"{path}: the name {name!r} is taken; call it otherwise")
    if isinstance(others.get(name), Decision):
        raise UsageError(f"{path}: a decision is called so too, and `dropped_by` could not tell them apart; rename one")


def _sql(value: Any, path: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{path}={value!r}: a condition in SQL is expected, such as 'motion_mean >= 0.001'")
    return value


MOVED: Mapping[str, str] = {"vbuild.stages.dedup.Dedup": "vbuild.decisions.dedup.Dedup"}
"""Where classes were that datasets and former builds name, and are; then a dedup had `clips`, which meant nothing."""


def _split(value: Any) -> Stage:
    split = _member(value, "split")
    if not isinstance(split, Stage):
        raise UsageError(f"split={type(split).__name__}: it is a decision; name a splitter, such as fixed_stride")
    return split


def _member(
    value: Any, path: str, others: Mapping[str, Any] = NONE, windows: Mapping[str, Any] = NONE
) -> Stage | Decision:
    """A stage or a decision from its keys; `_target_` is the path of its class.

    Of the section `windows`, a stage's own field of that type takes what it does not say itself.
    """
    if isinstance(value, Mapping) and "_target_" not in value and others:
        name = path.rpartition(".")[2]
        known = [n for n, other in others.items() if other is not value]
        raise UsageError(f"{path}: there is no such stage{hint(name, known)}; stage@{path}=KIND adds one")
    if not isinstance(value, Mapping) or not isinstance(value.get("_target_"), str):
        raise UsageError(f"{path}={value!r}: a stage is expected: a group of keys with _target_: the path of its class")
    cls = member_class(MOVED.get(value["_target_"], value["_target_"]), path)
    if "on" in value and "on" not in cls.__dataclass_fields__:
        raise _renamed(path, value["on"])
    keys = {key: item for key, item in value.items() if key != "_target_"}
    if issubclass(cls, Decision):
        return into(cls, {k: v for k, v in keys.items() if k != "clips" or value["_target_"] not in MOVED}, path)
    for name, kind in typing.get_type_hints(cls).items():
        own = keys.get(name)
        if kind is Windows and windows and (own is None or isinstance(own, Mapping)):
            keys[name] = {**windows, **(own or {})}
    stage = into(cls, keys, path) if is_own(cls) else _users(cls, keys, path)
    if stage.batch < 1:
        raise UsageError(f"{path}.batch={stage.batch}: must be 1 or more clips")
    return stage


def _executor(value: Any) -> ExecutorConfig:
    """Where tasks run, from its keys; without `_target_`, processes of this machine."""
    if value is not None and not isinstance(value, Mapping):
        raise UsageError(
            f"executor={value!r}: a group of keys is expected; executor=local or executor=inline names one"
        )
    keys = dict(value or {})
    if "shard" in keys:
        raise UsageError(f"executor.shard: it is called shard now; write shard={keys['shard']}")
    target = keys.pop("_target_", None)
    kind: type[ExecutorConfig] = Local if target is None else executor_class(str(target), "executor")
    return into(kind, keys, "executor")


def _users(cls: type[Stage], keys: Mapping[str, Any], path: str) -> Stage:
    """A user's stage, which may fail wherever its code is asked."""
    stage = of_code(cls, path, lambda: into(cls, keys, path), "making it")
    obeyed(stage, path)
    return stage


def without_knobs(config: Config) -> dict[str, Any]:
    """A configuration less its knobs as plain data: what a build may depend on.

    The store is named from the dataset's folder, which holds this, and the folder is not, so that both may be moved.
    """
    plain = _plain(config)
    assert isinstance(plain, dict)
    del plain["output"]
    return {**plain, "store": places.named_from(config.store, config.output / config.name)}


def _plain(value: Any, path: Callable[[Path], str] = str) -> Any:
    """Plain data. `path` says what stands for a path: of a stage's parameters it is what the file holds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = [f.name for f in dataclasses.fields(value) if not f.metadata.keys() & {"knob", "lent"}]
        path = content if isinstance(value, Stage | Decision) else path
        plain = {name: _plain(getattr(value, name), path) for name in kept}
        if isinstance(value, Stage | Decision):
            plain["_target_"] = f"{type(value).__module__}.{type(value).__qualname__}"
        if isinstance(value, Stage):
            plain["version"] = value.version
        return plain
    if isinstance(value, Mapping):
        return {key: _plain(item, path) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, path) for item in value]
    if isinstance(value, Enum):
        return value.value
    return path(value) if isinstance(value, Path) else value
