"""vbuild: make for video datasets."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Blob": "vbuild.stage",
    "Clip": "vbuild.stage",
    "Dataset": "vbuild.dataset.query",
    "Frames": "vbuild.stage",
    "Media": "vbuild.stage",
    "Sound": "vbuild.stage",
    "Stage": "vbuild.stage",
    "StoredBlob": "vbuild.stage",
    "VbuildError": "vbuild.errors",
    "Vectors": "vbuild.stage",
    "Window": "vbuild.stage",
    "knob": "vbuild.stage",
    "load": "vbuild.compose",
    "open": "vbuild.dataset.query",
    "wiring": "vbuild.stage",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for, so that `import vbuild` costs nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
