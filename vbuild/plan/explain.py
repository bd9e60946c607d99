"""Explains actions: what their keys are made of, what they were compared with, and why they hit or missed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vbuild import secrets
from vbuild.check import hint
from vbuild.errors import UsageError
from vbuild.plan.items import NOBODY, State
from vbuild.plan.reasons import difference, given
from vbuild.recipes import is_param

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vbuild.plan.items import Items
    from vbuild.plan.lookup import Lookup
    from vbuild.plan.order import Order
    from vbuild.plan.wiring import Instance


@dataclass(frozen=True)
class Part:
    """One thing that an input digest is made of."""

    name: str
    """`footage`, or port and field."""
    source: str
    """The clip or the video, or the column that it is the digest of."""
    digest: str | None
    """Hex; None where it is not known yet."""
    was: str | None = None
    """Of the former result that the action was compared with, where it is another."""


@dataclass(frozen=True)
class ExplainedAction:
    """One action of a clip or a video."""

    stage: str
    state: str
    """`hit`, `to run`, `failed`, `not wanted` or `not known yet`."""
    reason: str
    """Of an action to run one of the closed set of `ReasonKind`; else the state."""
    text: str
    """Why, for people."""
    recipe: str
    key: str | None
    inputs: tuple[Part, ...]
    former: str | None = None
    """The recipe of the former result that it was compared with."""


@dataclass(frozen=True)
class Stands:
    """One instance of a stage: its recipe, and how its actions stand."""

    stage: str
    recipe: str
    manifest: Mapping[str, Any]
    """What the recipe's digest is made of."""
    defaults: Mapping[str, Any]
    """Parameters that are as they are by default, and are left out of the recipe."""
    unkeyed: Mapping[str, Any]
    """Knobs, wiring, and names of weights; they are in no key."""
    inputs: tuple[str, ...]
    hits: int
    to_run: int
    failed: int
    unknown: int
    reasons: Mapping[str, int]
    former: tuple[tuple[str, str], ...]
    """Other recipes of the stage that have results: id, and what changed since; the nearest first."""


@dataclass(frozen=True)
class Explanation:
    """What was asked for: stages, or the actions of one clip or video."""

    subject: str
    stages: tuple[Stands, ...] = ()
    actions: tuple[ExplainedAction, ...] = ()


