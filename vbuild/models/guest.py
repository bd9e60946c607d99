"""The far side of a model in another interpreter: Python 3.9 or later, NumPy, and what the model itself needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import queue
import signal
import struct
import sys
import traceback
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# No module of vbuild is imported here: the interpreter that runs this file does not have it.

LENGTH = struct.Struct("<Q")

LIBRARIES = ("numpy", "torch", "torchvision", "transformers", "tokenizers", "einops")
"""Whose versions are told."""


def send(stream: IO[bytes], value: Any) -> None:
    """Writes one message: its length, its text as JSON, then the bytes of its arrays.

    A value is of what JSON has, and of arrays of numbers. Raises TypeError for anything else.
    """
    import numpy as np

    arrays: list[np.ndarray] = []

    def named(what: Any) -> dict[str, int]:
        if not isinstance(what, np.ndarray) or what.dtype.hasobject:
            raise TypeError(f"{type(what).__name__}: only numbers, texts, lists, mappings and arrays are handed over")
        arrays.append(np.asarray(what, order="C"))
        return {"array": len(arrays) - 1}

    body = json.dumps(value, default=named)
    text = json.dumps({"body": body, "arrays": [[a.dtype.str, list(a.shape)] for a in arrays]}).encode()
    stream.write(LENGTH.pack(len(text)) + text)
    for array in arrays:
        stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Reads one message; its arrays may be written to. Raises EOFError where there is none, or not all of it."""
    import numpy as np

    head = json.loads(_exactly(stream, *LENGTH.unpack(_exactly(stream, LENGTH.size))))
    arrays = []
    for kind, shape in head["arrays"]:
        dtype = np.dtype(kind)
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(_exactly(stream, size), dtype).reshape(shape))
    return json.loads(head["body"], object_hook=lambda found: arrays[found["array"]] if "array" in found else found)


def _exactly(stream: IO[bytes], size: int) -> bytearray:
    data = bytearray(size)
    view, filled = memoryview(data), 0
    while filled < size:
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError(f"{size - filled} bytes are missing")
        filled += count
    return data


def about() -> dict[str, str]:
    """Python's version and those of the libraries that are there."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def serve() -> None:
    """Makes one object, as the first message says, and calls its methods as the others say, until nobody asks."""
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a library prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    calls: queue.Queue[Any] = queue.Queue()
    Thread(target=_listen, args=(asked, calls), daemon=True).start()
    made: Any = None
    while True:
        call = calls.get()
        try:
            if "make" in call:
                made = _made(*call["make"])
                answer = {"value": about()}
            else:
                answer = {"value": getattr(made, call["method"])(*call["given"])}
            send(answers, answer)
        except Exception as error:  # noqa: BLE001  whatever it is, it is raised again on the other side
            send(answers, {"error": _told(error)})


def _listen(asked: IO[bytes], calls: queue.Queue[Any]) -> None:
    """Takes calls, and ends the process when there can be no more, whatever it is doing: nobody wants the answer."""
    while True:
        try:
            calls.put(receive(asked))
        except (EOFError, OSError):
            os._exit(0)


def _made(file: str, name: str, given: dict[str, Any]) -> Any:
    """An object of a class in a file, which stands alone."""
    spec = importlib.util.spec_from_file_location(os.path.basename(file).rpartition(".")[0], file)  # noqa: PTH119
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)(**given)


def _told(error: Exception) -> dict[str, str]:
    """An error as data, with the nearest class that every Python knows."""
    torch = sys.modules.get("torch")
    if "out of memory" in str(error).lower() and torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins")
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"kind": kind, "error": type(error).__name__, "message": str(error), "trace": trace}


if __name__ == "__main__":
    serve()
