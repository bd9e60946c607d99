"""The tree that NeMo Curator's ClipWriterStage writes, with its paths and keys."""

from __future__ import annotations

import heapq
import itertools
import json
import pickle
import uuid
from dataclasses import dataclass, field
from functools import cached_property, partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild.dataset.export.curated import (
    Names,
    embedder,
    embedding_folders,
    get_output_path_cds_parquets,
    get_output_path_clips,
    meta,
    span_uuid,
)
from vbuild.dataset.export.form import Described, Form
from vbuild.dataset.export.piece import of_bytes, of_copy, of_json, of_table
from vbuild.dataset.export.selection import Selection, numbered, sign_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vbuild.dataset.export.piece import Piece
    from vbuild.dataset.export.selection import Record

    Written = Callable[["_Video"], Iterator[Piece]]


@dataclass(frozen=True, kw_only=True)
class Curator(Form):
    """Curator's tree: `clips/`, `filtered_clips/`, `previews/`, `metas/v0/`, embeddings, `processed_videos/`.

    Ids, keys and folders are Curator's. `valid` is true of a clip that has a file and, where captions are made, a
    window; in Curator it is false of every clip where they are not. Vectors are parquet, a file a video, with the
    columns `id` and `embedding`; as pickles too where that is asked for. Those of the first stage of each kind that
    Curator has lie in its folder, all others in `<column>_embd`.
    """

    name: ClassVar[str] = "curator"

    upload_clips: bool = True
    """Whether the clips' files are written."""
    generate_embeddings: bool = True
    """Whether vectors are written."""
    generate_previews: bool = True
    """Whether previews are written."""
    generate_captions: bool = True
    """Whether metadata hold texts."""
    filtered_clips: bool = False
    """Whether clips that were dropped are written too, in `filtered_clips/`; files that are missing are made first."""
    pickles: bool = False
    """Whether vectors are written as a pickle a clip, too."""
    upload_cds_parquet: bool = False
    """Whether `cds_parquet/` is written, as Cosmos-Curate's for searches: a file a video with `id`, `embedding` of the
    first embedder, and `$meta`, JSON that says where the clip is, what it is a vector by, and what was said of it."""
    output_path: str = ""
    """What `clip_location` begins with; "": it is relative to the export."""

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """Clips, then videos."""
        names = Names.of(clips)
        yield from _Tree(self, clips, names).pieces()

    def described(self, clips: Selection) -> list[Described]:
        """The folders."""
        del clips
        metas = Described("metas", "metas/v0/*.json", "application/json")
        return [Described("clips", "clips/*.mp4", "video/mp4"), metas]

    def remarks(self, clips: Selection) -> list[str]:
        """Folders that are left out."""
        left = []
        if self.upload_clips and clips.instance is None:
            left.append("clips/ is left out: no stage makes files of clips; add transcode")
        if self.generate_previews and _preview(clips) is None:
            left.append("previews/ is left out: no stage preview is in the dataset")
        if self.generate_embeddings and not clips.embeddings:
            left.append("embeddings are left out: no embedder is in the dataset")
        if self.filtered_clips and clips.instance is not None:
            other = clips.of_dropped()
            without = int((other.keys["bytes"].to_numpy() == 0).sum())
            if without:
                left.append(f"filtered_clips/ lacks {without} of {len(other)}: their files could not be made")
        return left


def _preview(clips: Selection) -> str | None:
    """The instance of previews."""
    return next(iter(clips.dataset.instances("preview")), None)


