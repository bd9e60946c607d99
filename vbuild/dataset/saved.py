"""Clips as files in a folder, with a picture of all of them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from vbuild.errors import MediaError, VbuildError
from vbuild.stage import Clip
from vbuild.stages.transcode import Transcode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vbuild.dataset.clip import DatasetClip

SHEET = "sheet.png"

ACROSS = 5
"""Pictures in a row of it."""

SIZE = (256, 144)
"""Width and height of each, in pixels."""

LINE = 18
"""Pixels for the name under each."""

GROUND = 24
"""Gray level of what is between them."""


@dataclass(frozen=True)
class Saved:
    """What was saved."""

    files: list[Path]
    sheet: Path | None
    """None if no clip can be seen."""
    lost: dict[str, str]
    """Clip id → why it is not there."""


def save(clips: Iterable[DatasetClip], folder: Path) -> Saved:
    """Copies the files of clips into a folder, in order, under names that people can read, and draws a sheet of them.

    A clip without a file of its own is encoded from its source. One that cannot be had is told, and the others are
    saved. Raises MediaError for a folder that cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder}: it cannot be made ({error.strerror}); give a folder that can") from error
    saved = Saved([], None, {})
    pictures: list[tuple[str, np.ndarray]] = []
    for number, clip in enumerate(clips, 1):
        try:
            saved.files.append(_copied(clip, folder, number))
            pixels = clip.frames(count=1, size=SIZE, fit="pad").pixels
            pictures += [(saved.files[-1].stem, pixels[0])] if len(pixels) else []
        except VbuildError as error:
            saved.lost[clip.id] = str(error)
    if not pictures:
        return saved
    return Saved(saved.files, _drawn(pictures, folder / SHEET), saved.lost)


def _copied(clip: DatasetClip, folder: Path, number: int) -> Path:
    stem = re.sub(r"[^\w.-]+", "_", Path(clip.row["uri"]).stem)[:80]
    name = f"{number:04d}_{stem}_{clip.row['start_s']:.2f}-{clip.row['end_s']:.2f}_{clip.id[:12]}"
    if clip.path is not None:
        held = clip.dataset.blob(str(clip.path)).path
        return Path(shutil.copyfile(held, folder / f"{name}{held.suffix}"))
    return _encoded(clip, folder / f"{name}.mp4")


def _encoded(clip: DatasetClip, path: Path) -> Path:
    """The clip's span of its source, encoded."""
    from vbuild.media.clip import Cut
    from vbuild.media.passes import footage

    span, row, stage = clip.span(), clip.row, Transcode(preset="veryfast")
    with TemporaryDirectory(prefix=".vbuild-", dir=path.parent) as scratch:
        whole = Clip(duration=row["duration_s"], start=row["start_s"], fps=row["source_fps"], scratch=Path(scratch))
        sink = stage.open(whole, None)
        cut = Cut(span.start_pts, span.end_pts, sinks={"": (stage.asks(), sink)})
        for _ in footage(span.uri, span.stream, [cut], through=span.through):
            blob = sink.close()[""]
            Path(blob.data).rename(path)
    return path


def _drawn(pictures: Sequence[tuple[str, np.ndarray]], path: Path) -> Path:
    """A sheet of pictures with their names under them."""
    import cv2

    from vbuild.media.images import image

    width, height = SIZE
    rows = -(-len(pictures) // ACROSS)
    across = min(len(pictures), ACROSS)
    sheet = np.full((rows * (height + LINE), across * (width + 2), 3), GROUND, np.uint8)
    for place, (name, picture) in enumerate(pictures):
        top, left = (place // ACROSS) * (height + LINE), (place % ACROSS) * (width + 2)
        sheet[top : top + height, left : left + width] = picture[..., ::-1]
        text = name[:40].encode("ascii", "replace").decode()
        font, white = cv2.FONT_HERSHEY_SIMPLEX, (255, 255, 255)
        cv2.putText(sheet, text, (left + 2, top + height + LINE - 6), font, 0.36, white, 1, cv2.LINE_AA)
    path.write_bytes(image(sheet, "png", 0))
    return path
