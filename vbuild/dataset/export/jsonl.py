"""A line of JSON a clip, and the clips' files beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from vbuild import digest
from vbuild.dataset.export.form import Described, Form
from vbuild.dataset.export.piece import Piece, of_copy
from vbuild.dataset.export.selection import name_of
from vbuild.dataset.read import MEDIA
from vbuild.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np

    from vbuild.dataset.export.selection import Record, Selection

Files = Literal["copy", "absolute", "relative"]


@dataclass(frozen=True, kw_only=True)
class Listed(Form):
    """What forms share that list clips and lie beside their files."""

    columns: tuple[str, ...] = ()
    """The columns that are listed; all that are no vectors, if none is named."""
    captions: bool = True
    """Whether `captions` lists the windows of each clip with their texts."""
    files: Files = "copy"
    """Where the column `file` points: `copy` to a copy in `clips/`, `absolute` into the store by its whole path,
    `relative` into the store by the path in it, as the tables have it."""

    def wanted(self, clips: Selection) -> list[str]:
        """The columns. Raises ExportError for one that is not there."""
        if unknown := [name for name in self.columns if name not in clips.schema.names]:
            raise ExportError(f"columns: {clips.dataset.name} has no column {unknown[0]!r}")
        return list(self.columns) or clips.plain

    def file(self, clips: Selection, clip: Record) -> str | None:
        """What the column `file` holds of a clip; None if it has no file."""
        uri = clip[f"{clips.instance}_uri"] if clips.instance else None
        if uri is None:
            return None
        if self.files == "copy":
            return f"clips/{name_of(clip)}{uri[uri.rindex('.') :]}"
        return str(clips.dataset.store / uri) if self.files == "absolute" else str(uri)

    def copies(self, clips: Selection) -> Iterator[Piece]:
        """The files of the clips, if they are copied."""
        if clips.instance is None or self.files != "copy":
            return
        columns = ["clip_id", "uri", "start_s", "end_s", *(clips.instance + part for part in MEDIA[:3])]
        for clip in clips.records(columns=columns):
            if (path := self.file(clips, clip)) is not None:
                yield of_copy(path, clips.file(clip[f"{clips.instance}_uri"]), clip[f"{clips.instance}_digest"])

    def listed(self, clips: Selection, rows: np.ndarray, records: Iterable[Record]) -> Iterator[Record]:
        """The records of some rows with their files and their windows."""
        if not (self.captions and clips.captioners):
            yield from ({"file": self.file(clips, clip), **clip} for clip in records)
            return
        for clip, windows in zip(records, clips.windows(rows), strict=True):
            yield {"file": self.file(clips, clip), **clip, "captions": windows}

    def described(self, clips: Selection) -> list[Described]:
        """The clips' files."""
        copied = clips.instance is not None and self.files == "copy"
        return [Described("clips", "clips/*.mp4", "video/mp4")] if copied else []


@dataclass(frozen=True, kw_only=True)
class Jsonl(Listed):
    """`clips.jsonl` holds a line of JSON a clip; `clips/` their files."""

    name: ClassVar[str] = "jsonl"

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """The files, then the list of them."""
        yield from self.copies(clips)
        yield Piece("clips.jsonl", digest.of_pieces(self._lines(clips)).hex(), partial(self._write, clips))

    def _write(self, clips: Selection, target: Path) -> None:
        with target.open("wb") as stream:
            stream.writelines(self._lines(clips))

    def _lines(self, clips: Selection) -> Iterator[bytes]:
        """The lines, some at a time: all of them need not have room in memory."""
        wanted = self.wanted(clips)
        needed = list(dict.fromkeys([*wanted, "clip_id", "uri", "start_s", "end_s", *_media(clips)]))
        for rows in clips.chunks():
            lines = []
            for shown in self.listed(clips, rows, clips.records(rows, needed)):
                kept = {name: shown[name] for name in ("file", *wanted, "captions") if name in shown}
                lines.append(json.dumps(kept, ensure_ascii=False, default=str) + "\n")
            yield "".join(lines).encode()

    def described(self, clips: Selection) -> list[Described]:
        """The list, and the files."""
        kinds = tuple((name, str(clips.schema.field(name).type)) for name in self.wanted(clips))
        listed = Described("list", "clips.jsonl", "application/jsonlines", (("file", "string"), *kinds))
        return [listed, *super().described(clips)]


def _media(clips: Selection) -> list[str]:
    return [f"{clips.instance}_uri"] if clips.instance else []
