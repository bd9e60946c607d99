"""Builds a dataset, or brings it up to date; and says, without running anything, what that would take."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbuild import digest, secrets, source, stops
from vbuild.config import without_knobs
from vbuild.contract import called
from vbuild.dataset.versions import fingerprint
from vbuild.errors import FULL, StoreError, UsageError
from vbuild.maintenance import lock
from vbuild.recipes import recipe
from vbuild.report import Report
from vbuild.stage import Stage
from vbuild.stages.probe import Probe
from vbuild.store import stamps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vbuild.config import Config
    from vbuild.plan.explain import Explanation
    from vbuild.report import Progress


COUNTS = ("videos", "clips", "kept", "failures", "actions", "wrong")
"""What a stamp tells of a dataset that is up to date."""


def build(config: Config, *, watch: Callable[[Progress], None] = lambda _: None) -> Report:
    """Brings a dataset up to date: runs what is missing, commits it to the LanceDB database, and reports.

    Raises UsageError for a configuration that cannot be built and SourceError for a source that cannot be listed.
    What fails on a video or a clip is recorded with it, and all else goes on.
    """
    began = time.perf_counter()
    with _all_lacking(config):
        if (report := _glance(config, began)) is not None:
            return report
        from vbuild.store.locks import lock_of, locked

        _check(config)
        with stops.heeded(), locked(lock_of(config.output / config.name)) as waited:
            report = _glance(config, began) if waited else None
            return report or _built(config, watch, began)


@contextmanager
def _all_lacking(config: Config) -> Iterator[None]:
    """Where one stage lacks its model, says what all of them lack, so that a person gets it at once."""
    try:
        yield
    except UsageError as error:
        from vbuild.maintenance.weights import lacking

        if lines := lacking(config, error):
            raise type(error)("\n".join(lines)) from error
        raise


def _built(config: Config, watch: Callable[[Progress], None], began: float) -> Report:
    """Builds the long way. `began` is the time on the performance counter."""
    from vbuild.engine.finish import Run
    from vbuild.store import heap

    heap.tidy()
    try:
        with Run.begin(config) as run:
            code = run.session.changed_code()
            notes = [*_locked(config, run.session.identified), *_notes(config), *code]
            run.walk(watch)
            report = run.finish(began)
    except OSError as error:
        if not _is_of(error, config.store, config.output):
            raise
        raise StoreError(
            f"{config.store}: {' '.join(str(error).split())[:200]}; free space or fix its rights, and build again: "
            "what was done is kept"
        ) from error
    report.notes += notes
    if run.session.settled() and not run.undone and not code:  # changed code is to be said by the next build too
        stamp = {"state": _state(config, run.session.files), "code": _code(config), **_counts(report)}
        stamps.write_stamp(config.store, config.name, stamp | {"under": _under(config) if report.failures else ""})
    return report


def _is_of(error: OSError, *folders: Path) -> bool:
    """Whether an error of the system is of a file in one of some folders, or that there is no room."""
    named = error.filename if isinstance(error.filename, str) else None
    return error.errno in FULL or (named is not None and any(Path(named).is_relative_to(folder) for folder in folders))


def _glance(config: Config, began: float) -> Report | None:
    """The report of a dataset that is up to date; None if it has to be looked at."""
    if (report := up_to_date(config)) is not None:
        report.seconds = time.perf_counter() - began
    return report


def plan(config: Config) -> Report:
    """What a build would run, by the same walk with nothing run. What cannot be known yet is counted as unknown.

    It writes nothing.
    """
    from vbuild.engine.finish import summary
    from vbuild.engine.session import Session
    from vbuild.engine.walk import walk

    began = time.perf_counter()
    with _all_lacking(config):
        session = Session(config, None)
    notes = [*_locked(config, session.identified), *session.changed_code()]
    walk(session, lambda _: None)
    report = summary(session, time.perf_counter() - began)
    report.notes += notes
    to_do = any(stage.ran or stage.unknown or stage.unsplit for stage in report.stages)
    report.up_to_date = not to_do and not any(decision.unknown for decision in report.decisions)
    report.stale = report.up_to_date and _stale(config, session.files)
    return report


def explain(
    config: Config, *, clip: str | None = None, video: str | None = None, stage: str | None = None
) -> Explanation:
    """What keys are made of, what they were compared with, and why actions hit or missed, from the walk of a plan.

    Of one clip or one video, or of stages. Raises UsageError for a clip, a video or a stage that is not there.
    """
    from vbuild.engine.session import Session
    from vbuild.engine.walk import walk
    from vbuild.plan.explain import Walked

    with _all_lacking(config):
        session = Session(config, None)
    walk(session, lambda _: None)
    identified = session.identified
    files = session.files.names
    walked = Walked(
        session.order,
        session.lookup,
        [shard.videos for shard in session.shards],
        [shard.clips for shard in session.shards if shard.clips is not None],
        {uri: identified.ids[row].item() for row, uri in enumerate(files) if row not in identified.errors},
        {files[row]: error for row, error in identified.errors.items()},
        sum(shard.unsplit for shard in session.shards),
    )
    return walked.explain(clip=clip, video=video, stage=stage)


def _stale(config: Config, files: source.Listing) -> bool:
    """Whether something is other than the last build left it. It leaves no stamp where a file is too young."""
    stamp = stamps.read_stamp(config.store, config.name)
    if stamp is not None:
        return bool(stamp["state"] != _state(config, files))
    from vbuild.dataset.commit import last_build

    last = last_build(config.output / config.name)
    return last is None or last["config"] != json.loads(json.dumps(secrets.masked_data(without_knobs(config))))


def _locked(config: Config, identified: source.Identified) -> list[str]:
    """What is not as the dataset's lock holds it. Raises UsageError for it if the dataset must be as locked."""
    held = lock.read_lock(config)
    if held is None:
        return []
    other = lock.lock_differences(held, lock.present(config, identified))
    file = lock.place(config.declared).name
    if other and config.locked:
        raise UsageError(
            f"locked=true: {'; '.join(other)} ({file}); vbuild lock +dataset={config.declared} takes what is there now"
        )
    return [f"{file}: {difference}" for difference in other]


