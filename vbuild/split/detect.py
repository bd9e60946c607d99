"""Runs PySceneDetect's detectors over stored changes instead of pictures."""

from __future__ import annotations

from fractions import Fraction
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vbuild.stage import Row

RATE = Fraction(25)
"""Detectors count in frames, so that any rate will do."""


def cuts(detector: Any, changes: Row) -> list[int]:
    """The indices of the frames at which a detector sees a new scene begin.

    `detector` is one of PySceneDetect's that work on the score of a frame against the one before; the score comes from
    `changes`, what the stage of that name wrote, with all three parts weighing the same as by its defaults.
    """
    from scenedetect.common import FrameTimecode

    scores = [sum(parts) / 3.0 for parts in zip(changes["hue"], changes["saturation"], changes["luma"], strict=True)]
    detector._calculate_frame_score = MethodType(_score, detector)  # noqa: SLF001  it has no other door for a score
    found = []
    last = None
    for number, score in enumerate(scores):
        last = FrameTimecode(number, fps=RATE)
        found += detector.process_frame(last, score)
    if last is not None:
        found += detector.post_process(last)
    return sorted(cut.frame_num for cut in found)


def _score(_detector: Any, _timecode: Any, score: float) -> float:
    """What a detector would reckon from two pictures."""
    return score
