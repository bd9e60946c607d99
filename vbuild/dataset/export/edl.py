"""Edit decision lists of spans, for editing programs."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vbuild.dataset.export.form import Described, Form
from vbuild.dataset.export.piece import of_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.dataset.export.piece import Piece
    from vbuild.dataset.export.selection import Record, Selection

SPAN = ("clip_id", "uri", "start_s", "end_s", "duration_s", "source_fps")
"""The columns that spans are told by."""


def by_video(clips: Selection, columns: list[str]) -> Iterator[tuple[str, list[Record]]]:
    """The clips of each video, with its path."""
    records = clips.records(columns=list(dict.fromkeys([*SPAN, *columns])))
    for uri, group in itertools.groupby(records, key=lambda clip: clip["uri"]):
        yield uri, list(group)


@dataclass(frozen=True, kw_only=True)
class Edl(Form):
    """A CMX 3600 list a video, `<video>.edl`: its kept spans behind one another, in frames of its own rate.

    Times are counted without drop frames. `split=scenes` reads them back.
    """

    name: ClassVar[str] = "edl"

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """A list a video."""
        for uri, spans in by_video(clips, []):
            yield of_bytes(f"{clips.relative(uri)}.edl", _listed(uri, spans).encode())

    def described(self, clips: Selection) -> list[Described]:
        """The lists."""
        del clips
        return [Described("lists", "**/*.edl", "text/plain")]


def _listed(uri: str, spans: list[Record]) -> str:
    """The list of one video."""
    rate = spans[0]["source_fps"] or 25.0
    reel = re.sub(r"\W", "", Path(uri).stem)[:8].upper() or "AX"
    lines = [f"TITLE: {Path(uri).stem}", "FCM: NON-DROP FRAME", ""]
    at = 0
    for number, clip in enumerate(spans, 1):
        start, end = round(clip["start_s"] * rate), round(clip["end_s"] * rate)
        times = " ".join(timecode(frame, rate) for frame in (start, end, at, at + end - start))
        lines += [f"{number:03d}  {reel:<8} V     C        {times}", f"* FROM CLIP NAME: {Path(uri).name}"]
        lines += [f"* CLIP ID: {clip['clip_id']}"]
        at += end - start
    return "\n".join(lines) + "\n"


def timecode(frame: int, rate: float) -> str:
    """Hours, minutes, seconds and frames of a frame's number, at the whole rate next to `rate`."""
    whole = max(round(rate), 1)
    seconds, frames = divmod(frame, whole)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}"
