"""One stage tried alone on one video, in a store of its own that is gone afterwards."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance

from vbuild.check import hint
from vbuild.compose import assembled
from vbuild.config import TAKEN
from vbuild.contract import member_class
from vbuild.described import Described, described, shipped, shown_columns
from vbuild.errors import UsageError
from vbuild.stage import Stage
from vbuild.store.blobs import Blobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from vbuild.config import Config
    from vbuild.report import Progress, Report

WHOLE = 1e9
"""Seconds that no video has: all of it is one clip."""

OTHERS = ("stages.", "stage@", "split", "windows.", "decode.", "limits.", "where.")
"""How keys begin that are not the stage's own."""


@dataclass
class Trial:
    """What a stage did with the clips of a video."""

    stage: str
    target: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Per clip its `start_s` and `end_s` and the columns that it wrote; of a stage of videos one row."""
    seconds: float = 0.0
    """Worker seconds, its share of the decode in them."""
    bytes: int = 0
    """Of the files that it made."""
    value_bytes: int = 0
    """Of its rows, in the table."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """What failed, as `vbuild failures` has it."""
    report: Report | None = None


@dataclass(frozen=True)
class Wanted:
    """What is to be tried, and on what."""

    stage: str
    """The name of a shipped stage, or the path of a class."""
    video: str
    keys: Sequence[str] = ()
    length: float | None = None
    """Seconds a clip; None: the whole video is one."""
    limit: int | None = None
    """Clips, the first ones."""


def try_stage(wanted: Wanted, watch: Callable[[Progress], None], files: Path | None = None) -> Trial:
    """Runs a stage on the clips of one video, in this process. `files`: a folder that takes what it made.

    What it raises on a clip is among the failures. Raises UsageError for what cannot be tried.
    """
    from vbuild.engine import build

    with tempfile.TemporaryDirectory(prefix="vbuild-try-") as folder:
        member = _found(wanted.stage)
        name, config = _declared(member, wanted, Path(folder))
        trial = Trial(member.name, member.target)
        trial.report = build(config, watch=watch)
        count = next((count for count in trial.report.stages if count.name == name), None)
        trial.seconds = count.seconds if count else 0.0
        trial.bytes = sum(look.size for _, look in Blobs(config.store).looks())
        table = _table(config, name, trial.report)
        if table is not None:
            trial.rows, trial.value_bytes = table.to_pylist(), table.nbytes
        trial.failures = _failures(config, trial.report)
        if files is not None:
            _keep(config.store, trial, files)
        return trial


def _found(stage: str) -> Described:
    """The stage that a name means. Raises UsageError for what is none, or no stage that runs on clips."""
    known = shipped()
    if stage in known:
        member = known[stage]
        if member.kind != "stage":
            raise UsageError(f"{stage}: it is a {member.kind}, which runs in a dataset only; a stage can be tried")
        return member
    if "." not in stage:
        names = [name for name, one in known.items() if one.kind == "stage"]
        raise UsageError(f"{stage}: there is no such stage{hint(stage, names)}; one of your own is mypkg.MyStage")
    cls = member_class(stage, "try")
    return described(cls, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower())


def _declared(member: Described, wanted: Wanted, folder: Path) -> tuple[str, Config]:
    """The stage's instance, and a dataset of it alone."""
    name = (
        member.name if re.fullmatch(r"[a-z]\w*", member.name) and member.name not in TAKEN else f"{member.name}_tried"
    )
    if not Path(wanted.video).is_file() and "://" not in wanted.video:
        raise UsageError(f"{wanted.video}: there is no such video")
    for key in wanted.keys:
        if "=" not in key:
            raise UsageError(f"{key}: one video is tried; a parameter of {member.name} is given as key=value")
    path = wanted.video if "://" in wanted.video else str(Path(wanted.video).absolute())
    own = member.name != wanted.stage
    given = f"stages.{name}._target_={member.target}" if own else f"+stage@stages.{name}={member.name}"
    length = WHOLE if wanted.length is None else wanted.length
    words = [
        given,
        "split=fixed_stride", f"split.length={length}", "split.min=0",
        *([f"split.limit={wanted.limit}"] if wanted.limit else []),
        f"source.path={path}", "executor.workers=0", f"store={folder / 'store'}", f"output={folder / 'datasets'}",
        *(key if key.lstrip("+~").startswith(OTHERS) else f"stages.{name}.{key}" for key in wanted.keys),
    ]  # fmt: skip
    return name, assembled(words, "try")


def _table(config: Config, name: str, report: Report) -> pa.Table | None:
    """What the stage wrote: of clips from the table, of videos from the results; None if there is nothing."""
    stage = config.stages[name]
    assert isinstance(stage, Stage)
    if not report.tables:
        return None
    if stage.scope == "clip":
        clips = lance.dataset(str(config.output / config.name / "clips.lance"), version=report.tables["clips"])
        names = [n for n in shown_columns(stage, name) if n in clips.schema.names]
        return clips.to_table(["start_s", "end_s", *names, "error"]).sort_by("start_s")
    path = next((config.store / "actions" / stage.title()).glob("*.lance"), None)
    if path is None:
        return None
    table = lance.dataset(str(path)).to_table()
    hidden = ("key", "warning", "seconds", "created", "build")
    return table.select([n for n in table.column_names if n not in hidden and not n.startswith("digest__")])


def _failures(config: Config, report: Report) -> list[dict[str, Any]]:
    if "failures" not in report.tables:
        return []
    table = lance.dataset(str(config.output / config.name / "failures.lance"), version=report.tables["failures"])
    return [{**row, "versions": json.loads(row["versions"] or "{}")} for row in table.to_table().to_pylist()]


def _keep(store: Path, trial: Trial, files: Path) -> None:
    """Copies the files that were made to a folder, and names them there."""
    files.mkdir(parents=True, exist_ok=True)

    def kept(value: Any) -> Any:
        if isinstance(value, list):
            return [kept(item) for item in value]
        return value and str(shutil.copy2(store / value, files))

    trial.rows = [{n: kept(v) if n.endswith("uri") and n != "uri" else v for n, v in row.items()} for row in trial.rows]
