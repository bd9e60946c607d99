"""Each clip as a video file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import uuid4

from vbuild.errors import UsageError
from vbuild.fields import BlobField, Kind, Scalar
from vbuild.media.options import INPUT, Codec, Like, SizeFit, SizeLimits, options, unspelled
from vbuild.media.versions import ENCODE, PASSES
from vbuild.stage import Blob, Clip, Media, Packets, Phase, Row, Stage

if TYPE_CHECKING:
    import av
    import numpy as np

    from vbuild.media.copying import ClipCopier
    from vbuild.media.encode import ClipEncoder, Encoded

SHAPED = ("size", "fps")
"""Parameters that shape the pictures of a file that is encoded; those that go with them need one of them."""

HELD = 110
"""Frames in an encoder: 105 were measured of libx264, medium, which looks 40 ahead and holds them at several sizes."""


@dataclass(frozen=True, kw_only=True)
class Transcode(Stage):
    """Each clip as a file of its own: encoded, or copied as it stands from the keyframe before it.

    Encoded: an mp4 that lasts as long as the clip: it begins with the picture that stands then, the last lasts to the
    end, all others come at their own times, sound in step; every encoder's codec plays in mp4.
    Copied (`codec: copy`): no picture is decoded, so the file begins on the last keyframe at or before the clip and
    ends with the last frame that one of the clip needs; `start` (seconds from the clip's start to the file's first
    frame), `duration` and `frames` say what it holds. An mp4, but Matroska for pictures that have no place in mp4.
    Sound is copied where it belongs in mp4 (aac, mp3, ac3, eac3, opus), else made AAC.

    `like: curator` takes NeMo Curator's options for h264_nvenc, libvpx-vp9 and libopenh264, `like: cosmos`
    Cosmos-Curate's for libopenh264; what is given by name goes before.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "produce"
    dear: ClassVar[bool] = True
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {
        "": BlobField(),
        "w": Scalar("int64"),
        "h": Scalar("int64"),
        "fps": Scalar("float64"),
        "frames": Scalar("int64"),
        "start": Scalar("float64"),
        "duration": Scalar("float64"),
        "codec": Scalar("string"),
        "audio": Scalar("string"),
    }
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "encode": ENCODE}

    codec: Codec = "libx264"
    like: Like | None = None
    crf: int | None = None
    """Constant quality, 0 (best) to 51, of vp9 and av1 to 63; None: what is usual for the encoder, 23 for libx264."""
    preset: str | None = None
    """Effort, in the encoder's own words; None: what is usual for it, medium for libx264."""
    bitrate: str | None = None
    """In place of constant quality: bits a second, as `4M` or `800k`, or `input` for the source's."""
    options: Mapping[str, str] = field(default_factory=dict)
    """More of the encoder's own options, such as {g: 48}; none that is given by name too."""
    long_side: int | None = None
    """Pixels to which the longer side is shrunk; smaller footage is not enlarged, unless `upscale` is set."""
    short_side: int | None = None
    """Pixels to which the shorter side is shrunk, likewise."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, both even, in place of limits. Footage that is smaller becomes no larger unless
    `upscale` is set: by `pad` it lies in the middle, by the others the file is smaller and of the same shape."""
    fit: SizeFit = "crop"
    """How footage of another shape comes to `size`: crop (its shape is kept, what is over is cut off at both ends), pad
    (all of it lies in the middle, on black) or scale (its shape is not kept)."""
    upscale: bool = False
    """Whether smaller footage is enlarged to `size`, `long_side` or `short_side`."""
    fps: float | None = None
    """Frames a second, at most: of each 1/fps seconds the frame that is nearest. Footage with more is shown at that
    even rate, what has fewer at its own times."""
    repeat: bool = False
    """Whether footage that has fewer frames than `fps` shows them again, so that the rate is even in all files."""
    max_frames: int | None = None
    """Frames at most; of a clip that has more they are thinned evenly, and it lasts as long as before."""
    sound: bool = True

    def __post_init__(self) -> None:
        """Refuses what the encoders would refuse of every clip."""
        for name in ("long_side", "short_side", "max_frames"):
            value, least = getattr(self, name), 1 if name == "max_frames" else 2
            if value is not None and value < least:
                raise UsageError(f"{name}={value}: must be {least} or more, or null")
        self._check_size()
        if self.fps is not None and not 0.01 <= self.fps <= 1000:
            raise UsageError(f"fps={self.fps}: must be from 0.01 to 1000, or null")
        if self.repeat and self.fps is None:
            raise UsageError("repeat=true: it fills up a rate; give fps, such as 24")
        if self.codec != "copy":
            self._options(None)
            return
        for name in ("like", "crf", "preset", "bitrate", "options", "long_side", "short_side", "max_frames", *SHAPED):
            if getattr(self, name) not in (None, {}):
                raise UsageError(f"{name}={getattr(self, name)}: a copy is not encoded; leave it out, or name a codec")

    def _check_size(self) -> None:
        limits = [name for name in ("long_side", "short_side") if getattr(self, name) is not None]
        if self.size is not None:
            width, height = self.size
            if limits:
                raise UsageError(f"size={width}x{height}: {limits[0]} says it too; leave one of them out")
            if any(side < 2 or side % 2 for side in self.size):
                raise UsageError(f"size={width}x{height}: both must be even, and 2 or more")
        elif self.fit != Transcode.fit:
            raise UsageError(f"fit={self.fit}: it needs a size, such as [1280, 720]")
        if self.upscale and self.size is None and not limits:
            raise UsageError("upscale=true: it needs what to enlarge to; give size, long_side or short_side")

    def effective(self) -> Transcode:
        """The stage with what the encoder is told, however it is written, and without what is usual for it."""
        if self.codec == "copy":
            return self
        told = self._options(None)
        crf, preset, bitrate, more = unspelled(self.codec, told)
        if options(self.codec, None, crf, preset, bitrate, more) != told:
            return self
        return replace(self, like=None, crf=crf, preset=preset, bitrate=bitrate, options=more)

    def _options(self, source: int | None) -> dict[str, str]:
        """The encoder's options for a source of so many bits a second."""
        made = options(self.codec, self.like, self.crf, self.preset, self.bitrate, self.options)
        return made | ({"b": str(source)} if made.get("b") == INPUT and source else {})

    def asks(self) -> Media | Packets:
        """Every frame at full size, or the packets, and the sound."""
        return Packets(sound=self.sound) if self.codec == "copy" else Media(sound=self.sound)

    def holds(self, width: int, height: int) -> int:
        """The frames that an encoder looks ahead and refers to, and the one that waits for its moment."""
        if self.codec == "copy":
            return 0
        waiting = 0 if self.fps is None else width * height * 3
        width, height = self._limits().size(width, height)
        return HELD * width * height * 3 // 2 + waiting

    def _limits(self) -> SizeLimits:
        return SizeLimits(
            self.long_side,
            self.short_side,
            self.max_frames,
            exact=self.size,
            fit=self.fit,
            upscale=self.upscale,
            fps=self.fps,
            repeat=self.repeat,
        )

    def check(self) -> None:
        """Raises UsageError if the encoder does not open on this machine."""
        from vbuild.media.encode import check

        if self.codec != "copy":
            check(self.codec)

    def encoders(self) -> Mapping[str, str]:
        """The encoder of its pictures; a copy needs none."""
        from vbuild.media.encode import build_of

        return {} if self.codec == "copy" else {self.codec: build_of(self.codec)}

    def open(self, clip: Clip, model: None) -> Encoding | Copying:  # noqa: ARG002
        """An encoder for one clip."""
        from vbuild.media.copying import ClipCopier
        from vbuild.media.encode import ClipEncoder

        assert clip.scratch is not None
        stem = clip.scratch / uuid4().hex
        if self.codec == "copy":
            return Copying(ClipCopier(stem, start=clip.start, duration=clip.duration, sound=self.sound))
        path = stem.with_suffix(".mp4")
        encoder = ClipEncoder(
            path,
            codec=self.codec,
            options=self._options(clip.bitrate),
            start=clip.start,
            duration=clip.duration,
            fps=clip.fps,
            limits=self._limits(),
        )
        return Encoding(path, encoder)


