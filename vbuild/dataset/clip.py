"""One clip of a dataset: its row, its file, and its footage decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vbuild.errors import DatasetError, MediaError
from vbuild.stage import Frames

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vbuild.dataset.read import Dataset
    from vbuild.media.spans import Span
    from vbuild.stage import Sampled


@dataclass(frozen=True)
class DatasetClip:
    """A clip as a build left it."""

    dataset: Dataset = field(repr=False)
    row: Mapping[str, Any]
    """Its columns, with whole paths."""

    @property
    def id(self) -> str:
        """Its clip_id, whole."""
        return str(self.row["clip_id"])

    @property
    def path(self) -> Path | None:
        """Its own file in the store: what the first stage that makes files made of it; None where there is none."""
        column = self._media
        return None if column is None else self.dataset.store / self.row[f"{column}_uri"]

    @property
    def _media(self) -> str | None:
        """The instance that made its file."""
        return next((name for name in self.dataset.media if self.row.get(f"{name}_uri")), None)

    def bytes(self) -> bytes:
        """Its own file, whole. Raises DatasetError for a clip without one."""
        path = self.path
        if path is None:
            why = "it was dropped before" if not self.row["kept"] else "add stage transcode"
            raise DatasetError(f"clip {self.id}: it has no file of its own in the store ({why})")
        return self.dataset.blob(str(path)).bytes()

    def frames(
        self,
        *,
        fps: float | None = None,
        count: int | None = None,
        size: int | tuple[int, int] | None = None,
        fit: Literal["squash", "crop", "pad"] = "crop",
        short_side: int | None = None,
    ) -> Sampled:
        """Its frames as arrays, uint8 (n, h, w, 3) RGB, with their times in seconds from its start.

        So many a second, or so many in all, or every one. `size`: width and height in pixels, or one number for a
        square, to which pictures of another shape come by `fit`: they are cut off, squashed or padded; `short_side`:
        the shorter side, the shape kept. They are decoded from the clip's own file, and where it has none from its span
        of the source. Raises DatasetError for a source that is no longer what was built, MediaError for one that cannot
        be read.
        """
        from vbuild.media.spans import sampled

        square = (size, size) if isinstance(size, int) else size
        every = fps is None and count is None
        try:
            asked = Frames(
                fps=fps,
                count=count,
                every=every,
                size=square,
                fit=fit if square else "squash",
                short_side=short_side,
                kernel="bicubic",
            )
        except ValueError as error:
            raise DatasetError(f"frames: {error}") from error
        return sampled(self.span(), asked)

    def span(self) -> Span:
        """Where its footage is: in its own file, or in the source. Raises DatasetError, MediaError."""
        from vbuild.media.spans import span_of_file

        if (media := self._media) is None:
            return self._of_source()
        path = self.dataset.blob(str(self.path)).path
        # a copy begins on the keyframe before the clip
        early = -(self.row.get(f"{media}_start") or 0.0)
        return span_of_file(str(path), early, self.row["duration_s"])

    def _of_source(self) -> Span:
        from vbuild.media.spans import Span

        condition = f"video_id = '{self.row['video_id']}'"
        wanted = self.dataset.videos.search().where(condition).select(["uri", "size", "stream", "remark"]).limit(None)
        videos = {video["uri"]: video for video in wanted.to_list()}
        video = videos[self.row["uri"]]
        span = Span(
            video["uri"],
            video["stream"],
            self.row["start_pts"],
            self.row["end_pts"],
            through="its clock jumps" in (video["remark"] or ""),
        )
        try:
            span.check(video["size"])
        except MediaError as error:
            raise DatasetError(f"{video['uri']}: {error}; build {self.dataset.name} again") from error
        return span
