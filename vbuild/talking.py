"""What stages have in common that ask a chat model: which one, where it runs, and how it chooses its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from vbuild.errors import UsageError
from vbuild.models import identity
from vbuild.models.messages import Files, Sampling, Video
from vbuild.models.server import Server
from vbuild.stage import Clip, Frames, Windows, knob, weights

Dtype = Literal["bfloat16", "float16", "float32"]


@dataclass(frozen=True, kw_only=True)
class Talking:
    """A chat model, in this machine's memory or at a server."""

    model: str | None = weights(None)
    """A repository of the hub or a folder, for a model that is loaded here."""
    revision: str | None = weights(None)
    """The commit of the repository."""
    served: str | None = None
    """The model's name at the server, for one that is asked there. Such a name may come to mean other weights, of which
    nothing is known here: give names with a version."""
    server: Server | None = knob(None)
    """Where that is, and how much may be asked of it."""
    sampling: Sampling = Sampling()
    dtype: Dtype = "bfloat16"
    """Of the model's numbers, where it is loaded here; by default as such models are published, on every machine."""
    device: str = knob("auto")
    """`cuda`, `mps` or `cpu`; `auto`: the first that there is."""
    attention: str = knob("sdpa")
    """How attention is computed, as transformers calls it."""

    def __post_init__(self) -> None:
        """Refuses no model, and more than one."""
        if (self.model is None) == (self.served is None):
            raise UsageError("model: give either model, which is loaded here, or served, which a server has")
        if (self.served is None) != (self.server is None):
            raise UsageError("server: a model that is served needs a server, and only that; give both or neither")

    @property
    def called(self) -> str:
        """The model's name."""
        return self.model or self.served or ""

    def models(self) -> Mapping[str, str]:
        """The identity of what is loaded here."""
        return {} if self.model is None else {"model": identity.of(self.model, self.revision)}

    def check(self) -> None:
        """Raises UsageError where the server could not be asked."""
        if self.server is not None:
            try:
                self.server.check()
            except UsageError as error:
                raise UsageError(f"server.{error}") from error

    def arguments(self) -> dict[str, Any]:
        """What a network in this process is made with."""
        from vbuild.models import devices

        assert self.model is not None
        source, arguments = identity.pretrained(self.model, self.revision)
        return {
            "source": source, "arguments": arguments, "dtype": self.dtype, "device": devices.chosen(self.device),
            "attention": self.attention,
        }  # fmt: skip

    def chat(self) -> Any:
        """The model at the server."""
        from vbuild.models.chat import Chat

        assert self.server is not None
        assert self.served is not None
        return Chat(self.server, self.served)


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
