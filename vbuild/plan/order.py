"""Wires the stages of a dataset, orders them by what reads what, and cuts the order into waves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from vbuild.check import hint
from vbuild.config import TAKEN
from vbuild.contract import named
from vbuild.decisions.dedup import WORDS, Dedup
from vbuild.decisions.predicate import Predicate, columns_read, ordering_columns
from vbuild.errors import UsageError
from vbuild.fields import Scalar, Vector
from vbuild.media.versions import DEINTERLACE
from vbuild.recipes import recipe
from vbuild.stage import PHASES, Frames, Media, Stage, outputs, revisions
from vbuild.stages.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vbuild.config import Config
    from vbuild.digest import Recipe
    from vbuild.fields import Kind

NOTHING: Mapping[str, Kind] = MappingProxyType({})

PROBE = "probe"
SPLIT = "split"
SOURCE = "source"

TEXT, INTEGER, REAL = Scalar("string"), Scalar("int64"), Scalar("float64")

PROBE_WRITES = outputs(Probe())

GIVEN: Mapping[str, Mapping[str, Kind]] = {PROBE: PROBE_WRITES, SOURCE: {"uri": TEXT}}
"""What every stage may read by a port of that name: what the probe found, and where the video was found."""

BASE: Mapping[str, Kind] = {
    **dict.fromkeys(("clip_id", "video_id", "uri"), TEXT),
    **dict.fromkeys(("start_s", "end_s", "duration_s"), REAL),
    **dict.fromkeys(("start_pts", "end_pts", "source_w", "source_h"), INTEGER),
    "source_fps": REAL,
}
"""The columns of every clip, whatever its stages; predicates may read them."""

VIDEO: Mapping[str, str] = {"w": "width", "h": "height"} | {
    name: name for name in PROBE_WRITES if name not in ("width", "height")
}
"""Column of `videos` → the field of the probe that it is; predicates may read them, where no column of clips has the
name."""


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
        pinned = {marks[role]: told[role] for role in marks if role in told}
        return replace(self.stage, **pinned) if pinned else self.stage  # type: ignore[arg-type]

    @cached_property
    def writes(self) -> dict[str, Kind]:
        """Field → type."""
        return outputs(self.stage)

    @property
    def columns(self) -> dict[str, tuple[str, Kind]]:
        """Column of the dataset → (field, type) of the stage."""
        return {column(self.name, f): (f, kind) for f, kind in self.writes.items()}


@dataclass(frozen=True)
class Deduplication:
    """A dedup as it stands in a dataset: a decision over the vectors of one instance."""

    name: str
    rule: Dedup
    of: str
    """The instance whose vectors it compares."""
    reads: frozenset[str]
    """The columns that its order of keeping names."""


Deciding = Predicate | Deduplication

Member = TypeVar("Member", Instance, "Instance | Deduplication")


@dataclass(frozen=True)
class Wave:
    """Stages that run together on the same clips, and the decisions taken behind them."""

    stages: tuple[Instance, ...]
    decisions: tuple[Deciding, ...]


@dataclass(frozen=True)
class Order:
    """A dataset's stages in the order in which they run."""

    probe: Instance
    video: tuple[Wave, ...]
    """Stages of whole videos; they run before the split."""
    split: Instance
    waves: tuple[Wave, ...]
    """A dedup, where there is one, is the last decision of its wave."""

    @property
    def video_stages(self) -> list[Instance]:
        """All stages of videos, in order, from the probe to the split."""
        return [self.probe, *(instance for wave in self.video for instance in wave.stages), self.split]

    @property
    def clip_stages(self) -> list[Instance]:
        """All stages of clips, in order."""
        return [instance for wave in self.waves for instance in wave.stages]

    @property
    def decisions(self) -> list[Deciding]:
        """All decisions, in order."""
        return [decision for wave in self.waves for decision in wave.decisions]


def column(instance: str, f: str) -> str:
    """The name of a field's column in the dataset."""
    return f"{instance}_{f}" if f else instance


