"""Pictures as image files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2

from vbuild.errors import MediaError

if TYPE_CHECKING:
    import numpy as np

ImageFormat = Literal["jpeg", "webp", "png"]

SUFFIXES = {"jpeg": ".jpg", "webp": ".webp", "png": ".png"}

QUALITY = {"jpeg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}


def image(picture: np.ndarray, kind: str, quality: int) -> bytes:
    """A picture, uint8 (h, w, 3) in the order blue, green, red, as a file; `quality` 0 to 100, of png none."""
    made, data = cv2.imencode(SUFFIXES[kind], picture, [QUALITY[kind], quality] if kind in QUALITY else [])
    if not made:
        raise MediaError(f"no {kind} can be made of a picture of {picture.shape[1]}x{picture.shape[0]}")
    return data.tobytes()
