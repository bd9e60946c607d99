"""Tar shards that WebDataset and Megatron-Energon read, plain or in the bins of Cosmos-Curate."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from vbuild.dataset.export import bins
from vbuild.dataset.export.form import Described, Form
from vbuild.dataset.export.piece import Piece, of_bytes, of_json
from vbuild.dataset.export.selection import MEDIA, name_of, numbered, sign_of
from vbuild.dataset.export.shards import MIB, shards

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vbuild.dataset.export.selection import Record, Selection

MODE = 0o444
"""The rights of a file in a tar."""


@dataclass(frozen=True, kw_only=True)
class Webdataset(Form):
    """Tar files of samples: `mp4`, `json` (all columns, and the windows), `txt` (the caption), vectors as `npy`.

    A shard is a random sample of the clips. `plain`: `shards/000000.tar` and so on, with Megatron-Energon's
    `.nv-meta` beside them. `cosmos`: Cosmos-Curate's `v0/resolution_…/aspect_ratio_…/duration_…/{video,metas,t5_xxl}/
    part_…/….tar`, with `wdinfo.json`; clips shorter than 5 s are left out there, as by Cosmos-Curate.
    """

    name: ClassVar[str] = "webdataset"

    layout: Literal["plain", "cosmos"] = "plain"
    """How the tars lie."""
    shard_mb: int = 500
    """MiB that a tar holds at most on average."""
    embeddings: bool = True
    """Whether samples hold vectors, as `<column>.npy`."""
    caption: str | None = None
    """The column that is the `txt`; null: the first captioner's, enhanced where it is."""
    min_clips: int = 1
    """cosmos: clips that a tar needs; of a bin with fewer nothing is written."""
    tars_a_part: int = 100
    """cosmos: tars in a folder `part_…`."""

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """The tars, then what lists them."""
        clips.needs_media(self.name)
        yield from self._cosmos(clips) if self.layout == "cosmos" else self._plain(clips)

    def _plain(self, clips: Selection) -> Iterator[Piece]:
        parts = shards(clips.keys["clip_id"], clips.keys["bytes"].to_numpy(), self.shard_mb * MIB)
        counts = {}
        for n, rows in enumerate(parts):
            path = f"shards/{n:06d}.tar"
            counts[path] = len(rows)
            yield self._tar(clips, rows, path)
        yield from energon(counts)

    def _tar(self, clips: Selection, rows: np.ndarray, path: str) -> Piece:
        table = clips.table(rows)
        windows = [clips.captions(row) for row in rows.tolist()]

        def write(target: Path) -> None:
            with tarfile.TarFile(target, "w", copybufsize=MIB) as tar:
                for clip, window, vectors in zip(
                    numbered(table.select(clips.plain)), windows, self._vectors(clips, table), strict=True
                ):
                    _sample(tar, name_of(clip), self._parts(clips, clip, window, vectors))

        return Piece(path, sign_of(table, self.name, windows, self.embeddings, self.caption), write)

    def _vectors(self, clips: Selection, table: pa.Table) -> Iterator[dict[str, np.ndarray | None]]:
        names = list(clips.embeddings) if self.embeddings else []
        for row in range(len(table)):
            yield {n: table[n][row].values.to_numpy() if table[n][row].is_valid else None for n in names}

    def _parts(
        self, clips: Selection, clip: Record, windows: list[Record], vectors: dict[str, np.ndarray | None]
    ) -> Iterator[tuple[str, bytes | Path]]:
        """What a sample holds: suffix and bytes, or the file that holds them."""
        uri = clip[f"{clips.instance}_uri"]
        if uri is not None:
            yield uri[uri.rindex(".") + 1 :], clips.file(uri)
        yield "json", json.dumps({**clip, "captions": windows}, ensure_ascii=False, default=str).encode()
        if (text := self._text(clip, windows)) is not None:
            yield "txt", text.encode()
        for name, vector in vectors.items():
            if vector is not None:
                buffer = io.BytesIO()
                np.save(buffer, vector)
                yield f"{name}.npy", buffer.getvalue()

    def _text(self, clip: Record, windows: list[Record]) -> str | None:
        if self.caption is not None:
            return str(clip[self.caption]) if clip.get(self.caption) is not None else None
        first = [w for w in windows if w["captioner"] == windows[0]["captioner"]]
        said = [w["enhanced"] or w["text"] for w in first]
        return " ".join(text for text in said if text) or None

    def _cosmos(self, clips: Selection) -> Iterator[Piece]:
        shown = [f"{clips.instance}{part}" for part in MEDIA]
        columns = ["clip_id", "uri", "start_s", "end_s", "duration_s", *shown]
        places = np.array(
            [bins.place(clip, str(clips.instance)) or "" for clip in clips.records(columns=columns)], object
        )
        roots = []
        for place in sorted(set(places.tolist()) - {""}):
            rows = np.flatnonzero(places == place)
            keys = clips.keys.take(pa.array(rows))
            parts = shards(keys["clip_id"], keys["bytes"].to_numpy(), self.shard_mb * MIB)
            parts = [rows[part] for part in parts if len(part) >= self.min_clips]
            listed = []
            for n, part in enumerate(parts):
                name = f"part_{n // self.tars_a_part:06d}/{n % self.tars_a_part:06d}.tar"
                listed.append(name)
                yield from self._threefold(clips, part, f"v0/{place}", name)
            if listed:
                roots.append(f"v0/{place}/wdinfo.json")
                count = sum(map(len, parts))
                yield of_json(roots[-1], bins.wdinfo(place, listed, count, self.tars_a_part), indent=4)
        yield of_bytes("v0/wdinfo_list.csv", "".join(f"{path}\n" for path in roots).encode())

    def _threefold(self, clips: Selection, rows: np.ndarray, place: str, name: str) -> Iterator[Piece]:
        """Three tars of equal keys: media, metadata and, where the dataset has them, text embeddings."""
        table = clips.table(rows)
        windows = [clips.captions(row) for row in rows.tolist()]
        records = list(numbered(table.select(clips.plain)))
        kinds: dict[str, Any] = {"video": ("mp4", bins.media), "metas": ("json", bins.meta)}
        if (t5 := bins.text_embedding(clips)) is not None:
            kinds["t5_xxl"] = ("pickle", partial(bins.pickled, column=t5))
        for folder, (suffix, make) in kinds.items():

            def write(target: Path, suffix: str = suffix, make: Any = make) -> None:
                with tarfile.TarFile(target, "w", copybufsize=MIB) as tar:
                    for clip, window in zip(records, windows, strict=True):
                        _sample(tar, clip["clip_id"], [(suffix, make(clips, clip, window))])

            yield Piece(f"{place}/{folder}/{name}", sign_of(table, self.name, folder, windows), write)

    def described(self, clips: Selection) -> list[Described]:
        """The tars."""
        del clips
        glob = "shards/*.tar" if self.layout == "plain" else "v0/*/*/*/*/*/*.tar"
        return [Described("shards", glob, "application/x-tar")]

    def remarks(self, clips: Selection) -> list[str]:
        """Text embeddings that are not there."""
        if self.layout == "cosmos" and bins.text_embedding(clips) is None:
            return ["t5_xxl/ is left out: no stage t5 is in the dataset"]
        return []


def energon(counts: dict[str, int]) -> Iterator[Piece]:
    """What Megatron-Energon keeps beside shards: how many samples each holds, the splits, and how a sample is made."""
    yield of_json(".nv-meta/.info.json", {"energon_version": "7.0.0", "shard_counts": counts}, indent=2)
    train = "".join(f"  - {path}\n" for path in counts)
    yield of_bytes(
        ".nv-meta/split.yaml", f"exclude: []\nsplit_parts:\n  train:\n{train}  val: []\n  test: []\n".encode()
    )
    kind = "__module__: megatron.energon\n__class__: CrudeWebdataset\nsubflavors: {}\n"
    yield of_bytes(".nv-meta/dataset.yaml", kind.encode())


def _sample(tar: tarfile.TarFile, key: str, parts: Any) -> None:
    """Adds the files of a sample, with nothing in them that differs from one export to the next."""
    for suffix, data in parts:
        entry = tarfile.TarInfo(f"{key}.{suffix}")
        entry.mode = MODE
        if isinstance(data, bytes):
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        else:
            entry.size = data.stat().st_size
            with data.open("rb") as stream:
                tar.addfile(entry, stream)
