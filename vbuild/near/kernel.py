"""Which of two sets of vectors come near one another: a bound by short sketches first, then float64 decides."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

DECIMALS = 6
"""Similarities are rounded, so that no tile size or order moves one across a threshold."""

WIDTHS = ((0.06, 128), (1.0, 256))
"""Up to which reach a sketch is how wide: too narrow a one lets too much through, which is dearer than it saves."""

TILE = (1024, 2048)
"""Rows by columns that are multiplied at once: the product stays in the processor's cache."""

SCALE = 32767
"""Sketches are whole numbers of 16 bits, which stand for this many times less: half of the room, and quick to widen."""

SINGLE, BRAIN = 5.2e-4, 6.5e-3
"""What a product of sketches may lose, in float32 and in bfloat16, of unit vectors of 256 numbers at most.

Each number of a sketch is off by 1 / 2 SCALE at most, so a sketch by sqrt(256) times that, 2.44e-4, and the product by
twice as much. float32 adds 256 x 2^-24; bfloat16 2^-9 for either sketch and for the product. Rounding to `DECIMALS` is
in it.
"""

FLAGS = ("avx512_bf16", "amx_bf16")
"""Processors that multiply bfloat16 by themselves; to others it is slower than float32."""


def threshold(reach: float) -> float:
    """The least similarity of a pair within a cosine distance."""
    return round(1 - reach, DECIMALS)


def width_for(reach: float, size: int) -> int:
    """How wide sketches of vectors of a size are; as wide as these where that is less."""
    return min(size, next(width for most, width in WIDTHS if reach <= most))


def basis_of(sample: np.ndarray, width: int) -> np.ndarray:
    """The directions, float64 (d, width - 1), in which unit vectors (n, d) extend most; their own axes if that is all.

    It decides how much sketches let through, and never what is found.
    """
    size = sample.shape[1]
    if width == size:
        return np.eye(size)
    wide = sample.astype(np.float64)
    _, directions = np.linalg.eigh(wide.T @ wide)
    return np.ascontiguousarray(directions[:, ::-1][:, : width - 1])


def sketches_of(vectors: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Sketches, int16 (n, width), of unit vectors float64 (n, d): no product of two is less than that of the vectors.

    What they have along the basis, and the length of the rest: the rests of two vectors have a product of their lengths
    at most (Cauchy-Schwarz).
    """
    along = vectors @ basis
    if basis.shape[0] > basis.shape[1]:
        rest = np.sqrt(np.maximum(1 - np.einsum("nd,nd->n", along, along), 0))
        along = np.concatenate([along, rest[:, None]], axis=1)
    sketches: np.ndarray = np.rint(along * SCALE).astype(np.int16)
    return sketches


class Products(Protocol):
    """How sketches are multiplied."""

    def near(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of two sets of sketches, of a `TILE` at most, that may belong to pairs; int64."""


class Plain:
    """By numpy, in float32."""

    def __init__(self, least: float) -> None:
        self.least = np.float32((least - SINGLE) * SCALE**2)
        self.room = np.empty(TILE[0] * TILE[1], np.float32)
        self.left: tuple[np.ndarray, np.ndarray] | None = None

    def near(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Products` says."""
        if self.left is None or self.left[0] is not left:
            self.left = left, left.astype(np.float32)
        product = self.room[: len(left) * len(right)].reshape(len(left), len(right))
        np.matmul(self.left[1], right.astype(np.float32).T, out=product)
        if product.max(initial=-np.inf) < self.least:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows = np.flatnonzero(product.max(axis=1) >= self.least)
        i, j = np.nonzero(product[rows] >= self.least)
        return rows[i], j


class Torch:
    """By torch: in bfloat16 on a processor, in float32 on a GPU."""

    def __init__(self, least: float, device: str) -> None:
        import torch

        self.torch, self.device = torch, device
        brain = device == "cpu"
        self.type = torch.bfloat16 if brain else torch.float32
        bound = (least - (BRAIN if brain else SINGLE)) * SCALE**2
        least_here = torch.tensor(bound, dtype=self.type)
        if least_here.item() > bound:
            least_here = torch.nextafter(least_here, torch.full_like(least_here, -torch.inf))
        self.least = least_here.to(device)
        self.left: tuple[np.ndarray, Any] | None = None

    def near(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Products` says."""
        if self.left is None or self.left[0] is not left:
            self.left = left, self._moved(left)
        product = self.left[1] @ self._moved(right).T
        rows = (product.amax(dim=1) >= self.least).nonzero()[:, 0]
        if not len(rows):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        i, j = (product[rows] >= self.least).nonzero(as_tuple=True)
        return rows[i].cpu().numpy(), j.cpu().numpy()

    def _moved(self, some: np.ndarray) -> Any:
        return self.torch.from_numpy(np.require(some, requirements=["C", "W"])).to(self.device).to(self.type)


def products(least: float) -> Products:
    """The fastest that there is here. `least`: the similarity of pairs."""
    kind = fastest()
    return Plain(least) if kind == "numpy" else Torch(least, kind)


@cache
def fastest() -> str:
    """`numpy`, or the device of torch that is faster: a GPU, or a processor that knows bfloat16."""
    if importlib.util.find_spec("torch") is None:
        return "numpy"
    if Path("/proc/driver/nvidia/gpus").is_dir():
        import torch

        if torch.cuda.is_available():
            return "cuda"
    return "cpu" if brainy(Path("/proc/cpuinfo")) else "numpy"


def brainy(told: Path) -> bool:
    """Whether Linux tells of a processor that multiplies bfloat16."""
    try:
        text = told.read_text(encoding="utf-8")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return any(flag in flags for flag in FLAGS)


def tiles(left: int, right: int) -> Iterator[tuple[slice, slice]]:
    """Two sets of so many rows, parted into tiles; those of one part of the left follow one another."""
    for i in range(0, left, TILE[0]):
        for j in range(0, right, TILE[1]):
            yield slice(i, min(i + TILE[0], left)), slice(j, min(j + TILE[1], right))
