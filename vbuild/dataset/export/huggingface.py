"""A folder that `datasets.load_dataset` reads and that a hub shows: files, parquet and a card."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from vbuild.dataset.export.form import Described, Form
from vbuild.dataset.export.piece import Piece, of_bytes, of_copy
from vbuild.dataset.export.selection import name_of, sign, sign_of
from vbuild.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from vbuild.dataset.export.selection import Record, Selection

GROUP = 1 << 14
"""Rows of a table that are in memory at once, and a row group of its file."""


@dataclass(frozen=True, kw_only=True)
class Huggingface(Form):
    """`data/<split>/metadata.parquet` with a row a clip, their files in `data/<split>/clips/`, and a card.

    `datasets.load_dataset(folder)` gives a column `video` that decodes, and all columns beside it.
    """

    name: ClassVar[str] = "huggingface"

    split: str | None = None
    """A column that says of which split a clip is, such as that of a stage folds; null: all are `train`."""
    embeddings: bool = True
    """Whether vectors are columns too."""
    licence: str | None = None
    """What the card says of the licence, such as `cc-by-4.0`."""

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """The files and the table of each split, then the card."""
        clips.needs_media(self.name)
        parts = self._splits(clips)
        for split, rows in parts.items():
            yield from self._files(clips, split, rows)
            signs = [sign_of(self._table(clips, part)) for part in clips.chunks(rows)]
            yield Piece(f"data/{split}/metadata.parquet", sign(signs), partial(self._write, clips, rows))
        yield of_bytes("README.md", self._card(clips, {split: len(rows) for split, rows in parts.items()}).encode())

    def _splits(self, clips: Selection) -> dict[str, np.ndarray]:
        """Split → rows of clips that have a file."""
        import numpy as np

        has = clips.keys["bytes"].to_numpy() > 0
        if self.split is None:
            return {"train": np.flatnonzero(has)}
        if self.split not in clips.schema.names:
            raise ExportError(f"split={self.split}: {clips.dataset.name} has no such column; add a stage folds")
        said = np.concatenate([np.empty(0, object), *(self._said(clips, part) for part in clips.chunks())])
        names = sorted({str(name) for name in said.tolist() if name is not None})
        return {name: np.flatnonzero(has & (said == name)) for name in names}

    def _said(self, clips: Selection, rows: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.array(clips.table(rows, [str(self.split)])[str(self.split)].to_pylist(), object)

    def _path(self, clips: Selection, clip: Record) -> str:
        """Where a clip's file lies in its split; no folder holds more than a hub takes."""
        uri = clip[f"{clips.instance}_uri"]
        return f"clips/{clip['clip_id'][:2]}/{name_of(clip)}{uri[uri.rindex('.') :]}"

    def _files(self, clips: Selection, split: str, rows: np.ndarray) -> Iterator[Piece]:
        media = str(clips.instance)
        for clip in clips.records(rows, ["clip_id", "uri", "start_s", "end_s", f"{media}_uri", f"{media}_digest"]):
            source = clips.file(clip[f"{media}_uri"])
            yield of_copy(f"data/{split}/{self._path(clips, clip)}", source, clip[f"{media}_digest"])

    def _table(self, clips: Selection, rows: np.ndarray) -> pa.Table:
        table = clips.table(rows, [*clips.plain, *(clips.embeddings if self.embeddings else ())])
        shown = table.select(["clip_id", "uri", "start_s", "end_s", f"{clips.instance}_uri"]).to_pylist()
        names = pa.array([self._path(clips, clip) for clip in shown], pa.string())
        table = table.drop_columns([n for n in table.column_names if n.endswith("_uri")])
        if clips.captioners:
            texts = [" ".join(w["enhanced"] or w["text"] or "" for w in windows) for windows in clips.windows(rows)]
            if "text" not in table.column_names:
                table = table.append_column("text", pa.array([text or None for text in texts], pa.string()))
        return table.add_column(0, "file_name", names).combine_chunks()

    def _write(self, clips: Selection, rows: np.ndarray, target: Path) -> None:
        """The table of a split, some rows at a time: all of them need not have room in memory."""
        import pyarrow.parquet as pq

        schema = self._table(clips, rows[:0]).schema
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for part in clips.chunks(rows, GROUP):
                writer.write_table(self._table(clips, part))

    def _card(self, clips: Selection, counts: dict[str, int]) -> str:
        total = sum(counts.values())
        size = next(name for most, name in _SIZES if total < most)
        splits = "".join(f"  - split: {name}\n    path: data/{name}/**\n" for name in counts)
        licence = f"license: {self.licence}\n" if self.licence else ""
        columns = "\n".join(
            f"| `{f.name}` | {f.type} |" for f in clips.schema if not f.name.endswith(("_uri", "_digest"))
        )
        return (
            f"---\n{licence}task_categories:\n- text-to-video\nsize_categories:\n- {size}\n"
            f"configs:\n- config_name: default\n  drop_labels: true\n  data_files:\n{splits}---\n"
            f"# {clips.dataset.name}\n\n{total} clips, made by vbuild (build {clips.dataset.build['id']}).\n\n"
            "```python\nfrom datasets import load_dataset\n\n"
            f'clips = load_dataset("path/to/this/folder")\n```\n\n| column | type |\n|---|---|\n{columns}\n'
        )

    def described(self, clips: Selection) -> list[Described]:
        """The table, and the files."""
        kinds = tuple((n, str(clips.schema.field(n).type)) for n in clips.plain if not n.endswith("_uri"))
        table = Described(
            "table", "data/*/metadata.parquet", "application/x-parquet", (("file_name", "string"), *kinds)
        )
        return [table, Described("clips", "data/*/clips/*/*.mp4", "video/mp4")]


_SIZES = (
    *((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")),
    *((10_000_000, "1M<n<10M"), (float("inf"), "n>10M")),
)
"""Clips below which a hub calls a dataset so."""
