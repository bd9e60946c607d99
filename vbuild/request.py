"""What a stage may ask of the footage, and what a pass finds for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from vbuild.windows import Windows

if TYPE_CHECKING:
    import numpy as np

Fit = Literal["squash", "crop", "pad"]
Kernel = Literal["area", "bilinear", "bicubic"]
Rounding = Literal["round", "floor"]


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Sampled frames of each clip, chosen by presentation time: one of `fps`, `count` or `every`.

    `fps`: at start, start + 1/fps, … the frame nearest in time. `count`: at the middles of that many equal parts; with
    `ends`, at that many moments evenly from start to end. `every`: all frames. A clip's pictures are the frame that
    stands when it begins, at time 0 though it may have come before, and those that come until it ends, its end not in
    it.
    """

    fps: float | None = None
    count: int | None = None
    ends: bool = False
    every: bool = False
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    fit: Fit = "squash"
    """How a picture of another shape comes to `size`: its shape is not kept; or it is kept, and what is over is cut off
    at both ends; or all of it lies in the middle, on black. Smaller pictures are enlarged."""
    short_side: int | None = None
    """The shorter side in pixels, the shape kept; smaller pictures are not enlarged. With `fit="crop"` the shorter side
    before the cut, where more than `size` needs is cut off."""
    long_side: int | None = None
    """The longer side in pixels, the shape kept; smaller pictures are not enlarged."""
    height: int | None = None
    """The height in pixels, the shape kept, the width even; smaller pictures are not enlarged."""
    patches: tuple[int, int] | None = None
    """Of a network that takes pictures of any shape in square patches: pixels of a patch's side, and how many there may
    be. The largest picture of about the source's shape that is so many whole patches or fewer; smaller ones are
    enlarged. In place of any other size."""
    pairs: bool = False
    """With each frame the one right behind it."""
    format: Literal["rgb24", "gray"] = "rgb24"
    kernel: Kernel = "area"
    """How pixels are made of others: `area` costs least; the others, in exact colours, come within 53 dB of Pillow's,
    with which most models were trained."""
    rounding: Rounding = "round"
    """How a side that follows from the picture's shape is made whole; models know it as round() or int()."""
    windows: Windows | None = None
    """Of a hosted stage: each window of a clip by itself. Of one in which no sampled frame lies the first is taken."""

    def __post_init__(self) -> None:
        """Raises ValueError for frames that cannot be chosen or made."""
        chosen = [
            n for n in ("fps", "count", "every") if getattr(self, n) is not None and getattr(self, n) is not False
        ]
        if len(chosen) != 1:
            raise ValueError(f"Frames({', '.join(chosen)}): one of fps, count and every is needed")
        if not (self.every or (self.count or self.fps or 0) > 0):
            raise ValueError(f"{chosen[0]}={getattr(self, chosen[0])}: must be more than 0")
        if self.ends and (self.count or 0) < 2:
            raise ValueError("ends=True: it needs a count, of 2 at least")
        for name, known in (("fit", Fit), ("kernel", Kernel), ("rounding", Rounding)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name}={getattr(self, name)!r}: it must be one of {', '.join(get_args(known))}")
        sized = (self.size, self.short_side, self.long_side, self.height)
        if self.patches is not None and (min(self.patches) < 1 or any(size is not None for size in sized)):
            raise ValueError(f"patches={self.patches}: both must be 1 or more, and nothing else says a size")
        if self.windows is not None and (self.count is not None or self.pairs):
            raise ValueError("windows: their frames are chosen by fps or every, and are no pairs")
        if self.fit != "squash" and self.size is None:
            raise ValueError(f"fit={self.fit!r}: it needs a size")
        if self.fit == "crop" and self.short_side is not None and self.short_side < max(self.size or ()):
            raise ValueError(f"short_side={self.short_side}: it must be as long as both sides of size={self.size}")


@dataclass(frozen=True, kw_only=True)
class Sound:
    """The clip's sound as float32 samples; silence where the source has none within the clip."""

    rate: int = 48_000
    """Samples a second."""
    channels: int = 1


@dataclass(frozen=True, kw_only=True)
class Media:
    """Every frame at full size as it was decoded, and the packets of the sound: what an encoder asks for."""

    sound: bool = True


@dataclass(frozen=True, kw_only=True)
class Packets:
    """The packets of picture and sound as they stand in the file, undecoded: what a copy asks for.

    Of picture those from the last keyframe at or before the clip's start to the last that a frame of the clip needs.
    """

    sound: bool = True


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """The motion vectors that the codec itself used, of sampled frames: how far parts of the picture move.

    Of each 1/fps seconds the first frame that has any. A clip's first frame is left out: it moves from what was before.
    """

    fps: float
    parity: bool = False
    """Frames as NeMo Curator chooses them: every n-th, those without vectors left out, of no more than half of the
    clip's whole seconds, and 10 at least."""


Request = Frames | Sound | Media | Packets | Vectors


@dataclass(frozen=True)
class Sampled:
    """What a pass found for a request of `Frames`."""

    pixels: np.ndarray
    """uint8, (n, h, w, 3) or (n, h, w) in gray; with `pairs` (n, 2, h, w, …). n may be less than asked, and is 0
    for a clip without a decodable frame."""
    times: np.ndarray
    """float64 (n,): seconds from the clip's start, of each frame or each pair's first."""
    steps: np.ndarray | None = None
    """float64 (n,): of each pair the seconds from its first to its second; None without `pairs`."""


CELL = 8
"""Pixels a side of the squares of `Moved.cells`: of the smallest block that a codec gives a vector of its own."""


@dataclass(frozen=True)
class Moved:
    """What a pass found for a request of `Vectors`."""

    cells: np.ndarray | None
    """float64 (rows, columns): how far each square of `CELL` pixels moves, in pixels, mean over frames; the last of a
    row and of a column may reach over the border. None where no frame that was looked at has vectors."""
    width: int
    """Pixels of the picture, as coded."""
    height: int
    frames: int
    """Frames with vectors that were sampled."""
    seen: int
    """Frames of the clip."""
    codec: str
    """FFmpeg's name for it."""
