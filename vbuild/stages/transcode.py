"""Each clip as a video file of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast
from uuid import uuid4

from vbuild.errors import UsageError
from vbuild.media.versions import ENCODE, PASSES
from vbuild.stage import Blob, Clip, Media, Phase, Row, Stage

if TYPE_CHECKING:
    import av
    import numpy as np

    from vbuild.media.encode import ClipEncoder

OPENH264_BITRATE = "4M"
"""What Cosmos-Curate gives libopenh264, which knows no constant quality."""

NVENC = {"rc": "vbr", "tune": "hq", "b_ref_mode": "middle", "temporal-aq": "1", "spatial-aq": "1", "rc-lookahead": "20"}
"""NeMo Curator's options for h264_nvenc."""

BITRATE = re.compile(r"[1-9]\d*(\.\d+)?[kM]?")


@dataclass(frozen=True, kw_only=True)
class Transcode(Stage):
    """Encodes each clip to mp4 (H.264), cut to the frame, frames at their own times, sound in step.

    Raises MediaError where the encoder is not in this build of PyAV, or finds no device.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "produce"
    dear: ClassVar[bool] = True
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {
        "": "blob",
        "w": "int64",
        "h": "int64",
        "fps": "float64",
        "frames": "int64",
        "duration": "float64",
        "codec": "string",
        "audio": "string",
    }
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "encode": ENCODE}

    codec: Literal["libx264", "libopenh264", "h264_nvenc"] = "libx264"
    crf: int = 23
    """Constant quality, 0 (best) to 51: libx264's crf, h264_nvenc's cq. libopenh264 has none."""
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = (
        "medium"
    )
    """Effort of libx264; the others take none."""
    bitrate: str | None = None
    """Bits a second, as `4M` or `800k`, in place of constant quality."""
    sound: bool = True

    def __post_init__(self) -> None:
        """Refuses what the encoders would refuse of every clip."""
        if not 0 <= self.crf <= 51:
            raise UsageError(f"crf={self.crf}: must be from 0 (best) to 51; 23 is usual")
        if self.bitrate is not None and not BITRATE.fullmatch(self.bitrate):
            raise UsageError(f"bitrate={self.bitrate}: write bits a second as 4M or 800k, or null")

    @property
    def options(self) -> dict[str, str]:
        """The encoder's own options."""
        if self.codec == "libopenh264":
            return {"b": self.bitrate or OPENH264_BITRATE}
        if self.codec == "h264_nvenc":
            return {**NVENC, **({"b": self.bitrate} if self.bitrate else {"cq": str(self.crf), "b": "0"})}
        return {"preset": self.preset, **({"b": self.bitrate} if self.bitrate else {"crf": str(self.crf)})}

    def asks(self) -> Media:
        """Every frame at full size, and the sound."""
        return Media(sound=self.sound)

    def open(self, clip: Clip, model: None) -> Encoding:  # noqa: ARG002
        """An encoder for one clip."""
        from vbuild.media.encode import ClipEncoder

        assert clip.scratch is not None
        path = clip.scratch / f"{uuid4().hex}.mp4"
        encoder = ClipEncoder(path, codec=self.codec, options=self.options, duration=clip.duration, sound=self.sound)
        return Encoding(path, encoder)


@dataclass(frozen=True)
class Encoding:
    """A clip while it is encoded."""

    path: Path
    encoder: ClipEncoder

    def frame(self, frame: av.VideoFrame | np.ndarray, time: float) -> None:
        """One frame, as decoded."""
        self.encoder.frame(cast("av.VideoFrame", frame), time)

    def packet(self, packet: av.Packet[av.AudioStream]) -> None:
        """One packet of sound."""
        self.encoder.packet(packet)

    def close(self) -> Row:
        """The file, and what is in it."""
        done = self.encoder.close()
        return {
            "": Blob(self.path, ".mp4"),
            "w": done.width,
            "h": done.height,
            "fps": done.fps,
            "frames": done.frames,
            "duration": done.duration,
            "codec": done.codec,
            "audio": done.audio,
        }