def _notes(config: Config) -> list[str]:
    """What is done otherwise than a person may think."""
    if config.decode.device != "cuda":
        return []
    from vbuild.media.hardware import cuda

    return [] if cuda() else ["decode.device=cuda: no CUDA device opens here; the processor decoded"]


def _check(config: Config) -> None:
    """Raises UsageError for stages that cannot run on this machine, if there may be anything for them to run."""
    faults: dict[str, UsageError] = {}
    for name, stage in config.by_path().items():
        try:
            called(stage, "check", name)
        except UsageError as error:
            faults[name.removeprefix("stages.")] = error
    if faults:
        ahead = plan(config)
        wanted = {count.name for count in ahead.stages if count.ran or count.unknown or ahead.videos_unsplit}
        if lines := [str(error) for name, error in faults.items() if name in wanted]:
            raise UsageError("\n".join(lines))


def up_to_date(config: Config) -> Report | None:
    """The report of a dataset to which nothing has happened since its last build; None if anything may have.

    Compares one digest of everything that can change the dataset. It is only ever a short cut: what it does not
    know goes the long way.
    """
    stamp = stamps.read_stamp(config.store, config.name)
    files = source.survey(config.source)
    if (
        stamp is None
        or not stamp.keys() >= {*COUNTS, "under"}
        or (stamp["failures"] and _retried(config, stamp["under"]))
        or files.unreachable
        or not files
        or stamp.get("code") != _code(config)
        or stamp["state"] != _state(config, files)
    ):
        return None
    counts = {name: stamp[name] for name in COUNTS}
    return Report(config.name, str(config.output / config.name), up_to_date=True, **counts)


def _retried(config: Config, under: str) -> bool:
    """Whether something that failed may be tried again; `under`: the versions that it failed under."""
    retry = config.failures.retry
    return retry in ("transient", "always") or (retry == "changed" and under != _under(config))


def _under(config: Config) -> str:
    """One digest of what failures of a dataset's stages are recorded with."""
    from vbuild.versions import recorded

    stages = config.by_path().values()
    return digest.of("under", *sorted({recorded(stage.__module__) for stage in stages})).hex()


def _state(config: Config, files: source.Listing) -> str:
    """One digest of the configuration less its knobs, its recipes, the listing, the store's epoch and the tables.

    And of the lock, where the dataset must be as locked.
    """
    fixed = {"/probe": recipe(Probe()).id, "/split": recipe(config.split).id}
    recipes = {name: recipe(stage).id for name, stage in config.under(Stage).items()} | fixed
    tables = fingerprint(config.output / config.name)
    held = lock.read_lock(config) if config.locked else None
    parts: list[Any] = [without_knobs(config), recipes, files.digest(), stamps.epoch(config.store), tables]
    parts += [held.digest()] if held else []
    return digest.of("stamp", *parts).hex()


def _code(config: Config) -> dict[str, str]:
    """The code of a user's stages, which is in no key."""
    made = {name: recipe(stage).source for name, stage in config.by_path().items()}
    return {name: said for name, said in made.items() if said is not None}


def _counts(report: Report) -> dict[str, Any]:
    return {name: getattr(report, name) for name in COUNTS}