def arrange(config: Config, listed: Mapping[str, Kind] = NOTHING) -> Order:
    """The order of a dataset's stages and decisions. `listed` are the columns of the source's lists, with their types.

    By what reads what, then by phase, then as written. A predicate stands directly behind the last stage whose columns
    it reads. Raises UsageError for wiring that leads nowhere, a column that no stage writes, and circles.
    """
    probe = Instance(PROBE, Probe())
    stages, dedups, written = config.under(Stage), config.under(Dedup), list(config.stages)
    known = {**GIVEN, **{name: _outputs(f"stages.{name}", stage) for name, stage in stages.items()}}
    instances = {name: _wire(f"stages.{name}", stage, known) for name, stage in stages.items()}
    instances = {n: replace(i, deinterlace=config.decode.deinterlace) for n, i in instances.items()}
    split = _wire(SPLIT, config.split, known)
    _entitled({PROBE: probe.stage, **config.by_path()})
    clips = {name: i for name, i in instances.items() if i.stage.scope == "clip"}
    video = {name: i for name, i in instances.items() if i.stage.scope == "video"}
    _early({f"stages.{name}": i for name, i in video.items()} | {SPLIT: split}, clips)
    types = {**listed, **{name: PROBE_WRITES[f] for name, f in VIDEO.items()}, **_types(clips.values())}
    predicates = [Predicate(name, sql, columns_read(name, sql, types)) for name, sql in config.where.items()]
    deduplications = {name: _deduplication(name, rule, clips, types) for name, rule in dedups.items()}
    sequence = _sequence(clips, deduplications, written)
    return Order(
        probe=probe,
        video=tuple(_waves(_sorted(video, {name: _sources(i) & set(video) for name, i in video.items()}, written))),
        split=split,
        waves=tuple(_waves(_place(sequence, predicates))),
    )


def _outputs(path: str, stage: Stage) -> dict[str, Kind]:
    return named(path, lambda: outputs(stage))


def _early(video: Mapping[str, Instance], clips: Mapping[str, Instance]) -> None:
    """Raises UsageError for what is of whole videos, by its path, and reads what is of clips."""
    for path, instance in video.items():
        if late := sorted(_sources(instance) & set(clips)):
            raise UsageError(
                f"{path}.of={late[0]}: it is of clips, and {path} runs on whole videos, before there are any"
            )


def _entitled(stages: Mapping[str, Stage]) -> None:
    """Raises UsageError for two classes of one title: their results would be taken for each other's."""
    titles: dict[str, tuple[str, type[Stage]]] = {}
    for path, stage in stages.items():
        first, cls = titles.setdefault(stage.title(), (path, type(stage)))
        if cls is not type(stage):
            raise UsageError(
                f"{path}: its class {type(stage).__qualname__} and that of {first}, {cls.__qualname__}, are "
                f"both called {stage.title()!r} in the store; rename one class, or what its title() gives"
            )


