"""Finds cuts by PySceneDetect's detectors over what was stored of each frame, instead of pictures."""

from __future__ import annotations

from fractions import Fraction
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vbuild.stage import Row

RATE = Fraction(25)
"""Detectors count in frames, so that any rate will do."""


def cuts(detector: Any, values: Iterable[float]) -> list[int]:
    """The indices of the frames at which a detector sees a new scene begin. `values` is what it takes for a picture."""
    from scenedetect.common import FrameTimecode

    events = []
    last = None
    for number, value in enumerate(values):
        last = FrameTimecode(number, fps=RATE)
        events += detector.process_frame(last, value)
    if last is not None:
        events += detector.post_process(last)
    return sorted(cut.frame_num for cut in events)


def scored(detector: Any) -> Any:
    """A detector that works on the score of a frame against the one before, and takes that score for a picture."""
    detector._calculate_frame_score = MethodType(_score, detector)  # noqa: SLF001  it has no other door for a score
    return detector


def _score(_detector: Any, _timecode: Any, score: float) -> float:
    """What a detector would reckon from two pictures."""
    return score


def scores(changes: Row) -> list[float]:
    """The score of each frame by what the stage `changes` wrote, all three parts weighing the same, as by default."""
    return [sum(parts) / 3.0 for parts in zip(changes["hue"], changes["saturation"], changes["luma"], strict=True)]


def spaced(marked: Iterable[int], least: int) -> list[int]:
    """Of marked frames those that begin a scene: at least so many frames behind the first frame, or the cut before.

    That is how PySceneDetect's HashDetector and HistogramDetector space their cuts.
    """
    kept: list[int] = []
    for frame in marked:
        if frame - (kept[-1] if kept else 0) >= least:
            kept.append(frame)
    return kept
