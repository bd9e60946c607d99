"""Works run together as far as the memory goes, by the size of their pictures; one always runs."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil
import pytest
from footage import video
from project import Project

from vbuild.errors import UsageError
from vbuild.executor.config import Local
from vbuild.executor.memory import DECODER, available, budget, need
from vbuild.executor.work import Job, Span
from vbuild.stage import Clip, Frames, Phase, Row, Sound, Stage, knob
from vbuild.stages.quality import Quality
from vbuild.stages.transcode import Transcode

PATIENCE = 120.0
"""Seconds that a stage waits for others; it is given up only where they never come."""


@dataclass(frozen=True, kw_only=True)
class Meeting(Stage):
    """How many works were under way at once, itself included; waits until there are `least`."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    writes: ClassVar[Mapping[str, str]] = {"": "int64"}

    folder: str = knob("")
    least: int = knob(1)

    def asks(self) -> Frames:
        """One small picture."""
        return Frames(count=1, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """Leaves a file while it is here, and counts those of the others."""
        here = Path(self.folder) / str(time.monotonic_ns())
        here.touch()
        until = time.monotonic() + PATIENCE
        while len(list(Path(self.folder).iterdir())) < self.least and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1)
        most = len(list(Path(self.folder).iterdir()))
        yield from ({"": most} for _ in clips)
        time.sleep(0.3 if self.least > 1 else 0.0)
        here.unlink()


def meetings(tmp_path, size, memory, least):
    """How many works ran together at most of six videos of a size, under a budget, by three workers."""
    folder = tmp_path / "here"
    folder.mkdir()
    project = Project(tmp_path, {"meet": Meeting(folder=str(folder), least=least)})
    project.local = Local(workers=3, memory=memory)
    for n in range(6 if least == 1 else 3):
        shade = np.full((size[1], size[0], 3), 30 * n, np.uint8)
        video(project.videos / f"{n}.mp4", seconds=1, fps=2, size=size, picture=lambda _, shade=shade: shade)
    assert not project.build().failures
    return max(row["meet"] for row in project.rows().values())


def test_large_pictures_run_one_at_a_time_where_small_ones_run_together(tmp_path):
    """Of three workers that have 1 GiB, three decode small pictures at once, and one pictures of 4K."""
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    assert meetings(tmp_path / "small", (64, 48), 1.0, least=3) == 3
    assert meetings(tmp_path / "large", (3840, 2160), 1.0, least=1) == 1


def test_one_runs_where_none_fits(tmp_path):
    """A budget that is too small for any work slows a build and never stops it."""
    assert meetings(tmp_path, (64, 48), 0.001, least=1) == 1


def job(stage, count=1):
    rows = tuple(range(count))
    return Job("r", stage, rows, (b"k",) * count, (b"i",) * count, {})


def spans(*bounds):
    return tuple(Span(start * 1000, end * 1000, float(end - start)) for start, end in bounds)


def test_what_a_pass_needs_is_what_its_clips_hold(tmp_path):
    """Frames of the decoder, and those of the encoders that are open together, at the size that they encode."""
    ten, size = spans((0, 10), (10, 20), (20, 30)), (3840, 2160)
    frame = 3840 * 2160 * 3 // 2
    decoded = need([job(Quality(), 3)], ten, *size, 12, 24.0) / frame
    assert DECODER < decoded < DECODER + 20
    encoded = need([job(Transcode(), 3)], ten, *size, 12, 24.0) / frame
    assert encoded > 100
    assert need([job(Transcode(codec="copy"), 3)], ten, *size, 12, 24.0) == DECODER * frame
    small = need([job(Transcode(long_side=1280), 3)], ten, *size, 12, 24.0) / frame
    assert small - DECODER == pytest.approx((encoded - DECODER) / 9)
    over = need([job(Transcode(), 3)], spans((0, 10), (1, 11), (2, 12)), *size, 12, 24.0) / frame
    assert over - DECODER == pytest.approx(3 * (encoded - DECODER))
    deep = need([job(Transcode(codec="copy"), 3)], ten, *size, 24, 24.0)
    assert deep == 2 * DECODER * frame


@dataclass(frozen=True, kw_only=True)
class Whole(Meeting):
    """Asks for all frames at full size, or for sound."""

    sound: bool = False

    def asks(self):
        """Everything."""
        return Sound() if self.sound else Frames(every=True)


def test_samples_that_wait_for_a_batch_count():
    """Frames at full size of a clip of 10 s are 240 pictures, and as many clips of them wait as a batch has."""
    ten = spans(*((n * 10, n * 10 + 10) for n in range(8)))
    one, four = (need([job(Whole(batch=n), 8)], ten, 1920, 1080, 12, 24.0) for n in (1, 4))
    picture = 1920 * 1080 * 3
    assert 241 * picture * 3 == pytest.approx(four - one)
    assert need([job(Whole(sound=True), 8)], ten, 64, 64, 12, 24.0) > 10 * 48_000 * 4 * 8


def test_the_budget_is_what_is_asked_for_or_a_share_of_what_there_is(tmp_path):
    """A container's limit counts, of either version and of whichever group around it."""
    assert budget(2.0) == 2 << 30
    assert 0 < budget(None) < available() <= psutil.virtual_memory().total
    proc, groups = tmp_path / "proc/self", tmp_path / "sys/fs/cgroup"
    proc.mkdir(parents=True)
    (groups / "a/b").mkdir(parents=True)
    (proc / "cgroup").write_text("0::/a/b\n")
    (groups / "a/b/memory.max").write_text("max\n")
    assert available(tmp_path) == psutil.virtual_memory().total
    (groups / "a/memory.max").write_text("1000000\n")
    assert available(tmp_path) == 1_000_000
    (groups / "memory/c").mkdir(parents=True)
    (proc / "cgroup").write_text("4:cpu:/x\n3:memory:/c\n")
    (groups / "memory/c/memory.limit_in_bytes").write_text("2000000\n")
    (groups / "memory/memory.limit_in_bytes").write_text(f"{(1 << 63) - 4096}\n")
    assert available(tmp_path) == 2_000_000


def test_a_budget_of_nothing_is_refused():
    """It is told before anything runs."""
    with pytest.raises(UsageError, match="memory=0"):
        Local(memory=0)
