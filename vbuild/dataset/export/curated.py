"""What NeMo Curator's ClipWriterStage says of a clip, and where it puts things."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vbuild.dataset.export.selection import Record, Selection

MODELS = (("qwen2.5", r"qwen2[._]?5"), ("qwen3", r"qwen3"), ("nemotron", r"nemotron"))
"""Curator's name of a captioner, and what the name of its model holds."""

EMBEDDERS = {
    "internvideo2": ("internvideo2", "iv2_embd"),
    "cosmos_embed1": ("cosmos-embed1", "ce1_embd"),
    "embed_server": ("openai", "openai_embd"),
}
"""Stage of embeddings → Cosmos-Curate's name of it, and Curator's folder of its vectors."""

ENHANCED = "qwen_lm"
"""Curator's name of what makes captions better."""


# where things lie, by the names that Curator's helpers have


def get_output_path_processed_videos(output_path: str) -> str:
    """The folder of metadata of videos."""
    return _under(output_path, "processed_videos")


def get_output_path_processed_clip_chunks(output_path: str) -> str:
    """The folder of what came of each chunk of a video's clips."""
    return _under(output_path, "processed_clip_chunks")


def get_output_path_clips(output_path: str, *, filtered: bool = False) -> str:
    """The folder of clips, or of those that were dropped."""
    return _under(output_path, "filtered_clips" if filtered else "clips")


def get_output_path_previews(output_path: str) -> str:
    """The folder of previews, in which each clip has one."""
    return _under(output_path, "previews")


def get_output_path_metas(output_path: str, version: str) -> str:
    """The folder of metadata of clips."""
    return _under(output_path, f"metas/{version}")


def get_output_path_ce1_embd(output_path: str) -> str:
    """The folder of Cosmos-Embed1's vectors as pickles."""
    return _under(output_path, "ce1_embd")


def get_output_path_ce1_embd_parquet(output_path: str) -> str:
    """The folder of Cosmos-Embed1's vectors as parquet, a file a video."""
    return _under(output_path, "ce1_embd_parquet")


def get_output_path_iv2_embd(output_path: str) -> str:
    """The folder of InternVideo2's vectors as pickles."""
    return _under(output_path, "iv2_embd")


def get_output_path_iv2_embd_parquet(output_path: str) -> str:
    """The folder of InternVideo2's vectors as parquet, a file a video."""
    return _under(output_path, "iv2_embd_parquet")


def get_output_path_cds_parquets(output_path: str) -> str:
    """The folder of what Cosmos-Curate's searches are filled with."""
    return _under(output_path, "cds_parquet")


def _under(output_path: str, rest: str) -> str:
    """A path in the output; in the export itself, where that is ""."""
    return f"{output_path.rstrip('/')}/{rest}" if output_path else rest


@dataclass(frozen=True)
class Names:
    """What of a dataset is what Curator knows."""

    captions: Mapping[str, str]
    """Captioner → Curator's name of it."""
    motion: str | None
    aesthetic: str | None
    """Instances."""
    frames: bool
    """Whether there is a captioner, so that a clip is worth nothing without windows."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """Name of a predicate → `motion` or `aesthetic`, by what it reads."""
    frame_numbers: bool = False
    """Whether spans were cut at numbered frames, as TransNetV2's are."""

    @classmethod
    def of(cls, clips: Selection) -> Names:
        """Those of a dataset."""
        recipes, config = clips.dataset.build["recipes"], clips.dataset.build["config"]
        stages = {name: recipe["stage"] for name, recipe in recipes.items()}
        motion, aesthetic = (next(iter(clips.dataset.instances(kind)), None) for kind in ("motion", "aesthetic"))
        filters: dict[str, str] = {}
        for kind, name in (("motion", motion), ("aesthetic", aesthetic)):
            read = re.compile(rf"\b{name}(_\w+)?\b") if name else None
            filters |= {where: kind for where, sql in config["where"].items() if read and read.search(sql)}
        captions = {name: _model(model, stages.get(name, name)) for name, model in clips.captioners.items()}
        numbered = stages.get("split") not in (None, "fixed_stride")
        return cls(captions, motion, aesthetic, bool(captions), filters, numbered)


def _model(model: str, stage: str) -> str:
    """Curator's name of a captioner; where Curator has none, that of its model, or of the stage that needs none."""
    own = model.rstrip("/").rpartition("/")[2] or stage
    return next((name for name, pattern in MODELS if re.search(pattern, model, re.IGNORECASE)), own)


