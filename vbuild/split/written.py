"""Reads scenes as other programs write them, a file a video: PySceneDetect's lists, edit decision lists, chapters."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from vbuild.errors import UsageError

Unit = Literal["seconds", "frames"]


@dataclass(frozen=True)
class Code:
    """A timecode: whole seconds and frames behind them, whose number is that of a frame only at a rate."""

    seconds: int
    frames: int
    drop: bool
    """Whether numbers of frames are left out to keep 29.97 with the clock."""

    def index(self, rate: float) -> int:
        """The frame of a video of so many frames a second (SMPTE 12M)."""
        whole = round(rate)
        minutes = self.seconds // 60
        dropped = round(whole / 15) * (minutes - minutes // 10) if self.drop else 0
        return self.seconds * whole + self.frames - dropped


@dataclass(frozen=True)
class Bound:
    """A cut, or with an end a scene."""

    start: float | Code
    end: float | Code | None
    unit: Unit


CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
"""Hours, minutes, seconds: `1:02:03.5`, `02:03`."""

CODE = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})[:;](\d{2,3})")
"""Hours, minutes, seconds, frames."""


def clock(text: str) -> float | None:
    """Seconds of a time with colons; None if it is none."""
    match = CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def detected(where: str, text: str) -> Iterator[Bound]:
    """PySceneDetect's csv: its first row, a list of timecodes, may be there or not; frames are counted from 1."""
    lines = text.splitlines()
    top = next(n for n, line in enumerate(lines) if "Start Frame" in line)
    for number, row in enumerate(csv.DictReader(lines[top:]), top + 2):
        try:
            first, behind = int(row["Start Frame"]) - 1, int(row["End Frame"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{where} line {number}: Start Frame and End Frame are no indices of frames") from error
        yield Bound(first, behind, "frames")


def edited(where: str, text: str) -> Iterator[Bound]:
    """An edit decision list, CMX 3600: of each event of picture, the stretch of its source."""
    drop = False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if line.startswith("FCM:"):
            drop = "NON" not in line.upper()
        elif len(words) >= 8 and words[0].isdigit() and "V" in words[2].upper():
            codes = [CODE.fullmatch(word) for word in words[-4:-2]]
            if codes[0] is None or codes[1] is None:
                raise UsageError(f"{where} line {number}: {' '.join(words[-4:-2])} are no timecodes")
            start, end = (_code(match, drop=drop or ";" in match[0]) for match in codes if match is not None)
            if start != end:
                yield Bound(start, end, "frames")


def _code(match: re.Match[str], *, drop: bool) -> Code:
    hours, minutes, seconds, frames = map(int, match.groups())
    return Code(hours * 3600 + minutes * 60 + seconds, frames, drop)


def ffmetadata(where: str, text: str) -> Iterator[Bound]:
    """Chapters of a file of FFmpeg's metadata."""
    for part in re.split(r"^\[", text, flags=re.MULTILINE)[1:]:
        if not part.upper().startswith("CHAPTER]"):
            continue
        said = dict(line.split("=", 1) for line in part.splitlines() if "=" in line)
        try:
            base = Fraction(said.get("TIMEBASE", "1/1000000000"))
            start, end = (float(int(said[name]) * base) for name in ("START", "END"))
        except (KeyError, ValueError, ZeroDivisionError) as error:
            raise UsageError(f"{where}: a chapter without START and END as numbers in its TIMEBASE") from error
        yield Bound(start, end, "seconds")


def ogm_chapters(where: str, text: str) -> Iterator[Bound]:
    """Chapters as of OGM tools: `CHAPTER01=00:01:02.500`, each from its time to the next."""
    for number, line in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"CHAPTER\d+=(.*)", line.strip(), re.IGNORECASE)
        if match is None:
            continue
        seconds = clock(match[1])
        if seconds is None:
            raise UsageError(f"{where} line {number}: {match[1]!r} is no time")
        yield Bound(seconds, None, "seconds")


def reader(suffix: str, text: str) -> Callable[[str, str], Iterator[Bound]] | None:
    """What reads a file, by its ending and its beginning; None for a file of our own kind."""
    if suffix == ".edl":
        return edited
    if text.startswith(";FFMETADATA"):
        return ffmetadata
    if re.match(r"\s*CHAPTER\d+=", text, re.IGNORECASE):
        return ogm_chapters
    return detected if suffix == ".csv" and "Start Frame" in text and "Scene Number" in text else None
