"""The bins of Cosmos-Curate's shards: resolution, aspect and duration, and what its tars hold of a clip."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

from vbuild.dataset.export import curated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from vbuild.dataset.export.selection import Record, Selection

RESOLUTIONS = ((1080, "1080"), (720, "720"), (0, "lt_720"))
"""Shorter side in pixels from which a clip is in a bin."""

ASPECTS = ((0.65, "9_16"), (0.88, "3_4"), (1.16, "1_1"), (1.55, "4_3"), (10.0, "16_9"))
"""Width by height up to which a clip is in a bin."""

DURATIONS = ((10.0, "5_10"), (30.0, "10_30"), (float("inf"), "30_inf"))
"""Seconds up to which a clip is in a bin."""

SHORTEST = 5.0
"""Seconds below which a clip is in no bin."""


def place(clip: Record, media: str) -> str | None:
    """The folder of a clip's bin; None if it is in none, or has no file."""
    width, height, seconds = clip[f"{media}_w"], clip[f"{media}_h"], clip["duration_s"]
    if not width or not height or seconds < SHORTEST:
        return None
    resolution = next(name for least, name in RESOLUTIONS if min(width, height) >= least)
    aspect = next((name for most, name in ASPECTS if width / height <= most), None)
    duration = next(name for most, name in DURATIONS if seconds <= most)
    return aspect and f"resolution_{resolution}/aspect_ratio_{aspect}/duration_{duration}"


def wdinfo(where: str, tars: Sequence[str], count: int, tars_a_part: int) -> dict[str, Any]:
    """What lists the tars of a bin."""
    return {
        "data_keys": ["video", "t5_xxl", "metas"],
        "chunk_size": tars_a_part,
        "data_list": list(tars),
        "root": f"v0/{where}",
        "total_key_count": count,
    }


def media(clips: Selection, clip: Record, windows: Sequence[Record]) -> Path:
    """The file of a clip."""
    del windows
    return clips.file(clip[f"{clips.instance}_uri"])


def meta(clips: Selection, clip: Record, windows: Sequence[Record], names: curated.Names) -> bytes:
    """What NeMo Curator's metas hold of a clip."""
    return json.dumps(curated.meta(clips, clip, windows, names), ensure_ascii=False).encode()


def text_embedding(clips: Selection, captioner: str | None = None) -> str | None:
    """The column of the files that a stage t5 wrote, one a clip, if there is one; of a captioner's texts, if named."""
    stages = clips.dataset.build["config"]["stages"]
    names = [name for name in clips.dataset.instances("t5") if f"{name}_uri" in clips.schema.names]
    if captioner is not None:
        names = [name for name in names if stages.get(name, {}).get("of", captioner) == captioner]
    return names[0] if names else None


def text_embeddings(clips: Selection, clip: Record, column: str) -> dict[int, np.ndarray]:
    """Window of a clip → its text embedding (tokens, width), in order of the windows; of those that have one."""
    from safetensors.numpy import load_file

    uri = clip[f"{column}_uri"]
    held = load_file(clips.file(uri)) if uri is not None else {}
    return {window: held[str(window)] for window in sorted(map(int, held))}


def pickled(clips: Selection, clip: Record, windows: Sequence[Record], column: str) -> bytes:
    """The text embeddings of a clip's windows in a list, as Cosmos-Curate pickles them into its shards."""
    del windows
    return pickle.dumps(list(text_embeddings(clips, clip, column).values()))
