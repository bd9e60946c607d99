"""LAION's predictor of aesthetic scores: five linear layers on a unit vector of CLIP L/14."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.errors import UsageError
from vbuild.models import identity

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

VERSION = 1
"""How vectors are put to the layers."""

LAYERS = (0, 2, 4, 6, 7)
"""Numbers of the linear layers in the files; there is dropout between, and no activation."""


class Predictor:
    """The layers, which are linear, as one: weights (width,) and a number."""

    def __init__(self, model: str, revision: str | None) -> None:
        import numpy as np

        found = identity.locate(model, revision)
        held = _tensors(found.path)
        names = [f"layers.{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")]
        if lacking := [name for name in names if name not in held]:
            raise UsageError(f"model={model}: it is no aesthetic predictor, for it has no {lacking[0]}")
        whole, shift = np.eye(held[names[0]].shape[1]), np.zeros(held[names[0]].shape[1])
        for weight, bias in zip(names[::2], names[1::2], strict=True):
            whole, shift = held[weight] @ whole, held[weight] @ shift + held[bias]
        self.model, self.weights, self.shift = model, whole[0], float(shift[0])

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Scores, float32 (n,), of vectors (n, width). Raises UsageError for vectors of another width."""
        import numpy as np

        if not len(vectors):
            return np.empty(0, np.float32)
        if vectors.shape[1] != len(self.weights):
            raise UsageError(
                f"model={self.model}: it scores vectors of {len(self.weights)} numbers, as CLIP L/14 makes them, and "
                f"was given such of {vectors.shape[1]}; read a clip_frames with model=openai/clip-vit-large-patch14"
            )
        exact = vectors.astype(np.float64)
        exact /= np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
        found: np.ndarray = np.einsum("nw,w->n", exact, self.weights) + self.shift
        return found.astype(np.float32)


def _tensors(path: Path) -> dict[str, np.ndarray]:
    """Name → numbers, float64, of a file of weights, or of the one in a folder; no code in it is run."""
    import torch

    files = [path] if path.is_file() else [f for f in identity.shaping(path) if f.suffix in identity.WEIGHTS]
    file = next((f for f in files if f.suffix == ".safetensors"), files[0])
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        held: dict[str, Any] = load_file(file)
    else:
        held = torch.load(file, map_location="cpu", weights_only=True)
    return {name: tensor.double().numpy() for name, tensor in held.items()}
