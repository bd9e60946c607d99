"""The folders that Cosmos-Predict2 is trained from: a video, a text and a text embedding a window."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vbuild.dataset.export.bins import text_embedding, text_embeddings
from vbuild.dataset.export.curated import Names, span_uuid
from vbuild.dataset.export.form import Described, Form
from vbuild.dataset.export.piece import Piece, of_bytes, of_copy
from vbuild.dataset.export.selection import sign
from vbuild.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.dataset.export.selection import Record, Selection

ROOT = "cosmos_predict2_video2world_dataset"

CRF = 18
"""Quality of a window that is cut out of a clip's file; near to no loss, as the file is a loss already."""

SAID = ("success", "truncated")
"""Statuses of windows that have a text."""


@dataclass(frozen=True, kw_only=True)
class CosmosPredict2(Form):
    """`videos/`, `metas/` and `t5_xxl/`, each with `<uuid>_<first>_<last>` of every window that has a text.

    A clip of one window gives its file; of one with several, each window is cut out of it, frame for frame, and
    encoded by libx264 at crf 18.
    """

    name: ClassVar[str] = "cosmos_predict2"

    captioner: str | None = None
    """The column of captions; null: the first captioner's."""
    enhanced: bool | None = None
    """Whether the text is the enhanced one, where there is one; null: as what `t5_xxl` is made of, which it is, and
    where there is no stage t5 the other, as Cosmos-Curate's."""

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """Three files a window."""
        media = clips.needs_media(self.name)
        captioner = self._captioner(clips)
        names, t5 = Names.of(clips), text_embedding(clips, captioner)
        enhanced = t5 is not None if self.enhanced is None else self.enhanced
        columns = ["clip_id", "uri", "start_s", "end_s", "source_fps", "duration_s"]
        columns += [f"{media}_{part}" for part in ("uri", "digest", "fps", "frames")] + ([f"{t5}_uri"] if t5 else [])
        for row, clip in enumerate(clips.records(columns=columns)):
            windows = [w for w in clips.captions(row) if w["captioner"] == captioner]
            vectors = text_embeddings(clips, clip, t5) if t5 else {}
            for n, window in enumerate(windows):
                text = (window["enhanced"] if enhanced else None) or window["text"]
                if window["status"] in SAID and text and clip[f"{media}_uri"] is not None:
                    name = f"{span_uuid(clip, frame_numbers=names.frame_numbers)}_{_span(clip, window, media)}"
                    yield self._video(clips, clip, window, len(windows), name)
                    yield of_bytes(f"{ROOT}/metas/{name}.txt", text.encode())
                    if n in vectors:
                        yield of_bytes(f"{ROOT}/t5_xxl/{name}.pickle", pickle.dumps([vectors[n]]))

    def _captioner(self, clips: Selection) -> str:
        known = list(clips.captioners)
        if not known or (self.captioner is not None and self.captioner not in known):
            said = f"captioner={self.captioner}: no captioner" if self.captioner else "no captioner"
            raise ExportError(f"{clips.dataset.name}: {said} of that name is in it, and each window needs a text")
        return self.captioner or known[0]

    def _video(self, clips: Selection, clip: Record, window: Record, count: int, name: str) -> Piece:
        media = str(clips.instance)
        source, content = clips.file(clip[f"{media}_uri"]), clip[f"{media}_digest"]
        path = f"{ROOT}/videos/{name}.mp4"
        if count == 1:
            return of_copy(path, source, content)
        start, end = window["start_s"], window["end_s"]
        return Piece(path, sign("window", content, start, end, CRF), lambda target: cut(source, target, start, end))

    def described(self, clips: Selection) -> list[Described]:
        """The videos, and the texts."""
        del clips
        texts = Described("texts", f"{ROOT}/metas/*.txt", "text/plain")
        return [Described("videos", f"{ROOT}/videos/*.mp4", "video/mp4"), texts]

    def remarks(self, clips: Selection) -> list[str]:
        """Text embeddings that are not there."""
        captioner = self._captioner(clips)
        if text_embedding(clips, captioner):
            return []
        return [f"t5_xxl/ is left out: no stage t5 of {captioner} is in the dataset"]


def _span(clip: Record, window: Record, media: str) -> str:
    """The first and the last frame of a window."""
    rate = clip[f"{media}_fps"] or clip["source_fps"] or 0.0
    end = min(round(window["end_s"] * rate), clip[f"{media}_frames"] or round(clip["duration_s"] * rate))
    return f"{round(window['start_s'] * rate)}_{max(end - 1, 0)}"


def cut(source: Path, target: Path, start: float, end: float) -> None:
    """Writes a span of a file, in seconds, as a file of its own. Raises MediaError."""
    from vbuild.media.clip import Cut
    from vbuild.media.passes import footage
    from vbuild.media.probe import probe
    from vbuild.stage import Clip
    from vbuild.stages.transcode import Transcode

    stage = Transcode(crf=CRF)
    video = probe(str(source))
    base = Fraction(video.time_base_num, video.time_base_den)
    ticks = [video.start_pts + round(side / base) for side in (start, end)]
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        first, last = (float(tick * base) for tick in ticks)
        clip = Clip(duration=last - first, start=first, fps=video.fps, scratch=Path(scratch))
        sink = stage.open(clip, None)
        for _ in footage(str(source), video.stream, [Cut(ticks[0], ticks[1], sinks={"window": (stage.asks(), sink)})]):
            made = sink.close()
        Path(made[""].data).rename(target)
