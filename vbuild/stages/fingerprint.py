"""Hashes of a clip's frames, by which clips that overlap are told, however each was cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, List, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Sink, Stage

if TYPE_CHECKING:
    import numpy as np

SIDE = 128
"""Pixels a side of the pictures of which bars are cut off."""

SMALL = 64
"""Pixels a side of those that are hashed."""

FREQUENCIES = 16
"""Frequencies in each direction that make a bit each."""

BLACK = 24
"""Levels, of 255, up to which a border is a bar."""

FLAT = 2.0
"""Levels, root mean square, by which a picture departs from its mean in those frequencies at least, to be told."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint(Stage):
    """Four numbers of 64 bits for each frame at a rate: a hash that stays when footage is encoded, sized, boxed anew.

    `times`: seconds of each of those frames from the clip's start. A hash has 256 bits: which of the 16 x 16 low
    frequencies of luma, the mean not among them, are stronger than their median; of the same picture in another codec,
    size or rate of bits few of them differ, of another picture half. That is how PDQ hashes photographs (Facebook, The
    TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm, 2019). Black bars are cut off before. Frames
    that show too little, such as black ones, have no hash. None for a clip without any.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {"": List(Scalar("uint64")), "times": List(Scalar("float64"))}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    fps: float = 2.0
    """Frames a second."""

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
    """A clip while its frames are hashed; none is held."""

    def __init__(self) -> None:
        self.hashes: list[int] = []
        self.times: list[float] = []

    def frame(self, frame: Any, time: float) -> None:
        """One frame, uint8 (SIDE, SIDE)."""
        found = hashed(frame)
        if found is not None:
            self.hashes += found.tolist()
            self.times.append(time)

    def packet(self, packet: object) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """The clip's hashes."""
        return {"": self.hashes, "times": self.times} if self.times else {"": None, "times": None}


def hashed(picture: np.ndarray) -> np.ndarray | None:
    """The hash of a picture uint8 (h, w) in luma, uint64 (4,); None for one that shows too little."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    small = cv2.resize(unboxed(picture), (SMALL, SMALL), None, 0, 0, cv2.INTER_AREA).astype(np.float64)
    rows = waves()
    # einsum without `optimize` sums in one order, whatever the threads of the linear algebra library
    found = np.einsum("ay,yb->ab", rows, np.einsum("yx,bx->yb", small, rows)).ravel()
    if np.sqrt(np.einsum("i,i", found, found)) < FLAT:
        return None
    bits = found > np.median(found)
    return np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64)


def unboxed(picture: np.ndarray) -> np.ndarray:
    """A picture without the bars around it: rows and columns at its borders in which all is black."""
    lit = picture > BLACK
    rows, columns = lit.any(axis=1).nonzero()[0], lit.any(axis=0).nonzero()[0]
    if not len(rows):
        return picture
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def waves() -> np.ndarray:
    """The rows (FREQUENCIES, SMALL) of the cosine transform (DCT-II) behind its mean, that give root mean squares."""
    import numpy as np

    places = (np.arange(SMALL) + 0.5) / SMALL
    return np.cos(np.pi * np.outer(np.arange(1, FREQUENCIES + 1), places)) * np.sqrt(2) / SMALL
