"""Animated previews."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.codec.context import Flags

if TYPE_CHECKING:
    import numpy as np
    from av.container import OutputContainer
    from av.video.stream import VideoStream


class Animation:
    """An animated webp that is shown over and over, a picture every 1/fps seconds."""

    def __init__(self, *, fps: float, quality: int, level: int, otherwise: np.ndarray) -> None:
        """`otherwise` is the picture, uint8 (h, w, 3), that is shown if no other comes."""
        self.otherwise = otherwise
        self.rate = Fraction(fps).limit_denominator(1000)
        self.options = {"quality": str(quality), "compression_level": str(level)}
        self.buffer = io.BytesIO()
        self.container: OutputContainer | None = None
        self.stream: VideoStream | None = None
        self.count = 0

    def add(self, picture: np.ndarray) -> None:
        """One picture, uint8 (h, w, 3); all are of one size."""
        if self.stream is None:
            self.container = av.open(self.buffer, "w", format="webp", options={"loop": "0", "fflags": "+bitexact"})
            stream: Any = self.container.add_stream("libwebp_anim", rate=self.rate, options=self.options)
            stream.height, stream.width = picture.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = 1 / self.rate
            stream.codec_context.flags |= Flags.bitexact
            self.stream = stream
        assert self.container is not None
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        frame.pts, frame.time_base = self.count, 1 / self.rate
        self.count += 1
        self.container.mux(self.stream.encode(frame.reformat(format="yuv420p")))

    def close(self) -> bytes:
        """The file."""
        if self.stream is None:
            self.add(self.otherwise)
        assert self.container is not None
        assert self.stream is not None
        self.container.mux(self.stream.encode(None))
        self.container.close()
        return self.buffer.getvalue()
