"""Frames of one span of a file, for who reads a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vbuild import uris
from vbuild.errors import MediaError
from vbuild.media.clip import Cut
from vbuild.media.files import open_container, picture
from vbuild.media.passes import footage
from vbuild.media.probe import probe

if TYPE_CHECKING:
    from vbuild.stage import Frames, Sampled


@dataclass(frozen=True)
class Span:
    """A stretch of a video stream, in ticks of its time base."""

    uri: str
    stream: int
    start_pts: int
    end_pts: int
    through: bool = False
    """Whether the file has to be read through, as one whose clock jumps."""

    def check(self, size: int) -> None:
        """Raises MediaError for a file that is gone, or is not as many bytes as it was."""
        try:
            now = uris.look(self.uri).size
        except uris.trouble() as error:
            raise MediaError(f"it cannot be read ({uris.reason(error)})") from error
        if now != size:
            raise MediaError(f"it has {now} bytes and had {size} when it was built: it is another file")


def sampled(span: Span, asked: Frames) -> Sampled:
    """Frames of a span. Raises MediaError if it cannot be decoded."""
    cut = Cut(span.start_pts, span.end_pts, {"frames": asked})
    (taken,) = footage(span.uri, span.stream, [cut], through=span.through)
    return taken.samples["frames"]  # type: ignore[return-value]


def span_of_file(path: str, early: float = 0.0, seconds: float | None = None) -> Span:
    """The pictures of a file of one clip, from so many seconds behind its first on, to so many behind that, or to its
    end; told by what its header says, as vbuild's own files can be trusted. Raises MediaError."""
    with open_container(path) as container:
        stream = picture(container)
        base = stream.time_base or Fraction(1, 1000)
        if stream.start_time is None or (seconds is None and stream.duration is None):
            return _probed(path, early, seconds)
        start = stream.start_time + round(early / base)
        end = stream.start_time + (stream.duration or 0) if seconds is None else start + round(seconds / base)
        return Span(path, stream.index, start, end)


def _probed(path: str, early: float, seconds: float | None) -> Span:
    """The same by its packets."""
    found = probe(path)
    base = Fraction(found.time_base_num, found.time_base_den)
    start = found.start_pts + round(early / base)
    end = found.end_pts if seconds is None else start + round(seconds / base)
    return Span(path, found.stream, start, end, through=found.jumps > 0)


def seconds_of(span: Span) -> float:
    """How long a span is."""
    with open_container(span.uri) as container:
        base = container.streams[span.stream].time_base or Fraction(1, 1000)
    return float((span.end_pts - span.start_pts) * base)
