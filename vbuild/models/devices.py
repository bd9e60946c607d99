"""Which device a network runs on, and whether it is compiled for it."""

from __future__ import annotations

from functools import cache
from typing import Any

from vbuild.errors import PlaceError


def chosen(name: str) -> str:
    """The device of a name, as torch calls it: of `auto` the first that there is of cuda, mps and cpu.

    Raises PlaceError for one that is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if name == "auto":
        return next(kind for kind, look in there.items() if look())
    if not there.get(name.partition(":")[0], lambda: True)():
        raise PlaceError(f"device={name}: torch finds no such device here; device=auto takes what there is")
    return name


def compiled(call: Any, device: str) -> Any:
    """A function or a network as torch compiles it, which happens when it is first called.

    Raises PlaceError where torch cannot.
    """
    import torch

    compiles(torch.device(device).type)
    return torch.compile(call)


@cache
def compiles(kind: str) -> None:
    """Raises PlaceError where torch cannot compile for a kind of device, as without a compiler of C++ or Triton."""
    import torch

    try:
        torch.compile(_doubled)(torch.ones(8, device=kind))
    except (RuntimeError, OSError, ImportError) as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise PlaceError(f"compile=true: torch cannot compile for {kind} here ({why}); say false") from error


def _doubled(numbers: Any) -> Any:
    return numbers.sin() * 2


ONNX = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
"""Device → what onnxruntime calls it."""


def providers(name: str) -> list[tuple[str, dict[str, int]]]:
    """What onnxruntime is told of a device, with the processor to fall back on; `auto`: a GPU where it can use one.

    Raises PlaceError for one that it cannot use.
    """
    import onnxruntime

    kind, _, number = name.partition(":")
    there = ONNX["cuda"] in onnxruntime.get_available_providers()
    if kind == "cuda" and not there:
        raise PlaceError(f"device={name}: onnxruntime finds no GPU; onnxruntime-gpu brings it, or say device=auto")
    if kind not in (*ONNX, "auto"):
        raise PlaceError(
            f"device={name}: onnxruntime runs here on {' and '.join(ONNX)}; device=auto takes what there is"
        )
    first = [(ONNX["cuda"], {"device_id": int(number or 0)})] if there and kind != "cpu" else []
    return [*first, (ONNX["cpu"], {})]
