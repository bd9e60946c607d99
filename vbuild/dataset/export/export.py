"""Exports a dataset: the clips that are kept, or some of them, in a form that other tools read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from vbuild.dataset.export import croissant
from vbuild.dataset.export.form import form_of
from vbuild.dataset.export.publish import Published, publish
from vbuild.dataset.export.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vbuild.dataset.read import Dataset


@dataclass(frozen=True)
class Exported:
    """What an export did."""

    clips: int
    files: Published
    remarks: list[str]
    """What was left out for want of a column."""


def export(
    dataset: Dataset,
    form: str,
    out: Path,
    *,
    where: str | None = None,
    media: str | None = None,
    options: Mapping[str, Any] | None = None,
    dry: bool = False,
) -> Exported:
    """Brings a folder to what a form of export of a dataset shall hold, and writes only what differs.

    Raises UsageError for a form or an option that there is not, ExportError for a folder that cannot be filled or a
    dataset that lacks what the form is made of, DatasetError for a condition that does not hold.
    """
    made = form_of(form, options or {})
    clips = Selection(dataset, where, media=media)
    pieces = chain(made.pieces(clips), croissant.told(made, clips))
    published = publish(out, {"dataset": dataset.name, "format": form, "version": made.version}, pieces, dry=dry)
    return Exported(len(clips), published, made.remarks(clips))
