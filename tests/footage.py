"""Makes small videos for tests: detailed, moving, numbered where a test wants to know its frames again."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

BITS = 10
"""A numbered frame bears its number in so many blocks of its upper half."""


def scene(seed: int, size: tuple[int, int]) -> Callable[[float], np.ndarray]:
    """A picture that moves: seconds → uint8 (h, w, 3)."""
    random = np.random.default_rng(seed)
    width, height = size
    coarse = random.integers(0, 255, (9, 13, 3)).astype(np.float32)
    rows = np.linspace(0, 7.99, height * 2)
    columns = np.linspace(0, 11.99, width * 2)
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r)[:, None, None], (columns - c)[None, :, None]
    big = (
        coarse[r][:, c] * (1 - fr) * (1 - fc) + coarse[r + 1][:, c] * fr * (1 - fc)
        + coarse[r][:, c + 1] * (1 - fr) * fc + coarse[r + 1][:, c + 1] * fr * fc
    )  # fmt: skip
    big += random.normal(0, 6, big.shape[:2])[:, :, None]
    big = big.clip(0, 255).astype(np.uint8)

    def frame(time: float) -> np.ndarray:
        x = int((np.sin(time * 0.9 + seed) * 0.5 + 0.5) * width)
        y = int((np.cos(time * 0.7 + seed) * 0.5 + 0.5) * height)
        return np.ascontiguousarray(big[y : y + height, x : x + width])

    return frame


def grained(seed: int, size: tuple[int, int], sigma: float = 3.0) -> Callable[[float], np.ndarray]:
    """The same with the grain of a sensor, which costs a decoder what real footage costs it."""
    random, paint = np.random.default_rng(seed), scene(seed, size)
    bank = [random.normal(0, sigma, (size[1], size[0], 1)).astype(np.float32) for _ in range(8)]

    def frame(time: float) -> np.ndarray:
        return (paint(time) + bank[round(time * 24) % len(bank)]).clip(0, 255).astype(np.uint8)

    return frame


def number(picture: np.ndarray, n: int) -> np.ndarray:
    """The picture with a number painted over its upper half, one block a bit."""
    height, width = picture.shape[:2]
    for bit in range(BITS):
        left, right = (round(width * k / BITS) for k in (bit, bit + 1))
        picture[: height // 2, left:right] = 235 if n >> bit & 1 else 16
    return picture


def number_of(picture: np.ndarray) -> int:
    """The number that a frame bears, whatever was done to its size and quality."""
    grey = picture if picture.ndim == 2 else picture.mean(axis=2)
    height, width = grey.shape
    found = 0
    for bit in range(BITS):
        middle = round(width * (bit + 0.5) / BITS)
        found |= int(grey[height // 8 : height * 3 // 8, middle].mean() > 125) << bit
    return found


def video(
    path: Path,
    *,
    seconds: float = 2.0,
    fps: int | Fraction = 24,
    size: tuple[int, int] = (128, 96),
    codec: str = "libx264",
    gop: int = 12,
    crf: int = 20,
    seed: int = 0,
    numbered: bool = False,
    times: Sequence[float] | None = None,
    start: float = 0.0,
    sound: str | None = None,
    beeps: Iterable[float] = (),
    picture: Callable[[float], np.ndarray] | None = None,
    pixel_format: str = "yuv420p",
    sound_from: float = 0.0,
    bframes: int = 2,
) -> Path:
    """Makes a video. `times` (seconds) replaces even frames; at `beeps` a white frame and a tone begin together."""
    base = Fraction(1, 90_000)
    moments = [k / fps for k in range(round(seconds * fps))] if times is None else list(times)
    paint = picture or scene(seed, size)
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        options = {"g": str(gop), "bf": str(bframes)} | (
            {"crf": str(crf), "preset": "ultrafast"} if codec == "libx264" else {}
        )
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.codec_context.time_base = base
        audio = container.add_stream(sound, rate=48_000, layout="mono") if sound else None
        for n, time in enumerate(moments):
            image = paint(float(time))
            if any(0 <= time - beep < 0.1 for beep in beeps):
                image = np.full_like(image, 255)
            frame = av.VideoFrame.from_ndarray(number(image.copy(), n) if numbered else image, "rgb24")
            frame.pts, frame.time_base = round((float(time) + start) * 90_000), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            for frame in tone(seconds - sound_from, beeps, start + sound_from, sound_from):
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def interlaced(path: Path, seconds: float, gop: int = 12) -> Path:
    """Numbered frames whose lower half moves between the two fields of a frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ilme+ildct", "g": str(gop)})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.bit_rate = 4_000_000
        for n in range(round(seconds * 25)):
            picture = np.full((96, 128, 3), 40, np.uint8)
            for field in (0, 1):
                left = (n * 6 + field * 3) % 100
                picture[48 + field :: 2, left : left + 16] = 220
            frame = av.VideoFrame.from_ndarray(number(picture, n), "rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


MATRICES = {
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "garbage": (0.002, 0.007, 0.12, -0.19),
}
"""What turns a picture clockwise by degrees, and others: a, b, c, d of x' = ax + cy, y' = bx + dy."""


def turned(plain: Path, path: Path, how: int | str) -> Path:
    """The same packets in an mp4 whose header has a display matrix."""
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    data = bytearray(path.read_bytes())
    one = 0x10000
    place = data.rindex(one.to_bytes(4, "big") + bytes(12) + one.to_bytes(4, "big") + bytes(12) + b"\x40\0\0\0")
    for offset, value in zip((0, 4, 12, 16), MATRICES[how], strict=True):
        data[place + offset : place + offset + 4] = round(value * one).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


def tone(seconds: float, beeps: Iterable[float], start: float, offset: float) -> Iterable[av.AudioFrame]:
    """A quiet hum with loud beeps of 0.1 s."""
    t = np.arange(round(seconds * 48_000)) / 48_000 + offset
    wave = 0.02 * np.sin(2 * np.pi * 110 * t)
    for beep in beeps:
        wave += np.where((t >= beep) & (t < beep + 0.1), 0.6 * np.sin(2 * np.pi * 1000 * t), 0)
    for first in range(0, len(wave), 1024):
        part = wave[None, first : first + 1024].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(part, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, first + round(start * 48_000), Fraction(1, 48_000)
        yield frame


def frames(path: Path) -> list[tuple[float, np.ndarray]]:
    """All frames of a file with their times in seconds."""
    with av.open(str(path)) as container:
        return [(float(f.pts * f.time_base), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