@dataclass(frozen=True)
class Encoding:
    """A clip while it is encoded."""

    path: Path
    encoder: ClipEncoder

    def frame(self, frame: av.VideoFrame | np.ndarray, time: float) -> None:
        """One frame, as decoded."""
        self.encoder.frame(cast("av.VideoFrame", frame), time)

    def packet(self, packet: av.Packet[Any]) -> None:
        """One packet of sound."""
        self.encoder.packet(packet)

    def close(self) -> Row:
        """The file, and what is in it."""
        return _row(self.path, self.encoder.close())


@dataclass(frozen=True)
class Copying:
    """A clip while it is copied."""

    copier: ClipCopier

    def frame(self, frame: av.VideoFrame | np.ndarray, time: float) -> None:
        """Frames are not asked for, and never come."""

    def packet(self, packet: av.Packet[Any]) -> None:
        """One packet of picture or sound."""
        self.copier.packet(packet)

    def close(self) -> Row:
        """The file, and what is in it."""
        return _row(*self.copier.close())


def _row(path: Path, done: Encoded) -> Row:
    return {
        "": Blob(path, path.suffix),
        "w": done.width,
        "h": done.height,
        "fps": done.fps,
        "frames": done.frames,
        "start": done.start,
        "duration": done.duration,
        "codec": done.codec,
        "audio": done.audio,
    }
