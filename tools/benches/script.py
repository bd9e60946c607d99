"""The straightforward script that vbuild is measured against: one ffmpeg a clip, and a decode for each thing wanted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LENGTH = 10
"""Seconds a clip."""

CLIPS = 3
"""Clips a video."""


def clips(video: Path, out: Path, threads: str) -> None:
    """Encodes each clip, and decodes it twice more for its frames and its preview."""
    decoder = ["-threads", threads] if threads != "0" else []
    for n in range(CLIPS):
        name = out / f"{video.stem}-{n}"
        span = ["-ss", str(n * LENGTH), "-t", str(LENGTH), "-i", str(video)]
        start = ["ffmpeg", "-nostdin", "-v", "error", "-y", *decoder, *span]
        x264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", *decoder]
        run([*start, *x264, f"{name}.mp4"])
        run([*start, "-vf", f"fps=8/{LENGTH},scale=224:224", f"{name}-%d.jpg"])
        webp = ["-c:v", "libwebp", "-quality", "50", "-compression_level", "6", "-loop", "0"]
        run([*start, "-vf", "fps=1,scale=-2:240", *webp, f"{name}.webp"])


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def motion(video: Path) -> list[float]:
    """Mean flow of each clip: adjacent frames twice a second, decoded once more."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    reader = cv2.VideoCapture(str(video))
    rate = reader.get(cv2.CAP_PROP_FPS)
    step, found = round(rate / 2), [[] for _ in range(CLIPS)]
    before = None
    number = 0
    while True:
        there, frame = reader.read()
        if not there:
            break
        if number % step <= 1:
            height, width = frame.shape[:2]
            scale = 256 / min(height, width)
            size = round(width * scale), round(height * scale)
            gray = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
            if number % step == 1:
                moved = np.linalg.norm(flow.calc(before, gray, None), axis=2).mean() / sum(gray.shape)
                found[min(int(number / rate / LENGTH), CLIPS - 1)].append(float(moved))
            before = gray
        number += 1
    return [sum(values) / len(values) for values in found]


if __name__ == "__main__":
    threads, out, *videos = sys.argv[1:]
    for path in map(Path, videos):
        clips(path, Path(out), threads)
        print(path.name, *motion(path))
