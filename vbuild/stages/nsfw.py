"""How likely a clip is pornographic, by Yahoo's network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import PASSES
from vbuild.models import nsfw
from vbuild.stage import Clip, Frames, Phase, Row, Stage, knob


@dataclass(frozen=True, kw_only=True)
class NSFW(Stage):
    """The probability that a frame is pornographic: that of the likeliest frame, and the mean over frames.

    Those who trained it called less than 0.2 safe and more than 0.8 not; between the two a person has to look. It knows
    nothing of blood or drawings. None for a clip without a frame.

    Mahadeokar and Pesavento, Open sourcing a deep learning solution for detecting NSFW images, 2016.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    hosted: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {"": Scalar("float32"), "mean": Scalar("float32")}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "nsfw": nsfw.VERSION}

    fps: float = 1.0
    """Frames a second."""
    device: str = knob("auto")
    """`cuda` or `cpu`; `auto`: a GPU where onnxruntime can use one."""

    def __post_init__(self) -> None:
        """Refuses none."""
        if not self.fps > 0:
            raise UsageError(f"fps={self.fps}: must be more than 0")

    def asks(self) -> Frames:
        """Frames as the network was trained with."""
        return Frames(fps=self.fps, size=(nsfw.SIDE, nsfw.SIDE), kernel="bilinear")

    def models(self) -> Mapping[str, str]:
        """The weights, by their digest. Raises UsageError if they are not installed."""
        return {"weights": nsfw.identity()}

    def shape(self, clip: Clip) -> tuple[object, ...]:  # noqa: ARG002
        """Clips of any number of frames go together."""
        return ()

    def load(self) -> nsfw.Detector:
        """The network."""
        return nsfw.Detector(self.device)

    def run(self, clips: Sequence[Clip], model: nsfw.Detector) -> Iterable[Row]:
        """The probabilities of each clip."""
        for clip in clips:
            assert clip.frames is not None
            found = model.probabilities(clip.frames.pixels)
            yield {"": found.max(), "mean": found.mean()} if len(found) else dict.fromkeys(self.writes)
