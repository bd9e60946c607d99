"""What the columns of a dataset are, and their units, as they stand in the tables: read from what stages say."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbuild.dataset.target import Target
    from vbuild.plan.wiring import Instance
    from vbuild.stage import Stage

ABOUT, UNIT, STAGE = "about", "unit", "stage"
"""The keys of a field's metadata."""

UNITS = {
    r"(.*_)?pts": "ticks",
    r"time_base_(num|den)": "s/tick",
    r".*_s|(.*_)?(start|end|duration)": "s",
    r"(.*_)?(bytes|size)": "bytes",
    r"(.*_)?(w|h|width|height)": "pixels",
    r"(.*_)?fps": "frames/s",
    r"(.*_)?frames": "frames",
    r"(.*_)?bitrate": "bits/s",
    r"rotation": "degrees",
    r".*_loudness": "LUFS",
    r"audio_range": "LU",
    r".*_peak": "dBTP",
}
"""What a column is called → the unit that it is in, in all tables alike; others are shares, counts or texts."""

OURS: Mapping[str, str] = {
    "clip_id": "A span of a video by its ticks; the same whoever cut it",
    "video_id": "The digest of the video's bytes",
    "uri": "Where the video was found",
    "start_s": "Where it begins, on the source's clock; in captions from the clip's start",
    "end_s": "Where it ends, likewise",
    "duration_s": "How long it lasts",
    "start_pts": "Where it begins, in ticks of the time base",
    "end_pts": "The tick behind its end",
    "source_w": "Width of the source, as shown",
    "source_h": "Height of the source, as shown",
    "source_fps": "Frames a second of the source",
    "kept": "Whether no decision dropped it",
    "dropped_by": "The decision that dropped it, with `: null` where that could not tell",
    "duplicate_of": "The clip that stands for it",
    "error": "What failed, stage by stage",
    "warning": "What was lost in decoding",
    "size": "Bytes of the file",
    "container": "The file's format, by FFmpeg's name",
    "codec": "The codec of its picture",
    "pixel_format": "How its pixels are stored, by FFmpeg's name",
    "w": "Width, as shown",
    "h": "Height, as shown",
    "rotation": "Degrees clockwise that turn it upright",
    "fps": "Frames by duration",
    "vfr": "Whether frames stand at uneven distances",
    "interlaced": "Whether its frames are made of two fields",
    "duration": "From the first frame to the end of the last",
    "frames": "Pictures that are shown",
    "stream": "The index of its picture in the file",
    "time_base_num": "Numerator of a tick's seconds",
    "time_base_den": "Denominator of a tick's seconds",
    "bitrate": "Bits a second of its picture",
    "audio": "The codec of its sound; null if it has none that can be decoded",
    "clips": "How many clips it was cut into",
    "status": "Of a video: ok, warning, empty or failed; of a caption, how it ended",
    "remark": "What does not add up in a file that can be used",
    "caption_id": "Clip, captioner and window",
    "pair_id": "Dedup and clips",
    "failure_id": "Instance, and clip, video or file",
    "captioner": "The column of clips that shows it",
    "window": "Its place in the clip",
    "text": "What was said of the window",
    "enhanced": "The same, written anew",
    "tokens": "Tokens of the answer",
    "model": "Who said it",
    "dedup": "The decision that compared them",
    "clip_a": "The clip of the lower id",
    "clip_b": "The other clip",
    "similarity": "The cosine of their vectors, or the share of the shorter one's frames that both have",
    "keeper": "Which of the two stayed; null if neither did",
    "stage": "The instance that failed; `source` for a file that could not be read",
    "kind": "Whose fault it is: item or program",
    "message": "What it said",
    "attempts": "How often it was tried",
    "created": "When it failed last",
    "versions": "Versions of libraries under which it failed, as JSON",
    "trace": "Where in the code",
}
"""Columns that every dataset has, in whichever table."""

PARTS: Mapping[str, str] = {
    "_uri": "Where in the store the file is, or the files are",
    "_bytes": "How large it is",
    "_digest": "The digest of its bytes",
}
"""Of a file, by what is added to its column."""


HEAD = re.compile(r"((?:`\w+`(?:, | and )?)+): ")
"""Names of fields in a docstring, behind which it is said what they are."""


def unit(f: pa.Field) -> str:
    """The unit of a column; "" for a share, a count or a text."""
    if str(f.type) == "string":
        return ""
    return next((unit for pattern, unit in UNITS.items() if re.fullmatch(pattern, f.name)), "")


def documented(target: Target, instances: Mapping[str, Instance]) -> Target:
    """A table whose columns say what they are, in their metadata: `about`, `unit`, and of a stage's column `stage`."""
    groups = tuple(
        dataclasses.replace(
            group, schema=pa.schema([_field(f, instances.get(group.name)) for f in group.schema], group.schema.metadata)
        )
        for group in target.groups
    )
    return dataclasses.replace(target, groups=groups, told={ABOUT: OURS[target.key]})


def _field(f: pa.Field, instance: Instance | None) -> pa.Field:
    said = {UNIT: unit(f)}
    if instance is None:
        said[ABOUT] = OURS.get(f.name, "")
    else:
        said[STAGE] = f"{instance.stage.title()} {instance.stage.version}"
        said[ABOUT] = _of_instance(f.name, instance)
    return f.with_metadata({key: value for key, value in said.items() if value})


def _of_instance(column: str, instance: Instance) -> str:
    """What a stage's docstring says of a column."""
    for name, (field, kind) in instance.columns.items():
        for part in kind.columns():
            if column == name + part:
                said = about(type(instance.stage), field)
                return f"{PARTS[part]}. {said}" if part in PARTS and kind.blob else said
    return ""


def about(cls: type[Stage], field: str) -> str:
    """What a stage's docstring says of a field: what stands behind its name, else the sentence that names it; of the
    field without a name the first sentence, and so of one of which nothing is said."""
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(cls.__doc__ or "").split("\n\n")]
    first = _sentences(paragraphs[0])[0]
    if not field:
        return first
    for paragraph in paragraphs:
        heads = [*HEAD.finditer(paragraph)]
        for head, end in zip(heads, [*(h.start() for h in heads[1:]), len(paragraph)], strict=False):
            if f"`{field}`" in head[1]:
                return paragraph[head.end() : end].rstrip(" .;,-")
    mentions = (s for p in paragraphs for s in _sentences(p) if f"`{field}`" in s and not HEAD.search(s))
    return next(mentions, OURS.get(field, first))


def _sentences(text: str) -> list[str]:
    return [s.rstrip(".") for s in re.split(r"(?<=[.])\s+(?=[A-Z`])", text.strip())] or [""]
