"""Windows of clips: how they are cut, and what was said of each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from vbuild.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How a clip is cut into windows, each of which gets a preview, a caption and answers of its own.

    The rule is NeMo Curator's, in frames: none for a clip shorter than `min`, one for a clip up to `frames`, else as
    many full ones as there are; what is left is a window of its own from `remainder` on, and else belongs to the last.
    With `seconds` windows are as long as that, whatever the frame rate, and what is left is one of its own from half of
    it on. A stage that has a field of this type takes the dataset's section `windows` by default.
    """

    frames: int | None = 256
    """None: one window, however long the clip."""
    remainder: int = 128
    min: int = 4
    seconds: float | None = None
    """In place of `frames` and `remainder`."""

    def __post_init__(self) -> None:
        """Refuses windows of nothing."""
        for name in ("frames", "remainder", "min"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: a number of frames, 1 or more, is needed")
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"seconds={self.seconds}: must be more than 0")

    def effective(self) -> Windows:
        """The windows with a remainder that nothing can be as long as written in one way."""
        if self.seconds is not None:
            return replace(self, frames=Windows.frames, remainder=Windows.remainder)
        if self.frames is None:
            return replace(self, remainder=Windows.remainder)
        return replace(self, remainder=max(self.frames, Windows.remainder)) if self.remainder >= self.frames else self

    def longest(self, fps: float | None) -> float:
        """Seconds of footage with so many frames a second that are held at most until a window is over."""
        if self.seconds is not None:
            return 1.5 * self.seconds
        if self.frames is None or not fps:
            return math.inf
        return (self.frames + min(self.remainder, self.frames)) / fps


@dataclass(frozen=True)
class Stretch:
    """Where a window lies, in seconds from the clip's start."""

    index: int
    start: float
    end: float


@dataclass(frozen=True)
class Window:
    """One caption: what was said of a stretch of a clip. The whole clip if start and end are None (seconds)."""

    text: str | None
    """None where nothing was said of it."""
    start: float | None = None
    end: float | None = None
    enhanced: str | None = None
    status: str = "success"
    tokens: int | None = None
    model: str | None = None
