"""What a form of export is, and which there are."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from vbuild.check import hint, into
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbuild.dataset.export.piece import Piece
    from vbuild.dataset.export.selection import Selection

FORMS = {
    "curator": "NeMo Curator's tree: clips, previews, metas/v0, embeddings, processed_videos",
    "webdataset": "tar shards of mp4, json, txt and npy; layout=cosmos for Cosmos-Curate's bins",
    "mds": "shards that MosaicML Streaming reads",
    "litdata": "chunks that LitData reads",
    "cosmos_predict2": "Cosmos-Predict2's videos, metas and t5_xxl, a window each",
    "huggingface": "mp4 files, parquet and a card, which datasets.load_dataset reads",
    "parquet": "parquet files of the columns, and the clips' files beside them",
    "jsonl": "a line of JSON a clip, and the clips' files beside them",
    "lance": "one Lance table that holds the clips' bytes",
    "edl": "an edit decision list a video, for editing programs",
    "otio": "an OpenTimelineIO timeline a video",
}
"""Name of a form → what it is."""


@dataclass(frozen=True)
class Described:
    """What a Croissant description says of files that are alike."""

    name: str
    glob: str
    mime: str
    columns: tuple[tuple[str, str], ...] = ()
    """Name and Arrow type of the columns of files that are tables."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form of export with its options."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raised when the same clips give other files: then all are written anew."""

    def pieces(self, clips: Selection) -> Iterator[Piece]:
        """The files that the export shall hold. Raises ExportError where the dataset lacks what they are made of."""
        raise NotImplementedError

    def described(self, clips: Selection) -> list[Described]:
        """What they are, for machines."""
        raise NotImplementedError

    def remarks(self, clips: Selection) -> list[str]:
        """What is left out for want of a column, for people."""
        del clips
        return []


def form_of(name: str, options: Mapping[str, Any]) -> Form:
    """A form by its name, with options. Raises UsageError for what there is not."""
    if name not in FORMS:
        raise UsageError(f"--format {name}: there is no such form{hint(name, list(FORMS))}")
    return into(class_of(name), options, "")


def class_of(name: str) -> type[Form]:
    """The class of a form."""
    module = importlib.import_module(f"vbuild.dataset.export.{name}")
    return cast("type[Form]", getattr(module, "".join(part.capitalize() for part in name.split("_"))))
