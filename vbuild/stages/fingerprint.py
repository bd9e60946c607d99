"""Hashes of a clip's frames, by which clips that overlap are told, however each was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, List, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Sink, Stage

if TYPE_CHECKING:
    import numpy as np

    Bars = tuple[int, int]
    """Pixels above and below, and at the left and at the right."""

SIDE = 128
"""Pixels a side of the pictures of which bars are cut off."""

SMALL = 64
"""Pixels a side of those that are hashed."""

FREQUENCIES = 16
"""Frequencies in each direction that make a bit each."""

BLACK, SIGNS = 24, 0.25
"""Levels, of 255, up to which a pixel may be one of a bar, and the share of a row in which a bar may be lit: by a logo,
or a line of subtitles."""

LOOKED_AT = 256
"""Frames of a clip that tell how wide its bars are, the first ones; so many are held."""

FLAT = 2.5
"""Levels, root mean square, by which a picture departs from its mean in those frequencies at least, to be told. Below,
codecs leave of a hash what chance would."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint(Stage):
    """Four numbers of 64 bits for each frame at a rate: a hash that stays when footage is encoded, sized, boxed anew.

    `times`: seconds of each of those frames from the clip's start. A hash has 256 bits: which of the 16 x 16 low
    frequencies of luma, the mean not among them, are stronger than their median, as PDQ hashes photographs (Facebook,
    The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm, 2019). Black bars, of one width on both
    sides, are cut off before. Frames that show too little, such as black ones, have no hash. None for a clip without.

    Of real footage the same moment in a coarse copy of a fifth of the pixels differs in 10 bits, and in 32 of a hundred
    times at most; with bars in 10; with a logo in 26; an eighth of a second later in 26; other footage in 90 at least.
    """

    version: ClassVar[int] = 2
    phase: ClassVar[Phase] = "embed"
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {"": List(Scalar("uint64")), "times": List(Scalar("float64"))}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    fps: float = 4.0
    """Frames a second. Two copies are hashed at moments that lie half a step apart at most: at 2 a second much of what
    moves fast is lost."""

    def __post_init__(self) -> None:
        """Refuses a rate of nothing."""
        if not self.fps > 0:
            raise UsageError(f"fps={self.fps}: must be more than 0")

    def asks(self) -> Frames:
        """Small pictures in luma."""
        return Frames(fps=self.fps, size=(SIDE, SIDE), format="gray")

    def open(self, clip: Clip, model: None) -> Sink:  # noqa: ARG002
        """Hashes one clip."""
        return Hashing()


class Hashing:
    """A clip while its frames are hashed; those are held that tell how wide its bars are."""

    def __init__(self) -> None:
        self.held: list[tuple[np.ndarray, float]] = []
        self.bars: Bars | None = None
        self.hashes: list[int] = []
        self.times: list[float] = []

    def frame(self, frame: Any, time: float) -> None:
        """One frame, uint8 (SIDE, SIDE)."""
        if self.bars is not None:
            self._hash(frame, time, self.bars)
            return
        self.held.append((frame.copy(), time))
        if len(self.held) == LOOKED_AT:
            self._settle()

    def packet(self, packet: object) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """The clip's hashes."""
        if self.held:
            self._settle()
        return {"": self.hashes, "times": self.times} if self.times else {"": None, "times": None}

    def _settle(self) -> None:
        """Hashes what is held."""
        self.bars = bars_of([picture for picture, _ in self.held])
        for picture, time in self.held:
            self._hash(picture, time, self.bars)
        self.held = []

    def _hash(self, picture: np.ndarray, time: float, bars: Bars) -> None:
        found = hashed(picture, bars)
        if found is not None:
            self.hashes += found.tolist()
            self.times.append(time)


def bars_of(pictures: Sequence[np.ndarray]) -> Bars:
    """Pixels above and below, and at both sides, that are black in all of some pictures uint8 (h, w)."""
    import numpy as np

    lit = np.stack(pictures) > BLACK
    rows, columns = ((lit.mean(axis=axis) > SIGNS).any(axis=0).nonzero()[0] for axis in (2, 1))
    if not len(rows) or not len(columns):
        return 0, 0
    high, wide = lit.shape[1:]
    return int(min(rows[0], high - 1 - rows[-1])), int(min(columns[0], wide - 1 - columns[-1]))


def hashed(picture: np.ndarray, bars: Bars = (0, 0)) -> np.ndarray | None:
    """The hash of a picture uint8 (h, w) in luma without its bars, uint64 (4,); None for one that shows too little."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    (high, wide), (above, beside) = picture.shape, bars
    seen = picture[above : high - above, beside : wide - beside]
    small = cv2.resize(seen, (SMALL, SMALL), None, 0, 0, cv2.INTER_AREA).astype(np.float64)
    rows = waves()
    # einsum without `optimize` sums in one order, whatever the threads of the linear algebra library
    found = np.einsum("ay,yb->ab", rows, np.einsum("yx,bx->yb", small, rows)).ravel()
    if np.sqrt(np.einsum("i,i", found, found)) < FLAT:
        return None
    bits = found > np.median(found)
    packed: np.ndarray = np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64)
    return packed


@cache
def waves() -> np.ndarray:
    """The rows (FREQUENCIES, SMALL) of the cosine transform (DCT-II) behind its mean, that give root mean squares."""
    import numpy as np

    places = (np.arange(SMALL) + 0.5) / SMALL
    rows: np.ndarray = np.cos(np.pi * np.outer(np.arange(1, FREQUENCIES + 1), places)) * np.sqrt(2) / SMALL
    return rows
