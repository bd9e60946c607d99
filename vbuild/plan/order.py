"""Wires the stages of a dataset, orders them by what reads what, and cuts the order into waves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from vbuild.check import hint
from vbuild.config import TAKEN
from vbuild.contract import named
from vbuild.decisions.balance import Balance
from vbuild.decisions.cluster import Cluster
from vbuild.decisions.dedup import BY_CLUSTER, HASHES, WORDS, Dedup
from vbuild.decisions.folds import Folds
from vbuild.decisions.predicate import Predicate, bared, columns_read, ordering_columns
from vbuild.errors import UsageError
from vbuild.fields import Scalar, Vector
from vbuild.plan.lent import agree
from vbuild.plan.wiring import (
    GIVEN,
    INTEGER,
    NOTHING,
    PROBE,
    PROBE_WRITES,
    REAL,
    SPLIT,
    TEXT,
    Instance,
    Writer,
    column,
    owner,
    sources,
    wire,
)
from vbuild.stage import PHASES, Stage, outputs
from vbuild.stages.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vbuild.config import Config
    from vbuild.decisions.decision import Decision
    from vbuild.fields import Kind


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
class Deduplication:
    """A dedup as it stands in a dataset: a decision over the vectors, or the hashes of frames, of one instance."""

    name: str
    rule: Dedup
    of: str
    """The instance whose vectors or hashes it compares."""
    reads: frozenset[str]
    """The columns that its order of keeping names."""
    hashes: bool = False
    """Whether they are hashes of frames."""


@dataclass(frozen=True)
class Placing:
    """A decision that caps clips, or that puts each somewhere, as it stands in a dataset."""

    name: str
    rule: Balance | Cluster | Folds
    reads: frozenset[str] = frozenset()
    """The columns that it goes by."""

    @property
    def columns(self) -> dict[str, tuple[str, Kind]]:
        """Column that it makes → (field, type)."""
        return {column(self.name, f): (f, kind) for f, kind in self.rule.adds.items()}


KINDS = (Balance, Cluster, Folds)

Deciding = Predicate | Deduplication | Placing

Standing = Instance | Deduplication | Placing

Member = TypeVar("Member", Instance, "Instance | Deduplication | Placing")


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
    """A decision that looks at all clips together, where there is one, is the last of its wave."""

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

    @property
    def placings(self) -> list[Placing]:
        """Those of them that make columns, in order."""
        return [decision for decision in self.decisions if isinstance(decision, Placing) and decision.rule.adds]

    @property
    def writers(self) -> list[Writer]:
        """All that make columns of clips."""
        return [*self.clip_stages, *self.placings]


def together(decision: Deciding) -> bool:
    """Whether it looks at all clips together, so that all shards wait for one another; else at one by itself."""
    return not isinstance(decision, Predicate) and decision.rule.together


def arrange(config: Config, listed: Mapping[str, Kind] = NOTHING) -> Order:
    """The order of a dataset's stages and decisions. `listed` are the columns of the source's lists, with their types.

    By what reads what, then by phase, then as written. A predicate stands directly behind the last stage whose columns
    it reads. Raises UsageError for wiring that leads nowhere, a column that no stage writes, and circles.
    """
    probe = Instance(PROBE, Probe())
    stages, written = config.under(Stage), list(config.stages)
    known = {**GIVEN, **{name: _outputs(f"stages.{name}", stage) for name, stage in stages.items()}}
    instances = {name: wire(f"stages.{name}", stage, known, listed) for name, stage in stages.items()}
    instances = {n: replace(i, deinterlace=config.decode.deinterlace) for n, i in instances.items()}
    agree(instances)
    split = wire(SPLIT, config.split, known)
    _entitled({PROBE: probe.stage, **config.by_path()})
    clips = {name: i for name, i in instances.items() if i.stage.scope == "clip"}
    video = {name: i for name, i in instances.items() if i.stage.scope == "video"}
    _early({f"stages.{name}": i for name, i in video.items()} | {SPLIT: split}, clips)
    placings = {name: Placing(name, rule) for name, rule in config.stages.items() if isinstance(rule, KINDS)}
    probed = {name: PROBE_WRITES[f] for name, f in VIDEO.items()}
    own = _types([*clips.values(), *placings.values()])
    types = {**listed, **probed, **own}
    where = {name: bared(name, sql, own) for name, sql in config.where.items()}
    predicates = [Predicate(name, sql, columns_read(name, sql, types)) for name, sql in where.items()]
    decisions: dict[str, Deduplication | Placing] = {
        name: _deduplication(name, rule, clips, types) for name, rule in config.under(Dedup).items()
    }
    decisions |= {name: replace(p, reads=_placed_by(p, clips, types)) for name, p in placings.items()}
    sequence = _sequence(clips, decisions, written)
    return Order(
        probe=probe,
        video=tuple(_waves(_sorted(video, {name: sources(i) & set(video) for name, i in video.items()}, written))),
        split=split,
        waves=tuple(_waves(_place(sequence, predicates))),
    )


def _outputs(path: str, stage: Stage) -> dict[str, Kind]:
    return named(path, lambda: outputs(stage))


def _early(video: Mapping[str, Instance], clips: Mapping[str, Instance]) -> None:
    """Raises UsageError for what is of whole videos, by its path, and reads what is of clips."""
    for path, instance in video.items():
        if late := sorted(sources(instance) & set(clips)):
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


def _types(writing: Iterable[Writer]) -> dict[str, Kind]:
    """Every column that a predicate or an order may name, with its type. Raises UsageError for one of two writers."""
    types: dict[str, Kind] = dict(BASE)
    writers = dict.fromkeys([*BASE, *TAKEN], "every dataset")
    for instance in writing:
        for name, (_, kind) in instance.columns.items():
            for part, t in kind.columns().items():
                other = writers.setdefault((name + part).lower(), instance.name)
                if other != instance.name:
                    raise UsageError(
                        f"stages.{instance.name}: {other} writes the column {name + part!r} too; rename it"
                    )
                types[name + part] = t
    return types


def _deduplication(name: str, rule: Dedup, clips: Mapping[str, Instance], types: Mapping[str, Kind]) -> Deduplication:
    reads = frozenset[str]() if rule.keep in WORDS else ordering_columns(name, rule.keep, types)
    if rule.of is None or rule.of not in clips or clips[rule.of].writes.get("") != HASHES:
        return Deduplication(name, rule, _embedding(name, rule.of, clips), reads)
    if rule.keep in BY_CLUSTER or rule.reach is not None:
        said = "reach" if rule.reach is not None else "keep"
        raise UsageError(f"stages.{name}.{said}={getattr(rule, said)}: {rule.of} writes no vector, of which it speaks")
    return Deduplication(name, rule, rule.of, reads, hashes=True)


def _embedding(name: str, of: str | None, clips: Mapping[str, Instance]) -> str:
    """The instance whose vectors a decision goes by."""
    if of is None or of not in clips:
        raise UsageError(f"stages.{name}.of={of}: there is no such stage{hint(str(of), clips)}")
    if not isinstance(clips[of].writes.get(""), Vector):
        raise UsageError(f"stages.{name}.of={of}: {of} writes no vector; name an embedding stage")
    return of


def _placed_by(placing: Placing, clips: Mapping[str, Instance], types: Mapping[str, Kind]) -> frozenset[str]:
    """The columns that a decision goes by. Raises UsageError for what does not fit."""
    name, rule = placing.name, placing.rule
    if isinstance(rule, Cluster):
        return frozenset([_embedding(name, rule.of, clips)])
    if isinstance(rule, Folds):
        return frozenset([_grouping(f"stages.{name}.by", rule.by, types, placing.columns)])
    if rule.most is None and rule.share is None:
        raise UsageError(f"stages.{name}.most: say how many clips of one value stay, as in most=100 or share=0.1")
    grouped = {_grouping(f"stages.{name}.of", wanted, types) for wanted in rule.of}
    return ordering_columns(name, rule.keep, types) | grouped


def _grouping(path: str, wanted: str, types: Mapping[str, Kind], own: Iterable[str] = ()) -> str:
    """A column by whose values clips are taken together."""
    if wanted not in types or wanted in own:
        raise UsageError(f"{path}={wanted}: no stage writes such a column{hint(wanted, types)}")
    if not isinstance(types[wanted], Scalar):
        raise UsageError(f"{path}={wanted}: it is {types[wanted]}; name a column of texts, numbers or truths")
    return wanted


def _sequence(
    clips: Mapping[str, Instance], decisions: Mapping[str, Deduplication | Placing], written: list[str]
) -> list[Standing]:
    """Stages and decisions of clips in order."""
    members: dict[str, Standing] = {**clips, **decisions}
    needs: dict[str, set[str]] = {name: sources(i) & set(clips) for name, i in clips.items()}
    writing = _writing(members.values())
    for name, decision in decisions.items():
        owners = (owner(c, writing) for c in decision.reads)
        needs[name] = {o.name for o in owners if o}
        if isinstance(decision, Deduplication):
            needs[name].add(decision.of)
    return _sorted(members, needs, written)


def _writing(members: Iterable[Standing]) -> list[Writer]:
    return [member for member in members if not isinstance(member, Deduplication)]


def _sorted(members: Mapping[str, Member], needs: Mapping[str, set[str]], written: Sequence[str]) -> list[Member]:
    """Members so that each stands behind what it needs; among those that may stand, by phase, then as written.

    What puts a clip somewhere by itself, for nothing, comes first of its phase: a condition on it thus comes early.
    """

    def place(name: str) -> tuple[int, bool, int]:
        member = members[name]
        free = isinstance(member, Placing) and not member.rule.together
        return PHASES.index(_phase(member)), not free, written.index(name)

    done: list[Member] = []
    left = sorted(members, key=place)
    while left:
        placed = {m.name for m in done}
        name = next((n for n in left if needs[n] <= placed), None)
        if name is None:
            raise UsageError(f"stages: {', '.join(sorted(left))} read each other in a circle; change an `of`")
        left.remove(name)
        done.append(members[name])
    return done


def _phase(member: Standing) -> str:
    stage: Stage | Decision = member.stage if isinstance(member, Instance) else member.rule
    return stage.at or stage.phase


def _place(sequence: Sequence[Standing], predicates: Sequence[Predicate]) -> list[Standing | Predicate]:
    """The sequence with every predicate directly behind the last stage, or decision, that it reads."""
    stages = _writing(sequence)
    behind: dict[str | None, list[Predicate]] = {}
    for predicate in predicates:
        owners = {o.name for c in predicate.reads if (o := owner(c, stages))}
        last = next((m.name for m in reversed(sequence) if m.name in owners), None)
        behind.setdefault(last, []).append(predicate)
    placed: list[Standing | Predicate] = list(behind.get(None, ()))
    for member in sequence:
        placed += [member, *behind.get(member.name, ())]
    return placed


def _waves(placed: Sequence[Standing | Predicate]) -> list[Wave]:
    """Cuts where a stage needs what the wave before it leaves: its columns, or the clips that are left of it.

    A decision that drops clips ends a wave, unless all that comes behind it are cheap stages that share the wave's
    decode; one that looks at all clips together ends one always.
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
            reads_wave = sources(member) & {s.name for s in stages}
            if reads_wave or (any(map(_drops, decisions)) and not _shares(member, stages)):
                close()
            stages.append(member)
        else:
            decisions.append(member)
            if together(member):
                close()
    close()
    return waves


def _drops(decision: Deciding) -> bool:
    return not (isinstance(decision, Placing) and decision.rule.adds)


def _shares(instance: Instance, wave: Sequence[Instance]) -> bool:
    """Whether a stage costs less with a wave, for clips that are dropped too, than by a decode of its own behind it."""
    cheap = not instance.stage.dear and _phase(instance) in ("measure", "embed")
    return cheap and all(any(i.stage.asks() is not None for i in stages) for stages in ([instance], wave))
