"""Tar shards that WebDataset and Megatron-Energon read, plain or in the bins of Cosmos-Curate."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from vbuild.dataset.export import bins, energon
from vbuild.dataset.export.curated import Names
from vbuild.dataset.export.form import Described
from vbuild.dataset.export.piece import Piece, of_bytes, of_json
from vbuild.dataset.export.samples import Held, Sampled
from vbuild.dataset.export.selection import name_of, numbered, sign_of
from vbuild.dataset.export.shards import MIB, shards
from vbuild.dataset.read import MEDIA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vbuild.dataset.export.samples import Sample
    from vbuild.dataset.export.selection import Selection

MODE = 0o444
"""The rights of a file in a tar."""


@dataclass(frozen=True, kw_only=True)
class Webdataset(Sampled):
    """Tar files of samples: `mp4`, `json` (all columns, and the windows), `txt` (the caption), vectors as `npy`.

    A shard is a random sample of the clips. `plain`: `shards/000000.tar` and so on, with what Megatron-Energon keeps
    beside them: `.nv-meta`, and a `.tar.idx` of each. `cosmos`: Cosmos-Curate's
    `v0/resolution_…/aspect_ratio_…/duration_…/{video,metas,t5_xxl}/part_…/….tar`, with `wdinfo.json`; clips shorter
    than 5 s are left out there, as by Cosmos-Curate.
    """

    name: ClassVar[str] = "webdataset"
    version: ClassVar[int] = 2

    layout: Literal["plain", "cosmos"] = "plain"
    """How the tars lie."""
    shard_mb: int = 500
    """MiB that a tar holds at most on average."""
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
        held = []
        for n, rows in enumerate(parts):
            tar = self._tar(clips, rows, f"shards/{n:06d}.tar")
            held.append(Held(tar.path, len(rows), tar.sign))
            yield tar
        yield from energon.pieces(held)

    def _tar(self, clips: Selection, rows: np.ndarray, path: str) -> Piece:
        shard = self.shard(clips, rows)

        def write(target: Path) -> None:
            with tarfile.TarFile(target, "w", copybufsize=MIB) as tar:
                for sample in self.samples(clips, shard):
                    _add(tar, name_of(sample.clip), _parts(sample))

        return Piece(path, shard.sign(self), write)

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
        windows = clips.windows(rows)
        records = list(numbered(table.select(clips.plain)))
        kinds: dict[str, Any] = {
            "video": ("mp4", bins.media),
            "metas": ("json", partial(bins.meta, names=Names.of(clips))),
        }
        if (t5 := bins.text_embedding(clips)) is not None:
            kinds["t5_xxl"] = ("pickle", partial(bins.pickled, column=t5))
        for folder, (suffix, make) in kinds.items():

            def write(target: Path, suffix: str = suffix, make: Any = make) -> None:
                with tarfile.TarFile(target, "w", copybufsize=MIB) as tar:
                    for clip, window in zip(records, windows, strict=True):
                        _add(tar, clip["clip_id"], [(suffix, make(clips, clip, window))])

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


def _parts(sample: Sample) -> Iterator[tuple[str, bytes | Path]]:
    """What a sample holds: suffix and bytes, or the file that holds them."""
    if sample.file is not None:
        yield sample.file.suffix[1:], sample.file
    yield "json", sample.metadata.encode()
    if sample.caption is not None:
        yield "txt", sample.caption.encode()
    for name, vector in sample.vectors.items():
        if vector is not None:
            buffer = io.BytesIO()
            np.save(buffer, vector)
            yield f"{name}.npy", buffer.getvalue()


def _add(tar: tarfile.TarFile, key: str, parts: Any) -> None:
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
