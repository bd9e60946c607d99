"""Turns decoded frames into arrays and upright frames."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vbuild.media.colours import to_array, untagged
from vbuild.media.graphs import Filters
from vbuild.media.orientation import orientation, shown_size

if TYPE_CHECKING:
    from fractions import Fraction

    from av.video.frame import VideoFrame

    from vbuild.media.light import Light
    from vbuild.stage import Frames


CLOSE = 1e-5
SCALES = CLOSE / 10, 100.0
"""How near scales come, and between which they lie, where a picture is cut into patches."""


def target_size(request: Frames, shown: tuple[int, int]) -> tuple[int, int]:
    """Width and height, upright, of the pictures that a request wants of frames shown at a size."""
    return request.size or scaled_size(request, shown)


def scaled_size(request: Frames, shown: tuple[int, int]) -> tuple[int, int]:
    """The same before they are cropped or padded to the size that is wanted."""
    if request.size is not None:
        return request.size if request.fit == "squash" else _fitted(request, request.size, shown)
    width, height = shown
    if request.patches is not None:
        return _patched(*request.patches, shown)
    if request.short_side is not None or request.long_side is not None:
        sides = (request.short_side, min(shown)), (request.long_side, max(shown))
        scale = min(1.0, *(wanted / side for wanted, side in sides if wanted is not None))
        return _side(width * scale, request.rounding), _side(height * scale, request.rounding)
    if request.height is not None and request.height < height:
        return max(2, round(width * request.height / height / 2) * 2), request.height
    return shown


def _fitted(request: Frames, size: tuple[int, int], shown: tuple[int, int]) -> tuple[int, int]:
    """The least size of a picture's shape that covers the one wanted, or the largest that it covers."""
    width, height = shown
    if request.fit == "crop" and request.short_side is not None:
        size = request.short_side, request.short_side
    crop = request.fit == "crop"
    if (size[0] * height >= size[1] * width) == crop:
        return size[0], _side(size[0] * height / width, request.rounding)
    return _side(size[1] * width / height, request.rounding), size[1]


def _patched(side: int, most: int, shown: tuple[int, int]) -> tuple[int, int]:
    """Whole patches of a side, no more than `most`: by halving the scales in question, as SigLIP 2's processor does."""

    def patches(scale: float) -> tuple[int, int]:
        wide, high = (max(math.ceil(pixels * scale / side), 1) for pixels in shown)
        return wide, high

    low, high = SCALES
    while high - low >= CLOSE:
        middle = (low + high) / 2
        if math.prod(patches(middle)) <= most:
            low = middle
        else:
            high = middle
    wide, tall = patches(low)
    return wide * side, tall * side


def _side(pixels: float, rounding: str) -> int:
    """Whole pixels; of quotients that are whole in truth none is rounded down to less."""
    return max(1, round(pixels) if rounding == "round" else int(pixels + 1e-6))


def placed(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of a picture (h, w, …) at a size (w, h): cropped where it is larger, on black where it is smaller.

    Of an odd difference the smaller half lies before, above and to the left, as transformers crops.
    """
    for axis, side in ((0, size[1]), (1, size[0])):
        over = picture.shape[axis] - side
        if over > 0:
            middle = slice(over // 2, over // 2 + side)
            picture = picture[middle] if axis == 0 else picture[:, middle]
        elif over < 0:
            left = -over // 2
            edges = [(0, 0)] * picture.ndim
            edges[axis] = (left, -over - left)
            picture = np.pad(picture, edges)
    return picture


class Upright:
    """Turns frames upright and gives them square pixels; frames that are both already go through untouched."""

    def __init__(self, stretch: Fraction | None) -> None:
        self.stretch = stretch
        self.filters = Filters()
        self.fitting = Filters()

    def turn(self, frame: VideoFrame) -> VideoFrame:
        """One frame."""
        turn = orientation(frame)
        size = shown_size(frame, self.stretch, turn)
        width, height = size[::-1] if turn.turns % 2 else size
        stretched = (width, height) != (frame.width, frame.height)
        if not stretched and not turn.steps:
            return frame
        steps = [*untagged(frame), ("scale", f"{width}:{height}"), ("setsar", "1")] if stretched else []
        made = self.filters.pass_through(frame, [*steps, *turn.steps])
        made.colorspace = frame.colorspace
        return made

    def fit(self, frame: VideoFrame, shape: tuple[int, int]) -> VideoFrame:
        """An upright frame shrunk or enlarged into a picture of another shape, on black."""
        scale = min(shape[0] / frame.width, shape[1] / frame.height)
        width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
        steps = [
            *untagged(frame),
            ("scale", f"{min(width, shape[0])}:{min(height, shape[1])}"),
            ("pad", f"{shape[0]}:{shape[1]}:-1:-1:black"),
            ("setsar", "1"),
            ("sidedata", "mode=delete:type=DISPLAYMATRIX"),
        ]
        made = self.fitting.pass_through(frame, steps)
        made.colorspace = frame.colorspace
        return made


class Picture:
    """One decoded frame, converted once for each size and format that is asked of it."""

    def __init__(
        self, frame: VideoFrame, stretch: Fraction | None, converters: dict[object, Filters], light: Light
    ) -> None:
        self.frame, self.converters, self.light = frame, converters, light
        self.turn = orientation(frame)
        self.shape = shown_size(frame, stretch, self.turn)
        """Width and height, as shown."""
        self.made: dict[object, np.ndarray] = {}
        self.turned: VideoFrame | None = None
        self.fitted: dict[tuple[int, int], Picture] = {}

    def within(self, shape: tuple[int, int], turner: Upright) -> Picture:
        """The picture as a part of one of another shape, all of it and not squeezed, on black; itself if it fits."""
        if shape == self.shape:
            return self
        if shape not in self.fitted:
            frame = turner.fit(self.upright(turner), shape)
            self.fitted[shape] = Picture(frame, None, self.converters, self.light)
        return self.fitted[shape]

    @cached_property
    def plain(self) -> VideoFrame:
        """The frame in the light of an ordinary screen."""
        return self.light.plain(self.frame)

    def upright(self, turner: Upright) -> VideoFrame:
        """The frame as it is, or turned if it has to be."""
        if self.turned is None:
            self.turned = turner.turn(self.plain)
        return self.turned

    def array(self, request: Frames) -> np.ndarray:
        """The upright picture as a request wants it: uint8 (h, w, 3) or (h, w), contiguous."""
        scaled, size = scaled_size(request, self.shape), target_size(request, self.shape)
        what = (scaled, size, request.format, request.kernel)
        if what not in self.made:
            whole = self._convert(scaled, request.format, request.kernel)
            self.made[what] = np.ascontiguousarray(placed(whole, size))
        return self.made[what]

    def _convert(self, size: tuple[int, int], pixels: str, kernel: str) -> np.ndarray:
        converter = self.converters.setdefault((size, pixels, kernel), Filters())
        steps = to_array(self.plain, size[::-1] if self.turn.turns % 2 else size, pixels, kernel)
        return self.turn.turned(converter.pass_through(self.plain, steps).to_ndarray())
