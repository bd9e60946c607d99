"""Windows of clips: how they are cut, and what was said of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vbuild.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How a clip is cut into windows, each of which gets a preview, a caption and answers of its own; in frames.

    The rule is NeMo Curator's: none for a clip shorter than `min`, one for a clip up to `frames`, else as many full
    ones as there are; what is left is a window of its own from `remainder` on, and else belongs to the last. A stage
    that has a field of this type takes the dataset's section `windows` by default.
    """

    frames: int | None = 256
    """None: one window, however long the clip."""
    remainder: int = 128
    min: int = 4

    def __post_init__(self) -> None:
        """Refuses windows of nothing."""
        for name in ("frames", "remainder", "min"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: a number of frames, 1 or more, is needed")

    def effective(self) -> Windows:
        """The windows with a remainder that nothing can be as long as written in one way."""
        if self.frames is None:
            return replace(self, remainder=Windows.remainder)
        return replace(self, remainder=max(self.frames, Windows.remainder)) if self.remainder >= self.frames else self

    def spans(self, count: int) -> list[tuple[int, int]]:
        """The windows of a clip of so many frames: the first frame of each and the one behind its last."""
        if count < self.min:
            return []
        full = max(1, count // self.frames) if self.frames else 1
        starts = [n * (self.frames or 0) for n in range(full)]
        if self.frames and full * self.frames < count and count - full * self.frames >= self.remainder:
            starts.append(full * self.frames)
        return list(zip(starts, [*starts[1:], count], strict=True))


@dataclass(frozen=True)
class Window:
    """One caption: what was said of a stretch of a clip. The whole clip if start and end are None (seconds)."""

    text: str
    start: float | None = None
    end: float | None = None
    enhanced: str | None = None
    status: str = "success"
    tokens: int | None = None
    model: str | None = None
