"""What stages have in common that show a chat model the windows of a clip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from vbuild.errors import UsageError
from vbuild.models.messages import Files, Video
from vbuild.stage import Clip, Frames, Windows
from vbuild.talking import Talking


@dataclass(frozen=True, kw_only=True)
class Watching(Talking):
    """A chat model that is shown each window of a clip."""

    fps: float = 2.0
    """Frames a second that the model sees."""
    short_side: int | None = 448
    """Pixels to which the shorter side of the picture is shrunk."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, in place of `short_side`, for a model that sees pictures of one size alone."""
    quality: int = 90
    """Of the jpegs that a server is sent, 0 to 100."""
    windows: Windows = Windows()

    def __post_init__(self) -> None:
        """Refuses what the model could not be shown."""
        super().__post_init__()
        if not self.fps > 0:
            raise UsageError(f"fps={self.fps}: must be more than 0")
        if (self.size is None) == (self.short_side is None):
            raise UsageError("size: give either size or short_side, and null for the other")
        if not 0 <= self.quality <= 100:
            raise UsageError(f"quality={self.quality}: must be from 0 to 100")

    def effective(self) -> Self:
        """The stage with what has an effect where its model is."""
        windows = self.windows.effective()
        if self.served is not None:
            return replace(self, windows=windows, dtype=Talking.dtype)
        return replace(self, windows=windows, quality=Watching.quality)

    def asks(self) -> Frames | None:
        """Frames of each window."""
        return Frames(
            fps=self.fps, short_side=self.short_side, size=self.size, kernel="bicubic", windows=self.windows
        )  # fmt: skip

    def prepare(self, clip: Clip) -> Clip:
        """Jpegs of the frames, where a server is to see them."""
        if self.served is None or clip.frames is None:
            return clip
        from vbuild.media.images import image

        made = tuple(image(pixels[..., ::-1], "jpeg", self.quality) for pixels in clip.frames.pixels)
        return replace(clip, frames=None, made=Files(made, "image/jpeg", tuple(_times(clip))))

    def shape(self, clip: Clip) -> tuple[object, ...]:
        """What windows that go through the model together have in common; a server takes all."""
        return () if self.served is not None or clip.frames is None else clip.frames.pixels.shape

    def load(self) -> Any:
        """The model, or the way to its server."""
        from vbuild.models import vlm

        return self.chat() if self.served is not None else vlm.Network(**self.arguments())


def seen(clip: Clip) -> Video | Files:
    """What the model is shown of a window."""
    if isinstance(clip.made, Files):
        return clip.made
    if clip.window is None or clip.frames is None:
        return Files((clip.columns[""][""].bytes(),), "video/mp4")
    import numpy as np

    return Video(clip.frames.pixels, np.array(_times(clip)), clip.window.end - clip.window.start)


def _times(clip: Clip) -> list[float]:
    """Seconds of a window's frames from its start."""
    assert clip.frames is not None
    assert clip.window is not None
    return [max(float(time) - clip.window.start, 0.0) for time in clip.frames.times]
