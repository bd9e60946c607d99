"""When each frame of a video is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.fields import Kind, List, Scalar
from vbuild.media.versions import PROBE
from vbuild.stage import Clip, Phase, Row, Stage


@dataclass(frozen=True, kw_only=True)
class Timeline(Stage):
    """The times of all frames of a video, read off its packets, nothing decoded; what `split=scenes` reads.

    `times`: seconds of each frame from the video's first, in order. `chapters`: starts and ends, by turns, of the
    chapters that the file names, in the same seconds.
    """

    version: ClassVar[int] = 2
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar = "video"
    writes: ClassVar[Mapping[str, Kind]] = {"times": List(Scalar("float64")), "chapters": List(Scalar("float64"))}
    uses: ClassVar[Mapping[str, int]] = {"probe": PROBE}

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The times of each file."""
        from vbuild.media.probe import chapters, times

        for clip in clips:
            assert clip.uri is not None
            yield {"times": times(clip.uri), "chapters": chapters(clip.uri)}