@dataclass(frozen=True)
class _Tree:
    """One export."""

    form: Curator
    clips: Selection
    names: Names

    @cached_property
    def preview(self) -> str | None:
        return _preview(self.clips) if self.form.generate_previews else None

    @cached_property
    def folders(self) -> dict[str, str]:
        return embedding_folders(self.clips)

    def pieces(self) -> Iterator[Piece]:
        """Video by video, so that of one alone is held what came of its clips; then vectors."""
        dropped = self.clips.of_dropped()
        others = self._clips(dropped) if self.form.filtered_clips else self._counted(dropped)
        videos = self._videos()
        clips = heapq.merge(self._clips(self.clips), others, key=itemgetter(0))
        for uri, group in itertools.groupby(clips, key=itemgetter(0)):
            came = _Video()
            for _, written in group:
                yield from written(came)
            if uri in videos:
                yield from self._video(videos.pop(uri), came)
        for video in videos.values():
            yield from self._video(video, _Video())
        if self.form.generate_embeddings or self.form.upload_cds_parquet:
            yield from self._embeddings()

    def _clips(self, clips: Selection) -> Iterator[tuple[str, Written]]:
        """The video of each clip, in order, and what gives the clip's files and adds what they come to."""
        vectors = clips.embeddings if self.form.generate_embeddings and self.form.pickles and not clips.dropped else {}
        row = 0
        for part in clips.chunks():
            table = clips.table(part)
            shown = [name for name in clips.schema.names if name not in clips.embeddings]
            for n, clip in enumerate(numbered(table.select(shown))):
                said = clips.captions(row) if self.form.generate_captions else []
                row += 1
                cells = {column: table[column][n] for column in vectors}
                yield clip["uri"], partial(self._clip, clips, clip, said, cells)

    def _counted(self, clips: Selection) -> Iterator[tuple[str, Written]]:
        """The same of clips that were dropped and of which no file is written."""
        columns = ["clip_id", "uri", "start_s", "end_s", "duration_s", "source_fps", "dropped_by"]
        for clip in clips.records(columns=columns):
            yield clip["uri"], partial(self._drop, clip)

    def _drop(self, clip: Record, video: _Video) -> Iterator[Piece]:
        video.drop(clip, self.names)
        yield from ()

    def _clip(
        self, clips: Selection, clip: Record, said: list[Record], cells: Mapping[str, pa.Scalar], video: _Video
    ) -> Iterator[Piece]:
        names, form = self.names, self.form
        data = meta(clips, clip, said, names, form.output_path)
        ident, media = data["span_uuid"], clips.instance
        folder = get_output_path_clips("", filtered=clips.dropped)
        if media and form.upload_clips and clip[f"{media}_uri"]:
            yield of_copy(f"{folder}/{ident}.mp4", clips.file(clip[f"{media}_uri"]), clip[f"{media}_digest"])
        yield of_json(f"metas/v0/{ident}.json", data, indent=4)
        video.add(clips, clip, data, names)
        if self.preview and not clips.dropped and clip[f"{self.preview}_uri"]:
            yield from self._previews(clips, clip, ident)
        for column, cell in cells.items():
            if cell.is_valid:
                yield self._pickle(column, clip, cell.values.to_numpy())

    def _previews(self, clips: Selection, clip: Record, ident: str) -> Iterator[Piece]:
        """A preview a window, called by its frames."""
        name = str(self.preview)
        rate = (clips.instance and clip[f"{clips.instance}_fps"]) or clip["source_fps"] or 0.0
        spans = zip(*(clip[f"{name}_{part}"] for part in ("uri", "digest", "start", "end")), strict=True)
        for uri, content, start, end in spans:
            last = max(round(end * rate) - 1, 0)
            yield of_copy(f"previews/{ident}/{round(start * rate)}_{last}.webp", clips.file(uri), content)

    def _pickle(self, column: str, clip: Record, vector: np.ndarray) -> Piece:
        path = f"{self.folders[column]}/{span_uuid(clip, frame_numbers=self.names.frame_numbers)}.pickle"
        return of_bytes(path, pickle.dumps(vector))

    def _embeddings(self) -> Iterator[Piece]:
        """A parquet file a video and embedder."""
        uris = self.clips.keys["uri"].to_pylist()
        ends = [n for n in range(1, len(uris) + 1) if n == len(uris) or uris[n] != uris[n - 1]]
        start = 0
        for end in ends:
            rows = np.arange(start, end)
            start = end
            columns = ["uri", "start_s", "end_s", "source_fps", *self.clips.embeddings]
            table = self.clips.table(rows, columns)
            shown = table.select(columns[:4]).to_pylist()
            ids = pa.array([span_uuid(c, frame_numbers=self.names.frame_numbers) for c in shown])
            for n, column in enumerate(self.clips.embeddings):
                vectors = table[column].combine_chunks()
                held = pa.table({"id": ids, "embedding": vectors.cast(pa.list_(vectors.type.value_type))})
                there = held["embedding"].is_valid()
                if self.form.generate_embeddings and pc.any(there).as_py():
                    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{uris[end - 1]}_0")
                    yield _of(f"{self.folders[column]}_parquet/{name}.parquet", held.filter(there))
                if self.form.upload_cds_parquet and n == 0 and pc.any(there).as_py():
                    name = uuid.uuid5(uuid.NAMESPACE_URL, uris[end - 1])
                    told = pa.array([self._told(c, r, column) for c, r in zip(shown, rows.tolist(), strict=True)])
                    yield _of(
                        f"{get_output_path_cds_parquets('')}/{name}_0.parquet",
                        held.append_column("$meta", told).filter(there),
                    )

    def _told(self, clip: Record, row: int, column: str) -> str:
        """What a search of Cosmos-Curate's gives of a clip, as JSON."""
        recipe = self.clips.dataset.build["recipes"].get(column, {})
        ident = span_uuid(clip, frame_numbers=self.names.frame_numbers)
        said = {
            "clip_location": f"{get_output_path_clips(self.form.output_path)}/{ident}.mp4",
            "model_name": embedder(self.clips, column),
            "model_version": next(iter(recipe.get("models", {}).values()), "unspecified"),
            "source_video_location": clip["uri"],
            "caption": " | ".join(window["text"] for window in self.clips.captions(row) if window["text"]),
        }
        return json.dumps(said, ensure_ascii=False)

    def _videos(self) -> dict[str, Record]:
        """Path of each video → what is known of it."""
        table = self.clips.dataset.videos.search().limit(None).to_arrow()
        shown = [n for n in table.column_names if n in _VIDEO.values()]
        return {video["uri"]: video for video in table.select(["uri", *dict.fromkeys(shown)]).to_pylist()}

    def _video(self, video: Record, came: _Video) -> Iterator[Piece]:
        """What is said of a video, and of its one chunk of clips."""
        place = self.clips.relative(video["uri"])
        data = {name: video.get(column) for name, column in _VIDEO.items()}
        count = {"num_total_clips": len(came.clips) + len(came.filtered), "num_clip_chunks": 1}
        yield of_json(f"processed_videos/{place}.json", {"video": video["uri"], **data, **count}, indent=4)
        chunk = {"video": video["uri"], "clip_chunk_index": 0, **came.said()}
        yield of_json(f"processed_clip_chunks/{place}_0.json", chunk, indent=4)


