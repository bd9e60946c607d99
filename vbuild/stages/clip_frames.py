"""Vectors of a clip's frames, made once for all stages that read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.embedding import Network, of_frames
from vbuild.errors import UsageError
from vbuild.fields import Kind, List, Scalar, Vector
from vbuild.models import encoders
from vbuild.stage import Clip, Frames, Row, weights


@dataclass(frozen=True, kw_only=True)
class ClipFrames(Network):
    """The unit vector of each sampled frame of a clip, so that one forward pass serves all that looks at them.

    `pool` makes an embedding of them, `aesthetic` a score; `tags` reads what `pool` makes. By default it is CLIP L/14,
    which the aesthetic score needs. `vectors` are kept as float16, `times` are seconds from the clip's start.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = tuple(encoders.IMAGES)

    model: str = weights("openai/clip-vit-large-patch14")
    fps: float = 1.0
    """Frames a second."""

    def __post_init__(self) -> None:
        """Refuses none."""
        if not self.fps > 0:
            raise UsageError(f"fps={self.fps}: must be more than 0")

    @property
    def writes(self) -> Mapping[str, Kind]:
        """A vector and a time of each frame."""
        return {"vectors": List(Vector(self.checkpoint().width, "float16")), "times": List(Scalar("float64"))}

    def asks(self) -> Frames:
        """Frames as the checkpoint's own processor makes them."""
        return self.sampled(fps=self.fps)

    def shape(self, clip: Clip) -> tuple[object, ...]:  # noqa: ARG002
        """Clips of any number of frames go together."""
        return ()

    def run(self, clips: Sequence[Clip], model: encoders.Encoder) -> Iterable[Row]:
        """Of each clip the vectors of its frames."""
        for clip, vectors in zip(clips, of_frames(clips, model), strict=True):
            assert clip.frames is not None
            yield {"vectors": [*vectors], "times": clip.frames.times.tolist()}
