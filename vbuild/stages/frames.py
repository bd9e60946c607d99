"""Frames of a clip as image files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast
from uuid import uuid4

from vbuild.errors import UsageError
from vbuild.fields import BlobField, Kind, List, Scalar
from vbuild.media.options import SizeLimits
from vbuild.media.versions import PASSES, STILLS
from vbuild.stage import Blob, Clip, Media, Phase, Row, Stage

if TYPE_CHECKING:
    import av
    import numpy as np

    from vbuild.media.stills import Chooser, Shrinker, Still


@dataclass(frozen=True, kw_only=True)
class Frames(Stage):
    """Keeps frames as image files: at any number of rates, the middle one, keyframes; all from one decode.

    For a rate, the frame nearest in time to each of 0, 1/rate, 2/rate … seconds from the clip's start, as NeMo Curator
    samples. A frame that serves several rates is kept once. In order of time: the files, `time` (seconds from the
    clip's start), and `role`: what each was kept for, such as "1 fps", "2 fps, keyframe", "middle".
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "produce"
    dear: ClassVar[bool] = True
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {
        "": List(BlobField()),
        "time": List(Scalar("float64")),
        "role": List(Scalar("string")),
    }
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "stills": STILLS}

    rates: tuple[float, ...] = (1.0,)
    """Frames a second; several rates cost one decode."""
    middle: bool = False
    """The frame nearest to the middle of the clip."""
    keyframes: bool = False
    """Every frame that the source holds as a keyframe."""
    long_side: int | None = None
    """Pixels to which the longer side is shrunk; smaller footage is not enlarged."""
    short_side: int | None = None
    format: Literal["jpeg", "webp", "png"] = "jpeg"
    quality: int = 90
    """Of jpeg and webp, 0 to 100."""

    def __post_init__(self) -> None:
        """Refuses frames of nothing."""
        for rate in self.rates:
            if not rate > 0:
                raise UsageError(f"rates={list(self.rates)}: a rate must be more than 0")
        if not (self.rates or self.middle or self.keyframes):
            raise UsageError("rates=[]: no frame is asked for; give rates, middle=true or keyframes=true")
        for name in ("long_side", "short_side"):
            value = getattr(self, name)
            if value is not None and value < 2:
                raise UsageError(f"{name}={value}: must be 2 or more, or null")
        if not 0 <= self.quality <= 100:
            raise UsageError(f"quality={self.quality}: must be from 0 to 100")
        if self.format == "png" and self.quality != Frames.quality:
            raise UsageError(f"quality={self.quality}: format=png loses nothing and knows no quality; leave one out")

    def asks(self) -> Media:
        """Every frame as decoded: those that are not chosen are not converted."""
        return Media(sound=False)

    def open(self, clip: Clip, model: None) -> Keeping:  # noqa: ARG002
        """Keeps the frames of one clip."""
        from vbuild.media.stills import Chooser, Shrinker

        assert clip.scratch is not None
        chooser = Chooser(clip.duration, self.rates, self.middle, self.keyframes)
        shrinker = Shrinker(format="bgr24", limits=SizeLimits(self.long_side, self.short_side))
        return Keeping(self, clip.scratch, chooser, shrinker)


@dataclass
class Keeping:
    """Frames while they are kept, each in a file of its own."""

    stage: Frames
    scratch: Path
    chooser: Chooser
    shrinker: Shrinker
    files: list[Blob] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)

    def frame(self, frame: av.VideoFrame | np.ndarray, time: float) -> None:
        """One frame, as decoded."""
        self._keep(self.chooser.see(cast("av.VideoFrame", frame), time))

    def packet(self, packet: av.Packet[Any]) -> None:
        """Sound is not asked for, and never comes."""

    def _keep(self, still: Still | None) -> None:
        from vbuild.media.images import SUFFIXES, image

        if still is None:
            return
        suffix = SUFFIXES[self.stage.format]
        path = self.scratch / f"{uuid4().hex}{suffix}"
        path.write_bytes(image(self.shrinker.array(still.frame), self.stage.format, self.stage.quality))
        self.files.append(Blob(path, suffix))
        self.times.append(still.time)
        self.roles.append(", ".join(still.roles))

    def close(self) -> Row:
        """The files."""
        self._keep(self.chooser.close())
        return {"": self.files, "time": self.times, "role": self.roles}
