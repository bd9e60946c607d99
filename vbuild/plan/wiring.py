"""Instances of stages, and how they are wired: who reads what of whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from vbuild.check import hint
from vbuild.contract import named
from vbuild.errors import UsageError
from vbuild.fields import Scalar, Vector
from vbuild.media.versions import DEINTERLACE
from vbuild.recipes import recipe
from vbuild.stage import Frames, Media, Stage, lenders, outputs, revisions
from vbuild.stages.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vbuild.digest import Recipe
    from vbuild.fields import Kind

PROBE = "probe"
SPLIT = "split"
SOURCE = "source"
SPAN = "span"

TEXT, INTEGER, REAL = Scalar("string"), Scalar("int64"), Scalar("float64")

PROBE_WRITES = outputs(Probe())

GIVEN: Mapping[str, Mapping[str, Kind]] = {PROBE: PROBE_WRITES, SOURCE: {"uri": TEXT}, SPAN: {"duration": REAL}}
"""What every stage may read by a port of that name: what the probe found, where the video was found, and how many
seconds the clip (or the video) lasts."""

NOTHING: Mapping[str, Kind] = MappingProxyType({})


@dataclass(frozen=True)
class Port:
    """What one instance reads of another."""

    name: str
    """As the stage calls it."""
    source: str
    """The instance that writes it."""
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Instance:
    """A stage as it stands in a dataset: named and wired."""

    name: str
    stage: Stage
    ports: tuple[Port, ...] = ()
    deinterlace: bool = False
    """Whether interlaced frames are made whole before it sees them."""

    @cached_property
    def recipe(self) -> Recipe:
        """All that changes what it writes."""
        path = SPLIT if self.name == SPLIT else f"stages.{self.name}"
        made = named(path, lambda: recipe(self.stage))
        if self.deinterlace and isinstance(self.stage.asks(), Frames | Media):
            return replace(made, uses={**made.uses, "deinterlace": DEINTERLACE})
        return made

    @cached_property
    def held(self) -> Stage:
        """The stage as it is to run: held to the very weights that its recipe tells."""
        told, marks = self.recipe.models, revisions(self.stage)
        pinned: dict[str, Any] = {marks[role]: told[role] for role in marks if role in told}
        pinned |= {name: Instance(self.name, other).held for name, other in lenders(self.stage).items()}
        return replace(self.stage, **pinned) if pinned else self.stage

    @cached_property
    def writes(self) -> dict[str, Kind]:
        """Field → type."""
        return outputs(self.stage)

    @property
    def columns(self) -> dict[str, tuple[str, Kind]]:
        """Column of the dataset → (field, type) of the stage."""
        return {column(self.name, f): (f, kind) for f, kind in self.writes.items()}


def column(instance: str, f: str) -> str:
    """The name of a field's column in the dataset."""
    return f"{instance}_{f}" if f else instance


class Writer(Protocol):
    """What has columns in a dataset under its name."""

    @property
    def name(self) -> str:
        """As it is called in the dataset."""

    @property
    def columns(self) -> Mapping[str, tuple[str, Kind]]:
        """Column of the dataset → (field, type)."""


W = TypeVar("W", bound=Writer)


def owner(name: str, writers: Iterable[W]) -> W | None:
    """The instance, or the decision, that writes a column; None for a column that every clip has."""
    for writer in writers:
        for written, (_, kind) in writer.columns.items():
            if name in {written + part for part in kind.columns()}:
                return writer
    return None


def wire(
    path: str, stage: Stage, known: Mapping[str, Mapping[str, Kind]], listed: Mapping[str, Kind] = NOTHING
) -> Instance:
    """An instance with each port of its stage led to the instance that `of` names.

    A port that may stay unwired takes, where `of` names none, the instance of its own name, if there is one that fits.

    `path` is that of its keys, `known` what each instance writes, `listed` what lists say of a video.
    """
    name = path.rpartition(".")[2]
    ports = {port.rstrip("?"): port for port in stage.reads}
    given = {port: port for port in ports if port in GIVEN}
    free = [port for port in ports if port not in GIVEN]
    optional = {port: stage.reads[declared] for port, declared in ports.items() if declared.endswith("?")}
    named = {port: port for port, fields in optional.items() if set(fields) <= known.get(port, {}).keys()}
    of = given | named | (dict.fromkeys(free, stage.of) if isinstance(stage.of, str) else {**(stage.of or {})})
    for port in of:
        if port not in ports:
            raise UsageError(f"{path}.of: {name} has no input {port!r}{hint(port, ports)}")
    wired = []
    for port, declared in ports.items():
        source = of.get(port)
        if source is None:
            if not declared.endswith("?"):
                raise UsageError(f"{path}.of: say which stage gives {name} its input {port or 'column'!r}")
            continue
        if source not in known or source == name:
            raise UsageError(f"{path}.of={source}: there is no such stage{hint(source, known)}")
        fields = tuple(stage.reads[declared])
        for f in fields:
            if f not in known[source]:
                raise UsageError(
                    f"{path}.of={source}: {source} writes no {f or 'value'!r}; "
                    f"it writes {', '.join(x or 'its own name' for x in known[source])}"
                )
        wired.append(Port(port, source, fields))
    others = {other: written for other, written in known.items() if other != name}
    return Instance(name, stage, (*wired, *(_mentioned(path, name, others, listed) for name in stage.mentions)))


def _mentioned(path: str, wanted: str, known: Mapping[str, Mapping[str, Kind]], listed: Mapping[str, Kind]) -> Port:
    """A column that a stage names, as a port: a stage's, or a list's of the source.

    Raises UsageError for one that nobody writes, or that has no words.
    """
    owners = {column(source, f): (source, f) for source, fields in known.items() for f in fields}
    owners = {name: (SOURCE, name) for name in listed} | owners
    if wanted not in owners:
        raise UsageError(f"{path}: it names the column {wanted!r}, which no stage writes{hint(wanted, owners)}")
    if owners[wanted] == (SOURCE, wanted):
        return Port(wanted, SOURCE, (wanted,))
    source, f = owners[wanted]
    if isinstance(known[source][f], Vector) or known[source][f].blob:
        raise UsageError(f"{path}: it names the column {wanted!r}, which is {known[source][f]} and has no words")
    return Port(wanted, source, (f,))


def sources(instance: Instance) -> set[str]:
    """The instances that it reads."""
    return {port.source for port in instance.ports}
