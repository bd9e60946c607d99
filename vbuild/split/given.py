"""Reads the file in which a user names the scenes of videos."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vbuild.errors import UsageError
from vbuild.split.written import Bound, Unit, clock, reader

COLUMNS: Mapping[str, tuple[str | None, Unit]] = {
    "time": (None, "seconds"),
    "frame": (None, "frames"),
    "start": ("end", "seconds"),
    "start_frame": ("end_frame", "frames"),
}
"""Of a .csv: the column of a start, with that of its end, and what both count."""


@dataclass(frozen=True)
class Given:
    """Scenes by the names of videos, as the file has them."""

    videos: Mapping[str, tuple[Bound, ...]]

    def of(self, uri: str) -> tuple[Bound, ...] | None:
        """The scenes of a video; the longest name that its path, or its path less the ending, ends with counts.

        None if there is none.
        """
        names = [part for path in (uri, str(Path(uri).with_suffix(""))) for part in _ends(path)]
        return next((self.videos[name] for name in names if name in self.videos), None)


def _ends(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


LISTS = (".csv", ".json", ".edl", ".txt", ".ffmeta", ".ffmetadata")
"""Endings of the files of a folder that are read."""


def files(path: Path) -> list[Path]:
    """The files of scenes that a path names: itself, or those of a folder. Raises UsageError if there is none."""
    path = path.expanduser()
    if not path.is_dir():
        return [path]
    inside = sorted(file for file in path.iterdir() if file.suffix.lower() in LISTS)
    if not inside:
        raise UsageError(f"split.file={path}: the folder holds no file of scenes ({', '.join(LISTS)})")
    return inside


def read_scenes(path: Path) -> Given:
    """What a file of scenes says, or those of a folder. Raises UsageError, which names the place at fault."""
    videos: dict[str, list[Bound]] = {}
    for file in files(path):
        for name, bound in _rows(file):
            clips = videos.setdefault(name, [])
            if bound is not None:
                clips.append(bound)
    return Given({name: tuple(bounds) for name, bounds in videos.items()})


def _rows(path: Path) -> Iterator[tuple[str, Bound | None]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"split.file={path}: it cannot be read ({getattr(error, 'strerror', error)})") from error
    suffix = path.suffix.lower()
    foreign = reader(suffix, text)
    if foreign is None:
        yield from _json(path, text) if suffix == ".json" else _csv(path, text)
        return
    name = path.stem.removesuffix("-Scenes")
    yield name, None
    yield from ((name, bound) for bound in foreign(f"split.file={path}", text))


def _csv(path: Path, text: str) -> Iterator[tuple[str, Bound | None]]:
    reader = csv.DictReader(text.splitlines())
    header = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    start = next((name for name in COLUMNS if name in header), None)
    if "video" not in header or start is None or (end := COLUMNS[start][0]) not in (None, *header):
        raise UsageError(
            f"split.file={path}: it needs the columns video, and time or frame or start,end or start_frame,end_frame; "
            f"it has {', '.join(header) or 'none'}"
        )
    for row in reader:
        where = f"split.file={path} line {reader.line_num}"
        last = None if end is None else row[end]
        yield row["video"].strip(), _bound(where, row[start], last, COLUMNS[start][1], scene=end is not None)


def _json(path: Path, text: str) -> Iterator[tuple[str, Bound | None]]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"split.file={path}: it is no JSON ({error})") from error
    if not isinstance(data, dict):
        raise UsageError(f"split.file={path}: an object is expected, of videos and their scenes")
    for name, value in data.items():
        where = f"split.file={path} {name}"
        unit: Unit = "frames" if isinstance(value, dict) and set(value) == {"frames"} else "seconds"
        listed = value["frames"] if unit == "frames" else value
        if not isinstance(listed, list):
            raise UsageError(f'{where}: a list is expected, or {{"frames": [...]}}')
        yield name, None
        for item in listed:
            pair = isinstance(item, list)
            if pair and len(item) != 2:
                raise UsageError(f"{where}: {item} is no pair of start and end")
            start, end = item if pair else (item, None)
            yield name, _bound(where, start, end, unit, scene=pair)


def _bound(where: str, start: Any, end: Any, unit: Unit, *, scene: bool) -> Bound:
    values = [_number(where, value, unit) for value in ((start, end) if scene else (start,))]
    if scene and values[0] >= values[1]:
        raise UsageError(f"{where}: a scene from {start} to {end} ends before it starts")
    return Bound(values[0], values[1] if scene else None, unit)


def _number(where: str, value: Any, unit: Unit) -> float:
    timed = clock(value) if isinstance(value, str) and unit == "seconds" else None
    try:
        number = math.nan if isinstance(value, bool) else float(value) if timed is None else timed
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf or (unit == "frames" and number != int(number)):
        raise UsageError(f"{where}: {value!r} is no {'time in seconds' if unit == 'seconds' else 'index of a frame'}")
    return number