def _wire(path: str, stage: Stage, known: Mapping[str, Mapping[str, Kind]]) -> Instance:
    """An instance with each port of its stage led to the instance that `of` names.

    A port that may stay unwired takes, where `of` names none, the instance of its own name, if there is one that fits.

    `path` is that of its keys, `known` what each instance writes.
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
    return Instance(name, stage, (*wired, *(_mentioned(path, column, others) for column in stage.mentions)))


def _mentioned(path: str, wanted: str, known: Mapping[str, Mapping[str, Kind]]) -> Port:
    """A column that a stage names, as a port. Raises UsageError for one that nobody writes, or that has no words."""
    owners = {column(source, f): (source, f) for source, fields in known.items() for f in fields}
    if wanted not in owners:
        raise UsageError(f"{path}: it names the column {wanted!r}, which no stage writes{hint(wanted, owners)}")
    source, f = owners[wanted]
    if isinstance(known[source][f], Vector) or known[source][f].blob:
        raise UsageError(f"{path}: it names the column {wanted!r}, which is {known[source][f]} and has no words")
    return Port(wanted, source, (f,))


def _types(instances: Iterable[Instance]) -> dict[str, Kind]:
    """Every column that a predicate or an order may name, with its type. Raises UsageError for one of two writers."""
    types: dict[str, Kind] = dict(BASE)
    writers = dict.fromkeys([*BASE, *TAKEN], "every dataset")
    for instance in instances:
        for name, (_, kind) in instance.columns.items():
            for part, t in kind.columns().items():
                other = writers.setdefault((name + part).lower(), instance.name)
                if other != instance.name:
                    raise UsageError(
                        f"stages.{instance.name}: {other} writes the column {name + part!r} too; rename it"
                    )
                types[name + part] = t
    return types


def owner(name: str, instances: Iterable[Instance]) -> Instance | None:
    """The instance that writes a column; None for a column that every clip has."""
    for instance in instances:
        for written, (_, kind) in instance.columns.items():
            if name in {written + part for part in kind.columns()}:
                return instance
    return None


def _deduplication(name: str, rule: Dedup, clips: Mapping[str, Instance], types: Mapping[str, Kind]) -> Deduplication:
    of = rule.of
    if of is None or of not in clips:
        raise UsageError(f"stages.{name}.of={of}: there is no such stage{hint(str(of), clips)}")
    if not isinstance(clips[of].writes.get(""), Vector):
        raise UsageError(f"stages.{name}.of={of}: {of} writes no vector; name an embedding stage")
    reads = frozenset[str]() if rule.keep in WORDS else ordering_columns(name, rule.keep, types)
    return Deduplication(name, rule, of, reads)


def _sources(instance: Instance) -> set[str]:
    return {port.source for port in instance.ports}


def _sequence(
    clips: Mapping[str, Instance], dedups: Mapping[str, Deduplication], written: list[str]
) -> list[Instance | Deduplication]:
    """Stages and dedups of clips in order."""
    members: dict[str, Instance | Deduplication] = {**clips, **dedups}
    needs: dict[str, set[str]] = {name: _sources(i) & set(clips) for name, i in clips.items()}
    for name, dedup in dedups.items():
        owners = (owner(c, clips.values()) for c in dedup.reads)
        needs[name] = {dedup.of, *(o.name for o in owners if o)}
    return _sorted(members, needs, written)


def _sorted(members: Mapping[str, Member], needs: Mapping[str, set[str]], written: Sequence[str]) -> list[Member]:
    """Members so that each stands behind what it needs; among those that may stand, by phase, then as written."""
    done: list[Member] = []
    left = sorted(members, key=lambda name: (PHASES.index(_phase(members[name])), written.index(name)))
    while left:
        placed = {m.name for m in done}
        name = next((n for n in left if needs[n] <= placed), None)
        if name is None:
            raise UsageError(f"stages: {', '.join(sorted(left))} read each other in a circle; change an `of`")
        left.remove(name)
        done.append(members[name])
    return done


def _phase(member: Instance | Deduplication) -> str:
    stage = member.stage if isinstance(member, Instance) else member.rule
    return stage.at or stage.phase


def _place(
    sequence: Sequence[Instance | Deduplication], predicates: Sequence[Predicate]
) -> list[Instance | Deduplication | Predicate]:
    """The sequence with every predicate directly behind the last stage that it reads."""
    stages = [member for member in sequence if isinstance(member, Instance)]
    behind: dict[str | None, list[Predicate]] = {}
    for predicate in predicates:
        owners = {o.name for c in predicate.reads if (o := owner(c, stages))}
        last = next((m.name for m in reversed(sequence) if m.name in owners), None)
        behind.setdefault(last, []).append(predicate)
    placed: list[Instance | Deduplication | Predicate] = list(behind.get(None, ()))
    for member in sequence:
        placed += [member, *behind.get(member.name, ())]
    return placed


def _waves(placed: Sequence[Instance | Deduplication | Predicate]) -> list[Wave]:
    """Cuts where a stage needs what the wave before it leaves: its columns, or the clips that are left of it.

    A decision ends a wave, unless all that comes behind it are cheap stages that share the wave's decode; a dedup ends
    one always, for it looks at all clips.
    """
    waves: list[Wave] = []
    stages: list[Instance] = []
    decisions: list[Deciding] = []

    def close() -> None:
        if stages or decisions:
            waves.append(Wave(tuple(stages), tuple(decisions)))
        stages.clear()
        decisions.clear()

    for member in placed:
        if isinstance(member, Instance):
            reads_wave = _sources(member) & {s.name for s in stages}
            if reads_wave or (decisions and not _shares(member, stages)):
                close()
            stages.append(member)
        else:
            decisions.append(member)
            if isinstance(member, Deduplication):
                close()
    close()
    return waves


def _shares(instance: Instance, wave: Sequence[Instance]) -> bool:
    """Whether a stage costs less with a wave, for clips that are dropped too, than by a decode of its own behind it."""
    cheap = not instance.stage.dear and _phase(instance) in ("measure", "embed")
    return cheap and all(any(i.stage.asks() is not None for i in stages) for stages in ([instance], wave))
