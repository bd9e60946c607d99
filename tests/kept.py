"""A store that the code of another day built, kept as an archive: what it holds must hit for as long as versions stay.

`tools/keep` brings it up to date, where a version was raised or a stage added: what was not raised stays as it was.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import lance
import made
import numpy as np
from footage import scene, video
from project import Project, ran

from vbuild.decisions.dedup import Dedup
from vbuild.digest import Recipe
from vbuild.maintenance.gc import gc, timedelta
from vbuild.recipes import recipe
from vbuild.split.adaptive import Adaptive
from vbuild.split.content import Content
from vbuild.split.fixed_stride import FixedStride
from vbuild.split.hash import Hash
from vbuild.split.histogram import Histogram
from vbuild.split.threshold import Threshold
from vbuild.stage import Stage, Windows
from vbuild.stages.audio import Audio
from vbuild.stages.best_start import BestStart
from vbuild.stages.camera import Camera
from vbuild.stages.caption_stats import CaptionStats
from vbuild.stages.changes import Changes
from vbuild.stages.describe import Describe
from vbuild.stages.fingerprint import Fingerprint
from vbuild.stages.frames import Frames
from vbuild.stages.likeness import Likeness
from vbuild.stages.motion import Motion
from vbuild.stages.perceptual import Perceptual
from vbuild.stages.preview import Preview
from vbuild.stages.probe import Probe
from vbuild.stages.quality import Quality
from vbuild.stages.sharpness import Sharpness
from vbuild.stages.sheet import Sheet
from vbuild.stages.timeline import Timeline
from vbuild.stages.transcode import Transcode

ARCHIVE = Path(__file__).with_name("kept.tar.xz")

PARTS = ("actions", "blobs", "pairs")
"""What of a store is kept: results and blobs. Nothing in them depends on where the videos lie."""

STAGES = {
    "motion": Motion(fps=4.0),
    "quality": Quality(fps=4.0, short_side=64),
    "sharpness": Sharpness(fps=2.0),
    "audio": Audio(),
    "camera": Camera(),
    "best": BestStart(),
    "timeline": Timeline(),
    "embed": Perceptual(),
    "print": Fingerprint(),
    "dedup": Dedup(of="embed", eps=0.001),
    "described": Describe(of={"motion": "motion", "quality": "quality"}),
    "said": made.Telling(windows=Windows(frames=8, remainder=4, min=2)),
    "stats": CaptionStats(of="said"),
    "gaze": made.Gaze(),
    "frames": Frames(rates=(2.0,)),
    "sheet": Sheet(columns=2, rows=2, height=32),
    "preview": Preview(height=32, level=1),
    "transcode": Transcode(codec="libx264", preset="ultrafast", crf=40),
    "pack": made.Pack(),
    "opened": made.Unpack(of="pack"),
}
"""Of every kind one that needs no weights: of videos and of clips, hosted or not, of columns, windows, files."""

SCENES = {"min": 0.0, "crop": 0.0}

SPLITS = {
    "fixed": FixedStride(length=1.0, min=0.5),
    "content": Content(of={"changes": "changes"}, **SCENES),
    "adaptive": Adaptive(of={"changes": "changes"}, **SCENES),
    "hash": Hash(of={"likeness": "likeness"}, **SCENES),
    "histogram": Histogram(of={"likeness": "likeness"}, **SCENES),
    "threshold": Threshold(of={"likeness": "likeness"}, **SCENES),
}


def projects(root: Path) -> list[Project]:
    """A dataset a splitter, all over one video and one store; the first with all stages."""
    found = []
    for name, split in SPLITS.items():
        cut_by = {"changes": Changes(), "likeness": Likeness()}
        stages = STAGES if name == "fixed" else {n: s for n, s in cut_by.items() if n in split.of.values()}
        found.append(Project(root, stages, split=split, name=name))
    return found


def instances(project: Project) -> dict[str, Stage]:
    """The stages of a dataset that have results."""
    config = project.config()
    return {"probe": Probe(), "split": config.split, **config.under(Stage)}


def shown(project: Project, root: Path) -> dict[str, object]:
    """The tables of a dataset, wherever it lies, as they come out of json."""
    return json.loads(json.dumps(project.tables(), default=str).replace(str(root), ""))


def unpack(root: Path) -> dict[str, object]:
    """Lays the video and the store out in an empty folder, and returns what the tables hold, by dataset."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root, filter="data")
    return json.loads((root / "tables.json").read_text(encoding="utf-8"))


def notes(store: Path) -> dict[str, Recipe]:
    """What is kept, by what stages are called in the store."""
    found = {}
    for path in sorted((store / "actions").glob("*/*.json")):
        assert path.parent.name not in found, f"{path.parent.name} is kept twice"
        assert Recipe.from_json(path.read_text(encoding="utf-8")).id == path.stem
        found[path.parent.name] = Recipe.from_json(path.read_text(encoding="utf-8"))
    return found


def raised(stage: Stage, kept: Recipe) -> str | None:
    """Which version, of a stage or of code that it uses, is higher than that of the kept results."""
    now = recipe(stage)
    numbers = {"version": (kept.version, now.version)}
    numbers |= {name: (kept.uses[name], now.uses[name]) for name in kept.uses.keys() & now.uses.keys()}
    up = [f"{name} {then} → {today}" for name, (then, today) in sorted(numbers.items()) if today > then]
    return ", ".join(up) or None


def rows(store: Path) -> dict[tuple[str, str, bytes], tuple[object, str]]:
    """Every stored result: stage, recipe and key → when and in which build it was made."""
    found = {}
    for path in sorted((store / "actions").glob("*/*.lance")):
        table = lance.dataset(str(path)).to_table(columns=["key", "created", "build"])
        for row in table.to_pylist():
            found[path.parent.name, path.stem, row["key"]] = (row["created"], row["build"])
    return found


def _footage(root: Path) -> None:
    """Two scenes of a second each, with a tone."""
    size = (96, 64)
    first, second = scene(1, size), scene(2, size)

    def picture(at: float) -> np.ndarray:
        return first(at) // 2 if at < 1 else 255 - second(at) // 2

    (root / "videos").mkdir()
    path = video(root / "videos" / "kept.mp4", fps=8, gop=4, size=size, crf=30, sound="aac", picture=picture)
    os.utime(path, (10**9, 10**9))


def keep() -> dict[str, dict[str, int]]:
    """Brings the archive up to date; what had to run, by dataset and stage."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if ARCHIVE.exists():
            unpack(root)
        else:
            _footage(root)
        datasets = projects(root)
        done = {project.name: ran(project.build()) for project in datasets}
        tables = {project.name: shown(project, root) for project in datasets}
        (root / "tables.json").write_text(json.dumps(tables, indent=0, sort_keys=True), encoding="utf-8")
        store = datasets[0].store
        gc(store, keep_builds=1, older_than=timedelta(0))
        for note in (store / "actions").glob("*/*.json"):
            if not note.with_suffix(".lance").is_dir():
                note.unlink()
        shutil.rmtree(store / "blobs" / "tmp", ignore_errors=True)
        made_anew = ARCHIVE.with_suffix(".new")
        with tarfile.open(made_anew, "w:xz", preset=9) as archive:
            for name in ("videos", "tables.json", *(f"store/{part}" for part in PARTS)):
                if (root / name).exists():
                    archive.add(root / name, name, filter=_anonymous)
        made_anew.replace(ARCHIVE)
    return {name: some for name, some in done.items() if some}


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
