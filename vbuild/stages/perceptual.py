"""How a clip looks and how that changes, as a vector: the embedding that needs no weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vbuild.fields import Kind, Vector
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Stage, knob

if TYPE_CHECKING:
    import numpy as np

MOMENTS = 24
"""Frames of a clip. Many, of which only slow changes count, so that one frame on the other side of a cut is little."""

SIDE = 32
"""Pixels a side of each frame."""

RATES = 4
"""Frequencies in time that are kept: the mean look, and up to one and a half swings a clip."""

LUMA, CHROMA = 8, 3
"""Frequencies in each direction of the picture that are kept of luma, and of each of the two colour differences."""

CHROMA_WEIGHT = 0.5
"""Codecs and their colour matrices move colour more than luma."""

BRIGHTNESS_WEIGHT = 0.2
"""Of the mean luma: the structure decides."""

KNEE = 0.02
"""Where strong coefficients begin to be held down, as a share of full range, root mean square."""

NOTHING = 0.1
"""A constant among the coefficients, which decides for clips that show nothing and is lost in all others."""

SIZE = RATES * (LUMA**2 + 2 * CHROMA**2) + 1

YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Rec. 601: luma and the two colour differences of red, green and blue."""


@dataclass(frozen=True, kw_only=True)
class Perceptual(Stage):
    """A unit vector of 329 numbers, near for the same footage encoded, sized or timed anew, far for other footage.

    The low frequencies of the clip as a volume (time, height, width): a cosine transform of 24 frames of 32x32, in
    luma and colour differences. Coefficients are weighted by 1 + the spatial frequency, since pictures fall off as one
    over it, so that no frequency is unheard; asinh holds down the strong ones. None for a clip without a frame.

    On real footage, in clips of 10 s: the same in another codec, size or rate of bits 0.98 and up, mostly over 0.99;
    with half its frames 0.98 and up, but 0.90 where few frames a second show fast motion or cuts; two takes of one
    scene 0.89; one long unmoving shot at two times 0.96 and less; different shots 0.71 and less.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    writes: ClassVar[Mapping[str, Kind]] = {"": Vector(SIZE)}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    batch: int = knob(64)

    def asks(self) -> Frames:
        """Small pictures, evenly over the clip."""
        return Frames(count=MOMENTS, size=(SIDE, SIDE))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The vector of each clip."""
        for clip in clips:
            assert clip.frames is not None
            frames = clip.frames.pixels
            yield {"": embedding(frames) if len(frames) else None}


def embedding(frames: np.ndarray) -> np.ndarray:
    """The unit vector, float32 (329,), of at least one picture: uint8 (n, h, w, 3), evenly over the time."""
    import numpy as np

    # einsum without `optimize` sums in one order, whatever the threads of the linear algebra library
    low = frames[np.arange(MOMENTS) * len(frames) // MOMENTS] / 255.0
    for axis, (sums, kept) in enumerate((("at,tyxc->ayxc", RATES), ("by,ayxc->abxc", LUMA), ("dx,abxc->abdc", LUMA))):
        low = np.einsum(sums, cosines(low.shape[axis], kept), low)
    luma, *chroma = np.einsum("kc,abdc->kabd", np.array(YCC), low)
    weight = 1.0 + np.add.outer(np.arange(LUMA), np.arange(LUMA))
    colour = CHROMA_WEIGHT * weight[:CHROMA, :CHROMA]
    weight[0, 0] = BRIGHTNESS_WEIGHT
    parts = [luma * weight, *(c[:, :CHROMA, :CHROMA] * colour for c in chroma)]
    held = np.arcsinh(np.concatenate([*(p.reshape(RATES, -1) for p in parts)], axis=1).ravel() / KNEE)
    vector = np.append(held, np.arcsinh(NOTHING / KNEE))
    unit: np.ndarray = (vector / np.sqrt(np.einsum("i,i", vector, vector))).astype(np.float32)
    return unit


def cosines(length: int, kept: int) -> np.ndarray:
    """The first rows, (kept, length), of the cosine transform (DCT-II) that gives root mean squares."""
    import numpy as np

    places = (np.arange(length) + 0.5) / length
    rows = np.cos(np.pi * np.outer(np.arange(kept), places)) / length
    rows[1:] *= np.sqrt(2)
    return rows
