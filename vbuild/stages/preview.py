"""Small moving pictures of each clip, and a still, to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from vbuild.errors import UsageError
from vbuild.fields import BlobField, Kind, List, Scalar
from vbuild.media.versions import PASSES, PREVIEW, STILLS
from vbuild.stage import Blob, Clip, Media, Phase, Row, Stage, Windows

if TYPE_CHECKING:
    import av
    import numpy as np

    from vbuild.media.preview import Animation
    from vbuild.media.sampling import Cutting
    from vbuild.media.stills import Chooser, Shrinker, Still


@dataclass(frozen=True, kw_only=True)
class Preview(Stage):
    """An animated webp of each window of a clip, as NeMo Curator makes, and a still of its middle as jpeg.

    Pictures stand at 0, 1/fps, 2/fps … seconds from the clip's start, in the window in which they lie, at least the
    first frame of each. `start` and `end`: seconds of each window from the clip's start. A clip without a window has an
    empty list. `poster`: the frame nearest to the clip's middle.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "produce"
    dear: ClassVar[bool] = True
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {
        "": List(BlobField()),
        "start": List(Scalar("float64")),
        "end": List(Scalar("float64")),
        "poster": BlobField(),
    }
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "stills": STILLS, "preview": PREVIEW}

    fps: float = 1.0
    """Pictures a second."""
    height: int = 240
    """Pixels; smaller footage is not enlarged."""
    quality: int = 50
    """Of the pictures, 0 to 100."""
    level: int = 6
    """Effort of compression, 0 to 6."""
    poster_height: int = 480
    """Pixels; smaller footage is not enlarged."""
    poster_quality: int = 85
    windows: Windows = Windows()

    def __post_init__(self) -> None:
        """Refuses what the encoder would refuse of every clip."""
        for name, least in (("fps", 0), ("height", 1), ("poster_height", 1)):
            if not getattr(self, name) > least:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than {least}")
        for name, most in (("quality", 100), ("level", 6), ("poster_quality", 100)):
            if not 0 <= getattr(self, name) <= most:
                raise UsageError(f"{name}={getattr(self, name)}: must be from 0 to {most}")

    def effective(self) -> Preview:
        """The stage with its windows as they come into effect."""
        return replace(self, windows=self.windows.effective())

    def asks(self) -> Media:
        """Every frame as decoded, for windows are counted in frames; those that are not shown are not converted."""
        return Media(sound=False)

    def open(self, clip: Clip, model: None) -> Showing:  # noqa: ARG002
        """The preview of one clip."""
        from vbuild.media.sampling import Cutting
        from vbuild.media.stills import Chooser, Shrinker

        return Showing(
            self,
            Cutting(self.windows, clip.duration),
            Chooser(clip.duration, (self.fps,), middle=True),
            Shrinker(height=self.height),
            Shrinker(format="bgr24", height=self.poster_height),
        )


@dataclass
class Showing:
    """A preview while it is made. Until a window is sure its few small pictures wait."""

    stage: Preview
    cutting: Cutting
    chooser: Chooser
    small: Shrinker
    large: Shrinker
    poster: Blob | None = None
    made: list[Blob] = field(default_factory=list)
    begun: int = 0
    """Windows that are sure."""
    animation: Animation | None = None
    """That of the last of them."""
    ahead: np.ndarray | None = None
    """The first picture behind it; None where there is none."""
    waiting: list[np.ndarray] = field(default_factory=list)

    def frame(self, frame: av.VideoFrame | np.ndarray, time: float) -> None:
        """One frame, as decoded."""
        whole = cast("av.VideoFrame", frame)
        self._show(self.chooser.see(whole, time))
        if self.cutting.see(time):
            self.ahead = self.small.array(whole)
        if len(self.cutting.starts) > self.begun:
            self._sure()

    def packet(self, packet: av.Packet[Any]) -> None:
        """Sound is not asked for, and never comes."""

    def _show(self, still: Still | None) -> None:
        """A picture of the window that goes on, or of what may become one."""
        from vbuild.media.images import image

        if still is None:
            return
        if "middle" in still.roles:
            picture = image(self.large.array(still.frame), "jpeg", self.stage.poster_quality)
            self.poster = Blob(picture, ".jpg")
        if still.roles != ("middle",):
            self.waiting.append(self.small.array(still.frame))
        if self.ahead is None:
            self._flush()

    def _flush(self) -> None:
        assert self.animation is not None
        for picture in self.waiting:
            self.animation.add(picture)
        self.waiting.clear()

    def _sure(self) -> None:
        """What is ahead is a window of its own."""
        from vbuild.media.preview import Animation

        assert self.ahead is not None
        self._end()
        self.begun += 1
        self.animation = Animation(
            fps=self.stage.fps, quality=self.stage.quality, level=self.stage.level, otherwise=self.ahead
        )
        self.ahead = None
        self._flush()

    def _end(self) -> None:
        """The last window is over."""
        if self.animation is not None:
            self.made.append(Blob(self.animation.close(), ".webp"))

    def close(self) -> Row:
        """The animations and the poster."""
        self._show(self.chooser.close())
        windows = self.cutting.stretches(over=True)
        if windows:
            self._flush()
            self._end()
        starts, ends = [window.start for window in windows], [window.end for window in windows]
        return {"": self.made if windows else [], "start": starts, "end": ends, "poster": self.poster}
