"""OpenTimelineIO timelines of spans."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vbuild.dataset.export.edl import by_video
from vbuild.dataset.export.form import Described, Form
from vbuild.dataset.export.piece import of_bytes
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.dataset.export.piece import Piece
    from vbuild.dataset.export.selection import Record, Selection


@dataclass(frozen=True, kw_only=True)
class Otio(Form):
    """A timeline a video, `<video>.otio`: its kept spans behind one another, with their columns as metadata."""

    name: ClassVar[str] = "otio"

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """A timeline a video. Raises UsageError where the library is missing."""
        try:
            import opentimelineio
        except ImportError as error:
            raise UsageError("--format otio needs a library: pip install 'vbuild-video[otio]'") from error
        for uri, spans in by_video(clips, clips.plain):
            text = opentimelineio.adapters.write_to_string(_timeline(opentimelineio, uri, spans), "otio_json")
            yield of_bytes(f"{clips.relative(uri)}.otio", text.encode())

    def described(self, clips: Selection) -> list[Described]:
        """The timelines."""
        del clips
        return [Described("timelines", "**/*.otio", "application/json")]


def _timeline(otio: object, uri: str, spans: list[Record]) -> object:
    """The timeline of one video."""
    schema, opentime = otio.schema, otio.opentime  # type: ignore[attr-defined]
    track = schema.Track(name=Path(uri).name, kind=schema.TrackKind.Video)
    rate = spans[0]["source_fps"] or 25.0
    for clip in spans:
        start, end = (opentime.RationalTime(round(clip[side] * rate), rate) for side in ("start_s", "end_s"))
        span = opentime.TimeRange(start, end - start)
        said = {name: value for name, value in clip.items() if isinstance(value, str | int | float | bool)}
        media = schema.ExternalReference(target_url=uri)
        track.append(schema.Clip(clip["clip_id"], media, span, {"vbuild": said}))
    timeline = schema.Timeline(Path(uri).stem)
    timeline.tracks.append(track)
    return timeline
