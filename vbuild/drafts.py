"""Drafts of dataset files: commented yaml of what a person wants, with every parameter that could be set beside it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vbuild.check import hint
from vbuild.config import FOLDER
from vbuild.declared import CONF, names
from vbuild.described import Described, shipped
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MODEL = CONF / "dataset" / "folder.yaml"
"""The dataset whose stages, under the names that they have there, a draft has by default."""

SPLIT = "fixed_stride"

WIDTH = 118
"""Columns of the file."""


@dataclass(frozen=True)
class Wish:
    """What a person wants of a dataset."""

    name: str
    source: Sequence[str]
    split: str = SPLIT
    length: float | None = None
    """Seconds a clip, or at most."""
    stages: Sequence[str] = ()
    """Names of stages, or NAME=STAGE; none: those of the packaged dataset of folders."""
    where: Mapping[str, str] = field(default_factory=dict)
    about: str = ""


def usual() -> dict[str, str]:
    """Instance → stage of the packaged dataset of folders."""
    defaults = yaml.safe_load(MODEL.read_text(encoding="utf-8"))["defaults"]
    pairs = (item for entry in defaults if isinstance(entry, dict) for item in entry.items())
    return {key.partition("@stages.")[2]: stage for key, stage in pairs}


def write_draft(wish: Wish) -> Path:
    """Writes a draft to `./conf/dataset`, where no file of the name is, and makes sure that it can be built.

    Raises UsageError for a name that is taken or cannot be, and for what no dataset can be made of; then no file stays.
    """
    from vbuild.compose import load
    from vbuild.plan.order import arrange

    path = Path.cwd() / "conf" / "dataset" / f"{wish.name}.yaml"
    if not FOLDER.fullmatch(wish.name) or wish.name.startswith((".", "-")):
        raise UsageError(f"{wish.name}: a dataset's name is a file's; use letters, digits and . , = + @ _ -")
    if path.exists():
        raise UsageError(f"{path}: it is there already, and is not overwritten; delete it, or take another name")
    if wish.name in names():
        raise UsageError(f"{wish.name}: a dataset of vbuild's own is called so; take another name")
    text = draft(wish)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path}: it cannot be written ({error.strerror}); fix its rights") from error
    if "???" in text:  # what a person has yet to fill in
        return path
    try:
        arrange(load([f"+dataset={wish.name}"]), {})
    except UsageError:
        path.unlink()
        raise
    return path


def draft(wish: Wish) -> str:
    """The text of a dataset's file. Raises UsageError for a stage or a splitter that is not there."""
    known = shipped()
    chosen = _chosen(wish, known)
    split = known.get(wish.split)
    if split is None or split.kind != "splitter":
        splitters = [name for name, one in known.items() if one.kind == "splitter"]
        raise UsageError(f"{wish.split}: there is no such splitter{hint(wish.split, splitters)}")
    return "".join(line.rstrip() + "\n" for line in _lines(wish, chosen, split))


def _chosen(wish: Wish, known: Mapping[str, Described]) -> dict[str, Described]:
    """Instance → its stage, in the order asked for."""
    usually = usual()
    called = {stage: name for name, stage in usually.items()}
    pairs = usually
    if wish.stages:
        split = [stage.rpartition("=") for stage in wish.stages]
        pairs = {name or called.get(stage, stage): stage for name, _, stage in split}
    for stage in pairs.values():
        if stage not in known or known[stage].kind == "splitter":
            names_ = [name for name, one in known.items() if one.kind != "splitter"]
            raise UsageError(f"{stage}: there is no such stage{hint(stage, names_)}")
    return {name: known[stage] for name, stage in pairs.items()}


def _lines(wish: Wish, chosen: Mapping[str, Described], split: Described) -> Iterator[str]:
    yield "# @package _global_"
    yield f"# {wish.about or f'The dataset {wish.name}'}"
    yield f"# vbuild plan {wish.name} says what a build takes, vbuild build {wish.name} builds it. A line that begins"
    yield "# with a # and a key says what that is by default; take the # and the space behind it away to change it."
    yield "defaults:"
    for name, stage in chosen.items():
        yield from _wrapped(stage.about, "  # ")
        yield f"  - /stage@stages.{name}: {stage.name}"
    yield "  - _self_"
    if split.name != SPLIT:
        yield f"  - override /split: {split.name}"
    yield ""
    yield "source:"
    yield f"  path: {_yaml(list(wish.source) if len(wish.source) > 1 else wish.source[0])}"
    yield ""
    yield from _wrapped(split.about, "# ")
    yield "split:"
    length = "length" if split.name == SPLIT else "max"
    yield from _parameters(split, "  ", {length: wish.length})
    yield ""
    yield "# Clips are kept where all of these are true, in SQL over the columns of clips; null drops."
    yield "where:"
    for name, sql in wish.where.items():
        yield f"  {name}: {_yaml(sql)}"
    if "motion" in chosen and not wish.where:
        yield "  # still: motion_top_speed is null or motion_top_speed >= 4"
    yield ""
    yield "stages:"
    hashes = next((name for name, stage in chosen.items() if stage.name == "fingerprint"), None)
    for name, stage in chosen.items():
        yield f"  {name}:"
        of = hashes if stage.name == "dedup" else None
        yield from _parameters(stage, "    ", {"of": of} if stage.kind == "decision" else {"clips": None})


def _parameters(stage: Described, indent: str, given: Mapping[str, Any]) -> Iterator[str]:
    """The parameters of a stage: those that are given, None for as by default, and as comments all others."""
    for p in sorted(stage.parameters, key=lambda p: p.name not in given):
        if p.name in given or p.default is None:
            value = p.default if given.get(p.name) is None else _yaml(given[p.name])
            if p.name != "clips":
                yield from _wrapped(p.about, f"{indent}# ")
            comment = f"  # {p.kind}" if p.name == "clips" else ""
            yield f"{indent}{p.name}: {'???' if value is None else value}{comment}"
        elif p.role == "parameter":
            about = f"  # {p.about}" if p.about else ""
            yield from _wrapped(f"{p.name}: {p.default}{about}", f"{indent}# ")


def _wrapped(text: str, indent: str) -> list[str]:
    """A comment in lines; what goes on in a second line stands further in."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    ", break_long_words=False)


def _yaml(value: Any) -> str:
    """A value in one line of yaml."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1 << 20, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("...").strip()
