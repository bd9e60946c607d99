"""What a clip sounds like, by plain measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import LOUDNESS, PASSES
from vbuild.stage import Clip, Phase, Row, Sound, Stage

if TYPE_CHECKING:
    import av
    import numpy as np

RATE = 48_000


@dataclass(frozen=True, kw_only=True)
class Audio(Stage):
    """Whether there is sound, how loud it is, and how much of it is silence.

    - `present`: whether the source has sound; all else is None where it has none.
    - `loudness`: integrated loudness in LUFS by EBU R128 (ITU-R BS.1770), as FFmpeg's ebur128 has it; speech on air is
      at -23. None for a clip that is silent. Sound of more than two channels is mixed to stereo first.
    - `range`: loudness range in LU (EBU Tech 3342), of which 15 is wide.
    - `peak`: true peak in dB below full scale; above -1 it may be clipped.
    - `silence`: share of the clip's parts of `part` seconds in which the root mean square is below `silence_level`.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    sink: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"probe": ("audio",)}
    writes: ClassVar[Mapping[str, Kind]] = {
        "present": Scalar("bool"),
        "loudness": Scalar("float32"),
        "range": Scalar("float32"),
        "peak": Scalar("float32"),
        "silence": Scalar("float32"),
    }
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "loudness": LOUDNESS}

    silence_level: float = -50.0
    """dB below full scale."""
    part: float = 0.1
    """Seconds."""

    def __post_init__(self) -> None:
        """Refuses parts of nothing and levels above full scale."""
        if not self.part >= 0.001:
            raise UsageError(f"part={self.part}: must be 0.001 s or more")
        if not self.silence_level <= 0:
            raise UsageError(f"silence_level={self.silence_level}: it is in dB below full scale; -50 is usual")

    def asks(self) -> Sound:
        """The clip's sound in stereo."""
        return Sound(rate=RATE, channels=2)

    def open(self, clip: Clip, model: None) -> Hearing:  # noqa: ARG002
        """The measures of one clip, taken while its sound goes by."""
        return Hearing(self, clip.columns["probe"]["audio"] is not None)


class Hearing:
    """A clip while it is heard; nothing of its sound is kept."""

    def __init__(self, stage: Audio, present: bool) -> None:
        from vbuild.media.loudness import Meter

        self.stage, self.present = stage, present
        self.meter, self.heard = Meter(RATE), False
        self.part = round(stage.part * RATE)
        self.power = 0.0
        self.filled = self.parts = self.quiet = 0

    def frame(self, frame: av.VideoFrame | np.ndarray, time: float) -> None:  # noqa: ARG002
        """The next samples."""
        samples = cast("np.ndarray", frame)
        if not self.present:
            return
        self.heard = True
        self.meter.hear(samples)
        start = 0
        while start < samples.shape[1]:
            end = min(start + self.part - self.filled, samples.shape[1])
            piece = samples[:, start:end].astype("float64")
            self.power += float((piece * piece).mean(axis=0).sum())
            self.filled, start = self.filled + end - start, end
            if self.filled == self.part:
                self._judge()

    def _judge(self) -> None:
        self.quiet += self.power / self.filled < 10 ** (self.stage.silence_level / 10)
        self.parts, self.power, self.filled = self.parts + 1, 0.0, 0

    def packet(self, packet: av.Packet[Any]) -> None:
        """Packets are not asked for, and never come."""

    def close(self) -> Row:
        """The measures."""
        if not self.heard:
            return {**dict.fromkeys(self.stage.writes), "present": self.present}
        if self.filled:
            self._judge()
        loudness = self.meter.close()
        return {
            "present": True,
            "loudness": loudness.integrated,
            "range": loudness.spread,
            "peak": loudness.peak,
            "silence": self.quiet / self.parts,
        }