def embedder(clips: Selection, column: str) -> str:
    """Cosmos-Curate's name of what made a column of vectors, with its variant; where it has none, the stage's own."""
    stage = _counterpart(clips, column)
    if stage is None:
        return clips.embeddings[column]
    variant = re.search(r"\d+p\b", str(_said(clips, column).get("model"))) if stage == "cosmos_embed1" else None
    return f"{EMBEDDERS[stage][0]}-{variant[0]}" if variant else EMBEDDERS[stage][0]


def embedding_folders(clips: Selection) -> dict[str, str]:
    """Column of vectors → its folder: Curator's for the first of each stage that it has, else `<column>_embd`."""
    first: dict[str, str] = {}
    for column in clips.embeddings:
        if (stage := _counterpart(clips, column)) is not None:
            first.setdefault(stage, column)
    known = {column: EMBEDDERS[stage][1] for stage, column in first.items()}
    return {column: known.get(column, f"{column}_embd") for column in clips.embeddings}


def _counterpart(clips: Selection, column: str) -> str | None:
    """The stage of a column of vectors, if Curator has such a one; its servers look at pictures alone."""
    stage = clips.embeddings[column]
    return stage if stage in EMBEDDERS and _said(clips, column).get("payload") != "text" else None


def _said(clips: Selection, column: str) -> Mapping[str, Any]:
    """How the build was told to make a column."""
    said: Mapping[str, Any] = clips.dataset.build["config"]["stages"].get(column, {})
    return said


def span_uuid(clip: Record, *, frame_numbers: bool = False) -> str:
    """Curator's id of a clip: that of its video's path and of the numbers of its first and last frame."""
    rate = clip["source_fps"] or 0.0
    ends = (clip[side] * rate for side in ("start_s", "end_s"))
    start, end = (round(x) if frame_numbers else int(x) for x in ends)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{clip['uri']}_{start}_{end}"))


def meta(clips: Selection, clip: Record, captions: Sequence[Record], names: Names, out: str = "") -> dict[str, Any]:
    """What `metas/v0/<uuid>.json` holds of a clip."""
    media, filtered = clips.instance, clips.dropped
    ident = span_uuid(clip, frame_numbers=names.frame_numbers)
    data: dict[str, Any] = {
        "span_uuid": ident,
        "source_video": clip["uri"],
        "duration_span": [clip["start_s"], clip["end_s"]],
        "width_source": clip["source_w"],
        "height_source": clip["source_h"],
        "framerate_source": clip["source_fps"],
        "clip_location": f"{get_output_path_clips(out, filtered=filtered)}/{ident}.mp4",
    }
    has_file = media is not None and clip[f"{media}_uri"] is not None
    if has_file:
        shown = {"width": "w", "height": "h", "framerate": "fps", "num_frames": "frames", "video_codec": "codec"}
        data |= {name: clip[f"{media}_{part}"] for name, part in (*shown.items(), ("num_bytes", "bytes"))}
    if names.motion and clip[f"{names.motion}_mean"] is not None:
        least = clip[f"{names.motion}_min_patch"]
        data["motion_score"] = {"global_mean": clip[f"{names.motion}_mean"], "per_patch_min_256": least}
    if names.aesthetic and clip.get(names.aesthetic) is not None:
        data["aesthetic_score"] = clip[names.aesthetic]
    if clip["error"]:
        data["errors"] = [part.partition(":")[0] for part in clip["error"].split("; ")]
    data["windows"] = [
        {"start_frame": start, "end_frame": end, **texts}
        for (start, end), texts in windows(clips, clip, captions, names).items()
    ]
    data["valid"] = has_file and (not names.frames or bool(data["windows"]))
    return data


def windows(
    clips: Selection, clip: Record, captions: Sequence[Record], names: Names
) -> dict[tuple[int, int], dict[str, str]]:
    """First and last frame of each window of a clip → its texts by Curator's keys."""
    media = clips.instance
    rate = (media and clip[f"{media}_fps"]) or clip["source_fps"] or 0.0
    frames = (media and clip[f"{media}_frames"]) or round(clip["duration_s"] * rate)
    said: dict[tuple[int, int], dict[str, str]] = {}
    for window in captions:
        end = min(round(window["end_s"] * rate), frames)
        texts = said.setdefault((round(window["start_s"] * rate), max(end - 1, 0)), {})
        if window["text"] is not None:
            texts[f"{names.captions[window['captioner']]}_caption"] = window["text"]
        if window["enhanced"] is not None:
            texts[f"{ENHANCED}_enhanced_caption"] = window["enhanced"]
    return dict(sorted(said.items()))