_VIDEO = {
    "height": "h",
    "width": "w",
    "framerate": "fps",
    "num_frames": "frames",
    "duration": "duration",
    "video_codec": "codec",
    "pixel_format": "pixel_format",
    "audio_format": "audio",
}
"""Curator's key of a video → our column."""


def _of(path: str, table: pa.Table) -> Piece:
    held = table.combine_chunks()
    return of_table(path, held, sign_of(held))


@dataclass
class _Video:
    """What came of the clips of a video, as Curator counts it."""

    clips: list[str] = field(default_factory=list)
    filtered: list[str] = field(default_factory=list)
    by: dict[str, int] = field(default_factory=lambda: {"motion": 0, "aesthetic": 0})
    transcoded: int = 0
    embedded: int = 0
    captioned: int = 0
    previewed: int = 0
    total: float = 0.0
    longest: float = 0.0
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    better: dict[str, dict[str, str]] = field(default_factory=dict)

    def drop(self, clip: Record, names: Names) -> None:
        """Counts a clip that was dropped."""
        self.filtered.append(span_uuid(clip, frame_numbers=names.frame_numbers))
        if (kind := names.filters.get(str(clip["dropped_by"]).partition(":")[0])) is not None:
            self.by[kind] += 1

    def add(self, clips: Selection, clip: Record, data: Mapping[str, Any], names: Names) -> None:
        """Counts a clip that was written."""
        ident, media = data["span_uuid"], clips.instance
        self.transcoded += bool(media and clip[f"{media}_uri"])
        self.total += clip["duration_s"]
        self.longest = max(self.longest, clip["duration_s"])
        if clips.dropped:
            self.drop(clip, names)
            return
        self.clips.append(ident)
        self.embedded += bool(clips.embeddings)
        preview = _preview(clips)
        self.previewed += bool(preview and clip[f"{preview}_uri"])
        spans = {f"{w['start_frame']}_{w['end_frame']}": w for w in data["windows"]}
        self.texts[ident] = {span: text for span, w in spans.items() if (text := _first(w, "_caption"))}
        self.better[ident] = {span: text for span, w in spans.items() if (text := _first(w, "_enhanced_caption"))}
        self.captioned += bool(self.texts[ident])

    def said(self) -> dict[str, Any]:
        """What `processed_clip_chunks` holds."""
        return {
            "num_clips_filtered_by_motion": self.by["motion"],
            "num_clips_filtered_by_aesthetic": self.by["aesthetic"],
            "num_clips_passed": len(self.clips),
            "num_clips_transcoded": self.transcoded,
            "num_clips_with_embeddings": self.embedded,
            "num_clips_with_caption": self.captioned,
            "num_clips_with_webp": self.previewed,
            "total_clip_duration": self.total,
            "max_clip_duration": self.longest,
            "clips": self.clips,
            "filtered_clips": self.filtered,
            "all_windows": self.texts,
            "all_windows_enhanced_caption": self.better,
        }


def _first(window: Mapping[str, Any], suffix: str) -> str | None:
    """The first text of a window under a key of that end."""
    other = "_enhanced_caption"
    keys = [k for k in window if k.endswith(suffix) and (suffix == other or not k.endswith(other))]
    return window[keys[0]] if keys else None
