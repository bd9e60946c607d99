"""Videos with cuts at known frames, and builds over them."""

import numpy as np
from footage import scene, video

FPS = 24
CUTS = (30, 54, 90)
"""The first frames of the second, third and fourth shot."""

FRAMES = 120


TINTS = np.array([[1, 0.3, 0.3], [0.3, 1, 0.3], [0.3, 0.3, 1], [1, 1, 0.2]])


def cut_video(path, size=(96, 64), **kwargs):
    """Four shots of moving pictures, 5 s at 24 frames a second, each with colours of its own."""
    return video(path, seconds=FRAMES / FPS, fps=FPS, size=size, picture=pictures(size), **kwargs)


def pictures(size=(96, 64)):
    """The pictures of four shots: seconds at 24 frames a second → uint8 (h, w, 3)."""
    shots = [scene(seed, size) for seed in (1, 12, 23, 34)]

    def picture(time: float) -> np.ndarray:
        shot = sum(round(time * FPS) >= cut for cut in CUTS)
        return (shots[shot](time) * TINTS[shot]).astype(np.uint8)

    return picture


def bounds(project):
    """Starts and ends of all clips in seconds, in order."""
    return sorted((round(row["start_s"], 4), round(row["end_s"], 4)) for row in project.rows().values())
