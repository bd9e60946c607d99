"""Videos for tests of models: each second of a brightness of its own, and some dark."""

import numpy as np
from footage import video

DARK = {2, 5}
"""Seconds of the first video in which it is dark."""


def picture(seed, dark=()):
    """Noise of a brightness of its own each second."""

    def paint(time):
        second = int(time + 1e-6)
        rng = np.random.default_rng(seed * 1000 + round(time * 100))
        level = 30 if second in dark else 90 + 10 * ((seed + second) % 9)
        return rng.normal(level, 5, (48, 64, 3)).clip(0, 255).astype(np.uint8)

    return paint


def filmed(folder):
    """Three videos of seven seconds; two seconds of the first are dark."""
    return [
        video(folder / f"{n}.mp4", seconds=7, fps=8, size=(64, 48), picture=picture(n, DARK if n == 0 else ()))
        for n in range(3)
    ]


def flat(levels):
    """A picture of one colour in each second."""

    def paint(time):
        level = levels[min(int(time), len(levels) - 1)]
        colour = np.array([level, (level * 3) % 256, (level * 7) % 256], np.uint8)
        return np.broadcast_to(colour, (48, 64, 3)).copy()

    return paint


def coloured(folder):
    """Twelve videos of 1 to 3 s, a colour a second, some colours in several of them."""
    shades = [20, 60, 100, 140, 180, 220]
    made = []
    for n in range(12):
        levels = [shades[(n * 5 + k * (1 + n % 3)) % 6] + (n // 6) * 7 for k in range(1 + n % 3)]
        made.append(
            video(folder / f"{n}.mp4", seconds=float(len(levels)), fps=4, size=(64, 48), gop=4, picture=flat(levels))
        )
    return made
