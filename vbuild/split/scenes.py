"""Clips of scenes that a file of the user's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import ClassVar, Literal

from vbuild import digest
from vbuild.errors import StageError, UsageError
from vbuild.fields import Kind
from vbuild.split.bounds import WRITES, ticks
from vbuild.split.given import Given, files, read_scenes
from vbuild.split.lengths import Lengths, pts_of_times
from vbuild.split.written import Bound, Code
from vbuild.stage import Clip, Phase, Row, Stage, knob


@dataclass(frozen=True, kw_only=True)
class Scenes(Lengths, Stage):
    """Cuts videos where a file says, by times in seconds from a video's first frame or by indices of frames from 0.

    A .csv has a column `video` and either `time` or `frame` (a row a cut), or `start` and `end`, or `start_frame` and
    `end_frame` (a row a scene, its end not in it). A .json is `{video: [...]}`, of cuts or of pairs of start and end
    in seconds, or `{video: {"frames": [...]}}`. A video is named by its path or the end of it, such as its file name.
    Cuts part the whole video; the scenes of a video need not. A video that the file does not name fails. Times are
    seconds, or written with colons.

    What other programs write is read too, a file a video whose name is the video's, or a folder of such files:
    PySceneDetect's `VIDEO-Scenes.csv`, edit decision lists (`.edl`, CMX 3600: the stretches of the source, by its
    frames counted from 0), chapters of FFmpeg's metadata and of OGM tools. Without a file, the chapters that stand in
    the videos themselves.

    The files' content is part of the key, their path is not. Where it changes, clips of the same bounds stay the same.
    """

    version: ClassVar[int] = 2
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar[Literal["video", "clip"]] = "video"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {
        "source": ("uri",),
        "probe": ("start_pts", "end_pts", "time_base_num", "time_base_den", "fps"),
        "timeline": ("times", "chapters"),
    }
    writes: ClassVar[Mapping[str, Kind]] = WRITES

    file: str | None = field(metadata={"wiring": True})
    """A file, or a folder of files; None: the chapters in the videos."""
    max: float | None = None
    crop: float = 0.0
    min: float = 0.0
    batch: int = knob(64)

    def __post_init__(self) -> None:
        """Refuses a file that is not there or cannot be read."""
        super().__post_init__()
        self.load()

    def models(self) -> Mapping[str, str]:
        """The file's content, by its digest."""
        if self.file is None:
            return {}
        try:
            digests = [(file.name, digest.of_file(file).hex()) for file in files(Path(self.file))]
            return {"file": digests[0][1] if not Path(self.file).is_dir() else digest.of("scenes", *digests).hex()}
        except OSError as error:
            raise UsageError(f"split.file={self.file}: {error.strerror}") from error

    def load(self) -> Given | None:
        """What the file says, if there is one."""
        return None if self.file is None else read_scenes(Path(self.file))

    def run(self, clips: Sequence[Clip], model: Given | None) -> Iterable[Row]:
        """The bounds of each video's clips, in order of time. Raises StageError for a video that is not named."""
        for clip in clips:
            pts, end, base = pts_of_times(clip.columns["probe"], clip.columns["timeline"]["times"])
            scenes = self._scenes(clip, model)
            yield self.bounds(spans(scenes, pts, end, base, clip.columns["probe"]["fps"]), pts, end, base)

    def _scenes(self, clip: Clip, model: Given | None) -> Sequence[Bound]:
        if model is not None:
            scenes = model.of(clip.columns["source"]["uri"])
            if scenes is None:
                raise StageError(f"{self.file} names no scene of it")
            return scenes
        times = clip.columns["timeline"]["chapters"]
        if times is None or not len(times):
            raise StageError("it holds no chapters; split.file names a file of scenes")
        return [Bound(start, end, "seconds") for start, end in zip(times[::2], times[1::2], strict=True)]


def spans(
    bounds: Sequence[Bound], pts: Sequence[int], end: int, base: Fraction, fps: float | None = None
) -> list[tuple[int, int]]:
    """Scenes in ticks, in order; timecodes count at `fps` frames a second.

    Raises StageError for a frame that the video does not have.
    """
    if not pts:
        return []

    def tick(value: float | Code, unit: str) -> int:
        if isinstance(value, Code):
            value = value.index(fps or 1.0)
        elif unit == "seconds":
            return min(pts[0] + ceil(ticks(value, base)), end)
        if not 0 <= value <= len(pts):
            raise StageError(f"a scene is to begin or end at frame {value:g}; the video has {len(pts)}")
        return [*pts, end][int(value)]

    cuts = {tick(b.start, b.unit) for b in bounds if b.end is None}
    parted = list(pairwise(sorted({pts[0], *cuts, end}))) if cuts else []
    whole = [(tick(b.start, b.unit), tick(b.end, b.unit)) for b in bounds if b.end is not None]
    return sorted({*parted, *whole})
