"""vbuild: make for video datasets."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Dataset": "vbuild.dataset.query",
    "Stage": "vbuild.stage",
    "VbuildError": "vbuild.errors",
    "load": "vbuild.compose",
    "open": "vbuild.dataset.query",
}

__all__ = ["Dataset", "Stage", "VbuildError", "load", "open"]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for, so that `import vbuild` costs nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
