"""A contact sheet of each clip: small pictures in rows, to see it at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from vbuild.errors import UsageError
from vbuild.fields import BlobField, Kind
from vbuild.media.versions import PASSES, STILLS
from vbuild.stage import Blob, Clip, Frames, Phase, Row, Stage, knob

if TYPE_CHECKING:
    import numpy as np

GAP = 4
"""Pixels between pictures, and around them."""

GROUND = 24
"""Gray level of what is between them."""


@dataclass(frozen=True, kw_only=True)
class Sheet(Stage):
    """One image with columns by rows pictures from the middles of as many equal parts of the clip, in order of reading.

    Each bears its time in seconds from the clip's start. A clip with fewer frames repeats them.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "produce"
    dear: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {"": BlobField()}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "stills": STILLS}

    columns: int = 4
    rows: int = 4
    height: int = 120
    """Pixels of each picture; smaller footage is not enlarged."""
    times: bool = True
    """Whether pictures bear their times."""
    format: Literal["jpeg", "webp", "png"] = "jpeg"
    quality: int = 85
    """Of jpeg and webp, 0 to 100."""
    batch: int = knob(4)

    def __post_init__(self) -> None:
        """Refuses sheets of nothing."""
        for name, least in (("columns", 1), ("rows", 1), ("height", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"{name}={getattr(self, name)}: must be {least} or more")
        if not 0 <= self.quality <= 100:
            raise UsageError(f"quality={self.quality}: must be from 0 to 100")
        if self.format == "png" and self.quality != Sheet.quality:
            raise UsageError(f"quality={self.quality}: format=png loses nothing and knows no quality; leave one out")

    def asks(self) -> Frames:
        """As many small pictures as the sheet has."""
        return Frames(count=self.columns * self.rows, height=self.height)

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The sheet of each clip."""
        from vbuild.media.images import SUFFIXES, image

        for clip in clips:
            assert clip.frames is not None
            pictures = list(clip.frames.pixels)
            if not pictures:
                yield {"": None}
                continue
            if self.times:
                pictures = [_timed(p, t) for p, t in zip(pictures, clip.frames.times.tolist(), strict=True)]
            laid = self._laid(pictures)
            yield {"": Blob(image(laid[..., ::-1], self.format, self.quality), SUFFIXES[self.format])}

    def _laid(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Pictures, uint8 (h, w, 3), side by side."""
        import numpy as np

        height, width = pictures[0].shape[:2]
        shape = (self.rows * (height + GAP) + GAP, self.columns * (width + GAP) + GAP, 3)
        sheet = np.full(shape, GROUND, np.uint8)
        for place, picture in enumerate(pictures):
            top, left = (
                GAP + n * (side + GAP) for n, side in zip(divmod(place, self.columns), (height, width), strict=True)
            )
            sheet[top : top + height, left : left + width] = picture
        return sheet


def _timed(picture: np.ndarray, time: float) -> np.ndarray:
    """The picture with its time, white on black, in the lower left corner."""
    import cv2
    import numpy as np

    scale = picture.shape[0] / 320
    text, font = f"{time:.2f}", cv2.FONT_HERSHEY_SIMPLEX
    (width, height), below = cv2.getTextSize(text, font, scale, 1)
    drawn = np.ascontiguousarray(picture).copy()
    bottom = drawn.shape[0]
    cv2.rectangle(drawn, (0, bottom - height - below - 2), (width + 4, bottom), (0, 0, 0), -1)
    cv2.putText(drawn, text, (2, bottom - below), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn
