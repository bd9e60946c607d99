"""The end of a build: the dataset committed, the run recorded, and everything added up."""

from __future__ import annotations

import dataclasses
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vbuild import places, secrets, stops
from vbuild.config import without_knobs
from vbuild.dataset.commit import commit, new_id
from vbuild.dataset.tables import targets
from vbuild.dataset.tables.failures import failing, firsts
from vbuild.dataset.tables.unclipped import unclipped
from vbuild.engine.session import Session
from vbuild.engine.verdict import blocked, decide_as_before, wrong
from vbuild.engine.walk import walk
from vbuild.errors import RAISED, Stopped, StoreError, UsageError
from vbuild.fields import Caption
from vbuild.plan.items import State
from vbuild.report import Report
from vbuild.store import roots
from vbuild.store.place import place_at
from vbuild.versions import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbuild.config import Config
    from vbuild.report import Progress


@dataclass
class Run:
    """One build, recorded in a folder of its own in the store: the configuration, events as they come, the report."""

    session: Session
    folder: Path
    live: IO[str]
    """Tells a gc that the build runs, while it is open."""

    @classmethod
    def begin(cls, config: Config) -> Run:
        """Starts a build under a new id, which sorts by time."""
        build = new_id()
        session, folder = Session(config, build), config.store / "runs" / build
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            why = error.strerror or error
            raise StoreError(f"store={config.store}: it cannot be written ({why}); fix it, or give another") from error
        recipes = {name: i.recipe.id for name, i in session.shelf.instances.items()}
        run = cls(session, folder, roots.enter(config.store, folder, config.output / config.name, recipes, time.time()))
        run.leave("config", without_knobs(config))
        return run

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.live.close()

    def walk(self, watch: Callable[[Progress], None]) -> None:
        """Runs what is missing. Raises Stopped when a person ends it, and TooManyFailuresError."""
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as events:

            def note(progress: Progress) -> None:
                events.write(json.dumps({"time": time.time(), **dataclasses.asdict(progress)}) + "\n")
                watch(progress)

            try:
                walk(self.session, note)
            except (KeyboardInterrupt, *RAISED) as error:
                if not (stops.asked() or isinstance(error, KeyboardInterrupt)):
                    raise
                raise Stopped(summary(self.session, 0.0)) from error

    def finish(self, began: float) -> Report:
        """Commits the dataset and returns the report. `began` is the time on the performance counter."""
        session = self.session
        decide_as_before(session)
        report, failed = summary(session, 0.0), failing(session)
        report.wrong, report.firsts = [*wrong(session, report)], firsts(failed)
        if blocked(session):
            report.wrong.append("clips of these are not known, so the dataset is as the last build left it")
        else:
            folder = session.config.output / session.config.name
            wanted = targets(session, failed)
            session.shelf.actions.forget()
            committed = commit(folder, wanted, self._record(report, began))
            report.tables, report.changed, report.build = committed.versions, committed.changed, committed.build
        report.seconds = time.perf_counter() - began
        report.up_to_date = not (report.build or self.undone or any(stage.ran for stage in report.stages))
        said = {**dataclasses.asdict(report), "folder": places.named_from(Path(report.folder), session.config.store)}
        self.leave("report", said)
        return report

    def leave(self, what: str, said: Any) -> None:
        """Records something beside the events, whole or not at all."""
        data = json.dumps(secrets.masked_data(said), indent=1).encode()
        place_at(self.session.config.store).put(f"runs/{self.session.build}/{what}.json", data)

    @property
    def undone(self) -> bool:
        """Whether something was left for the next build."""
        return bool(self.session.lookup.undone.actions)

    def _record(self, report: Report, began: float) -> dict[str, Any]:
        """The row of `builds`, but for the versions of the tables."""
        session = self.session
        instances = session.shelf.instances
        return {
            "id": session.build,
            "time": datetime.now(UTC),
            "config": secrets.masked_data(without_knobs(session.config)),
            "recipes": {
                name: {"id": i.recipe.id, **secrets.masked_data(i.recipe.manifest)} for name, i in instances.items()
            },
            "counts": {
                "videos": report.videos,
                "clips": report.clips,
                "kept": report.kept,
                "failures": report.failures,
                "ran": {stage.name: stage.ran for stage in report.stages},
            },
            "seconds": time.perf_counter() - began,
            "versions": {**machine(), **environments(session.config)},
        }


def environments(config: Config) -> dict[str, str]:
    """Of each stage that runs in another interpreter, by the path of its key, the versions of what computes there.

    Of one that is gone nothing is told: what it made is there, and no reason for a build to fail.
    """
    found = {}
    for path, stage in config.by_path().items():
        with suppress(UsageError):
            if getattr(stage, "python", None) and (told := stage.encoders().get("python")):
                found[f"{path}.python"] = told
    return found


def summary(session: Session, seconds: float) -> Report:
    """Adds up what a plan or a build found."""
    clips = [shard.clips for shard in session.shards if shard.clips is not None]
    names = session.files.names
    unsplit = sum(shard.unsplit for shard in session.shards)
    counts = [session.lookup.count(i.name) for i in (*session.order.video_stages, *session.order.clip_stages)]
    for instance in session.order.video_stages:
        session.lookup.count(instance.name).of_videos = True
    for instance in session.order.clip_stages:
        session.lookup.count(instance.name).unsplit = unsplit
    for instance in session.shelf.instances.values() if session.build is None else ():
        session.lookup.costs.expect(instance, session.lookup.count(instance.name), session.lookup.reasons)
    probed = [shard.videos.states("probe") for shard in session.shards if "probe" in shard.videos.actions]
    return Report(
        dataset=session.config.name,
        folder=str(session.config.output / session.config.name),
        stages=counts,
        decisions=list(session.decided.values()),
        videos=len(session.files),
        videos_unsplit=unsplit,
        videos_failed=len(session.identified.errors) + sum(int((state == State.FAILED).sum()) for state in probed),
        clips=sum(map(len, clips)),
        kept=sum(int(c.kept.sum()) for c in clips),
        actions=sum(count.hits + count.ran + count.failed for count in counts),
        failures=sum(count.failed for count in counts) + len(session.identified.errors),
        seconds=seconds,
        notes=[*session.files.notes(), *unclipped(session), *_emptied(session)],
        captioned=any(isinstance(kind, Caption) for i in session.order.clip_stages for _, kind in i.columns.values()),
        away={names[row]: why for row, why in sorted(session.identified.away.items())},
    )


def _emptied(session: Session) -> list[str]:
    """Which decisions dropped how many, if nothing is left."""
    clips = [shard.clips for shard in session.shards if shard.clips is not None]
    if not sum(map(len, clips)) or any(c.kept.any() for c in clips):
        return []
    dropped = ", ".join(f"{d.name} dropped {d.dropped}" for d in session.decided.values() if d.dropped)
    return [f"no clip is kept: {dropped}"] if dropped else []