@dataclass(frozen=True)
class Walked:
    """What a plan found: everything is explained from the keys and states that it made."""

    order: Order
    lookup: Lookup
    videos: Sequence[Items]
    clips: Sequence[Items]
    ids: Mapping[str, bytes]
    """Path → video id, of every file that could be read."""
    errors: Mapping[str, str]
    """Path → why a file could not be read."""
    unsplit: int
    """Videos whose clips are not known yet."""

    def explain(self, *, clip: str | None = None, video: str | None = None, stage: str | None = None) -> Explanation:
        """A clip, by its id or the beginning of it, a video, by its path or the end of it, or stages.

        Raises UsageError, with the nearest name, for what is not there, and for what is not told apart.
        """
        if clip is not None and video is not None:
            raise UsageError("explain: give --clip or --video, not both")
        instances = self._chosen(stage, self._instances(clip, video))
        if clip is not None:
            items, row = self._clip(clip)
            assert items.parent is not None
            uri = items.parent.names[items.place[row]]
            left = f"dropped by {items.dropped_by[row]}" if items.dropped_by[row] else "kept"
            span = f"ticks {items.start_pts[row]} to {items.end_pts[row]}"
            subject = f"clip {_hex(items.ids[row])}: {uri}, {span}, {left}"
        elif video is not None:
            items, row = self._video(video)
            subject = f"video {_hex(items.ids[row])}: {items.names[row]}"
        else:
            return Explanation("", stages=tuple(map(self._stands, instances)))
        return Explanation(subject, actions=tuple(self._action(items, i, row) for i in instances))

    # what is asked for

    def _instances(self, clip: str | None, video: str | None) -> list[Instance]:
        if clip is not None:
            return self.order.clip_stages
        return self.order.video_stages if video is not None else [*self.order.video_stages, *self.order.clip_stages]

    def _chosen(self, stage: str | None, instances: list[Instance]) -> list[Instance]:
        if stage is None:
            return instances
        chosen = [i for i in instances if i.name == stage]
        if not chosen and any(d.name == stage for d in self.order.decisions):
            raise UsageError(f"--stage {stage}: it is a decision; decisions are in no key, so there is none to explain")
        if not chosen:
            raise UsageError(f"--stage {stage}: there is no such stage here{hint(stage, [i.name for i in instances])}")
        return chosen

    def _clip(self, asked: str) -> tuple[Items, int]:
        start = asked.lower()
        matches = [(c, row) for c in self.clips for row in _starting(c.ids, start)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            listed = ", ".join(_hex(c.ids[row]) for c, row in matches[:4]) + " …" * (len(matches) > 4)
            raise UsageError(f"--clip {asked}: {len(matches)} clips begin so ({listed}); say more")
        near = hint(asked, [_hex(i) for c in self.clips for i in c.ids[:1000]]) if len(asked) == 32 else ""
        open_ = f"; the clips of {self.unsplit} videos are not known before a build" if self.unsplit else ""
        listed = near or "; vbuild query lists ids"
        raise UsageError(f"--clip {asked}: there is no such clip in the dataset{listed}{open_}")

    def _video(self, asked: str) -> tuple[Items, int]:
        paths = [*self.ids, *self.errors]
        matches = [p for p in paths if p == asked] or [p for p in paths if p.endswith("/" + asked.lstrip("./"))]
        contents = {self.ids.get(path) for path in matches}
        if not matches or len(contents) > 1:
            names = [path.rpartition("/")[2] for path in paths]
            if matches:
                raise UsageError(f"--video {asked}: {len(matches)} files are called so; give the path")
            near = hint(asked.rpartition("/")[2], names)
            raise UsageError(f"--video {asked}: there is no such file in the source{near}")
        if matches[0] in self.errors:
            raise UsageError(f"--video {asked}: it has no key, for it {self.errors[matches[0]]}")
        key = self.ids[matches[0]]
        return next((v, row) for v in self.videos for row in np.flatnonzero(v.ids == np.void(key)).tolist())

    # what is said

    def _action(self, items: Items, instance: Instance, row: int) -> ExplainedAction:
        actions = items.actions[instance.name]
        key, state = actions.keys[row], State(actions.state[row])
        former, was = None, None
        if state == State.MISSING:
            said, reason, text, former, was = self._miss(items, instance, row)
        elif state == State.DONE:
            said = reason = "hit"
            text = self._record(instance, key)
        else:
            said = reason = {State.FAILED: "failed", State.UNWANTED: "not wanted"}.get(state, "not known yet")
            text = self._waits(items, instance, row, state)
        names, columns = self.lookup.shelf.input_digests(items, instance, np.array([row]))
        sources = [*_sources(instance, names)]
        inputs = [
            Part(name, source, _known(column[0]), None if was is None or was[n] == column[0] else _known(was[n]))
            for n, (name, source, column) in enumerate(zip(names, sources, columns, strict=True))
        ]
        return ExplainedAction(
            instance.name, said, reason, text, instance.recipe.id, _known(key), tuple(inputs), former
        )

    def _miss(
        self, items: Items, instance: Instance, row: int
    ) -> tuple[str, str, str, str | None, list[np.void] | None]:
        _, gone = self.lookup.stored(instance, items.actions[instance.name].keys[row : row + 1])
        (match,) = self.lookup.reasons.of(items, instance, np.array([row]), gone)
        was = None if match.inputs is None else [part[0] for part in match.inputs]
        return "to run", match.reason.kind, match.reason.text, match.reason.former, was

    def _record(self, instance: Instance, key: np.void) -> str:
        results = self.lookup.shelf.results(instance.name)
        place = results.lookup(np.array([key], "V16"))
        (row,) = results.take(place, ["seconds", "created", "build"]).to_pylist()
        return f"made by build {row['build']} at {row['created']:%Y-%m-%d %H:%M:%S} in {row['seconds']:.3f} s"

    def _waits(self, items: Items, instance: Instance, row: int, state: State) -> str:
        """What an action has that neither hit nor has to run."""
        key = items.actions[instance.name].keys[row : row + 1]
        for failure in self.lookup.failures.lookup(instance.recipe.id, key).values() if state == State.FAILED else ():
            return f"failed before, {failure.attempts} times tried: {failure.error}: {failure.message}"
        if state == State.UNWANTED and not items.kept[row]:
            return f"the clip was dropped by {items.dropped_by[row]}" if items.dropped_by[row] else "the probe failed"
        for port in instance.ports:
            if (at := State(items.states(port.source)[row])) not in (State.DONE, State.UNWANTED):
                word = {State.FAILED: "failed", State.MISSING: "has to run first"}.get(at, "is not known yet")
                return f"it reads {port.source}, which {word}"
        unsure = "whether the clip is kept is not known yet, for a decision before it is open"
        return unsure if state == State.UNKNOWN else "what it reads is not wanted for this clip"

    def _stands(self, instance: Instance) -> Stands:
        count = self.lookup.count(instance.name)
        stage, default = instance.stage, given(instance)
        fields = dataclasses.fields(stage)
        before = self.lookup.reasons.before(instance).former
        return Stands(
            instance.name,
            instance.recipe.id,
            secrets.masked_data(instance.recipe.manifest),
            {name: value for name, value in default.items() if name not in instance.recipe.params},
            {f.name: getattr(stage, f.name) for f in fields if not is_param(f)},
            tuple(_reads(instance)),
            count.hits,
            count.ran,
            count.failed,
            count.unknown,
            dict(count.reasons),
            tuple((recipe.id, difference(recipe, instance.recipe, default)[1]) for recipe, _ in before),
        )


def _starting(ids: np.ndarray, start: str) -> Iterator[int]:
    """The rows of ids whose hex begins with something."""
    text = ids.tobytes().hex()
    return (row for row in range(len(ids)) if text.startswith(start, 32 * row) and len(start) <= 32)


def _reads(instance: Instance) -> Iterator[str]:
    """What an instance's input digests are made of, by name."""
    if instance.stage.asks() is not None or not instance.ports:
        yield "footage"
    for port in instance.ports:
        yield from (f"{port.source}.{f}" if f else port.source for f in port.fields)


def _sources(instance: Instance, names: Sequence[str]) -> list[str]:
    sources = list(_reads(instance))
    assert len(sources) == len(names)
    return sources


def _hex(key: np.void) -> str:
    return bytes(key.item()).hex()


def _known(key: np.void) -> str | None:
    return None if key == NOBODY[0] else _hex(key)
