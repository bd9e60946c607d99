"""The text detector of PP-OCR and its weights, of the package `rapidocr`."""

from __future__ import annotations

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
"""How pictures are put to the network, and how boxes are made of its answer."""

MEAN = DEVIATION = (0.5, 0.5, 0.5)
"""Of the channels in 0..1, as the network was trained."""

GROWN = 1.6
"""How far the shrunken shapes that the network answers with are grown again, as a share of area over outline."""

MOST = 1000
"""Shapes that are looked at in a picture."""


@cache
def identity() -> str:
    """The digest of the weights. Raises UsageError if the package is not installed."""
    return file_digest(weights())


def weights() -> Path:
    """The file of the weights, the one of a detector in the package; nothing is imported for it."""
    spec = find_spec("rapidocr")
    files = sorted(Path(spec.origin).parent.glob("models/*_det_*.onnx")) if spec and spec.origin else []
    if not files or find_spec("onnxruntime") is None:
        raise UsageError("rapidocr is not installed; pip install 'vbuild-video[ocr]' brings it")
    return files[0]


class Detector:
    """Finds where text is, on a device; on the processor with as many threads as its process may have."""

    def __init__(self, *, long_side: int, threshold: float, box_threshold: float, device: str = "cpu") -> None:
        from rapidocr import RapidOCR

        provider, options = devices.providers(device)[0]
        runtime = "EngineConfig.onnxruntime"
        self.engine: Any = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.use_rec": False,
                "Global.use_preprocess_img": False,
                "Global.use_vertical_padding": False,
                "Global.log_level": "critical",
                "Det.model_path": str(weights()),
                "Det.limit_type": "max",
                "Det.limit_side_len": long_side,
                "Det.mean": list(MEAN),
                "Det.std": list(DEVIATION),
                "Det.thresh": threshold,
                "Det.box_thresh": box_threshold,
                "Det.unclip_ratio": GROWN,
                "Det.max_candidates": MOST,
                "Det.use_dilation": True,
                "Det.score_mode": "fast",
                f"{runtime}.intra_op_num_threads": int(os.environ.get("OMP_NUM_THREADS", "1")),
                f"{runtime}.inter_op_num_threads": 1,
                f"{runtime}.use_cuda": provider == devices.ONNX["cuda"],
                f"{runtime}.cuda_ep_cfg.device_id": options.get("device_id", 0),
            }
        )

    def boxes(self, picture: np.ndarray) -> np.ndarray:
        """The four corners of each text in a picture, uint8 (h, w, 3) in RGB: float32 (n, 4, 2), x and y in pixels."""
        import numpy as np

        quads = self.engine(np.ascontiguousarray(picture[..., ::-1])).boxes
        return np.empty((0, 4, 2), np.float32) if quads is None else np.asarray(quads, np.float32)
