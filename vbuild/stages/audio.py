"""What a clip sounds like, by plain measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vbuild.errors import UsageError
from vbuild.media.versions import LOUDNESS, PASSES
from vbuild.stage import Clip, Phase, Row, Sound, Stage, knob

if TYPE_CHECKING:
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
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"probe": ("audio",)}
    writes: ClassVar[Mapping[str, str]] = {
        "present": "bool",
        "loudness": "float32",
        "range": "float32",
        "peak": "float32",
        "silence": "float32",
    }
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "loudness": LOUDNESS}

    silence_level: float = -50.0
    """dB below full scale."""
    part: float = 0.1
    """Seconds."""
    batch: int = knob(8)

    def __post_init__(self) -> None:
        """Refuses parts of nothing and levels above full scale."""
        if not self.part >= 0.001:
            raise UsageError(f"part={self.part}: must be 0.001 s or more")
        if not self.silence_level <= 0:
            raise UsageError(f"silence_level={self.silence_level}: it is in dB below full scale; -50 is usual")

    def asks(self) -> Sound:
        """The clip's sound in stereo."""
        return Sound(rate=RATE, channels=2)

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The measures of each clip."""
        from vbuild.media.loudness import loudness

        for clip in clips:
            samples = clip.sound
            if clip.columns["probe"]["audio"] is None or samples is None or not samples.shape[1]:
                yield {**dict.fromkeys(self.writes), "present": clip.columns["probe"]["audio"] is not None}
                continue
            found = loudness(samples, RATE)
            yield {
                "present": True,
                "loudness": found.integrated,
                "range": found.spread,
                "peak": found.peak,
                "silence": silence(samples, round(self.part * RATE), self.silence_level),
            }


def silence(samples: np.ndarray, part: int, level: float) -> float:
    """The share of the parts of samples (channels, n), `part` samples each, whose RMS is below `level` dB."""
    import numpy as np

    power = np.square(samples, dtype=np.float64).mean(axis=0)
    starts = np.arange(0, len(power), part)
    lengths = np.diff([*starts, len(power)])
    return float((np.add.reduceat(power, starts) / lengths < 10 ** (level / 10)).mean())
