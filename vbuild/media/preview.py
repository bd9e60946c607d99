"""Animated previews."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.codec.context import CodecContext, Flags

if TYPE_CHECKING:
    import numpy as np
    from av.packet import Packet

ENCODER = "libwebp"
"""Each picture by itself: libwebp_anim, which encodes differences with an alpha plane, takes sixteen times as long at
level 6, for files 5 % larger."""


class Animation:
    """An animated webp that is shown over and over, a picture every 1/fps seconds.

    Until the end it holds the encoded pictures, and no open file: one that is given up leaves nothing behind.
    """

    def __init__(self, *, fps: float, quality: int, level: int, otherwise: np.ndarray) -> None:
        """`otherwise` is the picture, uint8 (h, w, 3), that is shown if no other comes."""
        self.otherwise = otherwise
        self.rate = Fraction(fps).limit_denominator(1000)
        self.options = {"quality": str(quality), "compression_level": str(level)}
        self.encoder: av.VideoCodecContext | None = None
        self.packets: list[Packet[Any]] = []
        self.count = 0

    def add(self, picture: np.ndarray) -> None:
        """One picture, uint8 (h, w, 3); all are of one size."""
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = self.count, 1 / self.rate
        if self.encoder is None:
            made = CodecContext.create(ENCODER, "w")
            assert isinstance(made, av.VideoCodecContext)
            self.encoder = made
            self._shape(made, frame.width, frame.height)
        self.count += 1
        self.packets += self.encoder.encode(frame)

    def _shape(self, encoder: Any, width: int, height: int) -> None:
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base, encoder.thread_count, encoder.options = 1 / self.rate, 1, self.options
        encoder.flags |= Flags.bitexact

    def close(self) -> bytes:
        """The file."""
        if self.encoder is None:
            self.add(self.otherwise)
        assert self.encoder is not None
        self.packets += self.encoder.encode(None)
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="webp", options={"loop": "0", "fflags": "+bitexact"}) as container:
            stream: Any = container.add_stream(ENCODER, rate=self.rate)
            self._shape(stream.codec_context, self.encoder.width, self.encoder.height)
            for packet in self.packets:
                packet.stream, packet.time_base, packet.duration = stream, 1 / self.rate, 1
                container.mux(packet)
        return buffer.getvalue()
