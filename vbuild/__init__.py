"""vbuild: make for video datasets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vbuild import fields
    from vbuild.compose import load
    from vbuild.dataset.read import Dataset, open  # noqa: A004
    from vbuild.errors import AnswerError, MediaError, PlaceError, StageError, UsageError, VbuildError, WeightsError
    from vbuild.stage import (
        Clip,
        Frames,
        Media,
        Moved,
        Packets,
        Phase,
        Request,
        Row,
        Sampled,
        Send,
        Sink,
        Sound,
        Stage,
        Vectors,
        knob,
        weights,
        wiring,
    )
    from vbuild.values import Blob, StoredBlob
    from vbuild.windows import Stretch, Window, Windows

__version__ = "0.1.0"

__all__ = [
    "AnswerError",
    "Blob",
    "Clip",
    "Dataset",
    "Frames",
    "Media",
    "MediaError",
    "Moved",
    "Packets",
    "Phase",
    "PlaceError",
    "Request",
    "Row",
    "Sampled",
    "Send",
    "Sink",
    "Sound",
    "Stage",
    "StageError",
    "StoredBlob",
    "Stretch",
    "UsageError",
    "VbuildError",
    "Vectors",
    "WeightsError",
    "Window",
    "Windows",
    "fields",
    "knob",
    "load",
    "open",
    "weights",
    "wiring",
]

_HOMES = {
    "vbuild.compose": ("load",),
    "vbuild.dataset.read": ("Dataset", "open"),
    "vbuild.errors": (
        "AnswerError",
        "MediaError",
        "PlaceError",
        "StageError",
        "UsageError",
        "VbuildError",
        "WeightsError",
    ),
    "vbuild.values": ("Blob", "StoredBlob"),
    "vbuild.windows": ("Stretch", "Window", "Windows"),
}
"""Where names are; all others are in `vbuild.stage`."""


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for, so that `import vbuild` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "fields":
        return import_module("vbuild.fields")
    home = next((module for module, names in _HOMES.items() if name in names), "vbuild.stage")
    return getattr(import_module(home), name)
