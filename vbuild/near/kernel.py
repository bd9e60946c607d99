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

TILE = (2048, 1024)
"""Rows by columns that are multiplied at once: the product stays in the processor's cache."""

STRIPE = 2
"""Tiles that stand above one another: what is to their right is made ready once for all."""

SCALE = 32_000
"""Sketches are whole numbers of 16 bits, which stand for this many times less: half of the room, and quick to widen.
There is room for what is a little longer than one."""

CHUNK = 96
"""Numbers of a vector that are multiplied with a basis at once: to add up few at a time loses less."""

SINGLE, BRAIN = 5.5e-4, 6.5e-3
"""What a product of sketches may lose, in float32 and in bfloat16, of unit vectors of 256 numbers at most.

Each number of a sketch is off by 1 / 2 SCALE at most, so a sketch by sqrt(256) times that, 2.5e-4, and the product by
twice as much. float32 adds 256 x 2^-24, and as much again what it made of lengths; bfloat16 2^-9 for either sketch and
for the product. Rounding to `DECIMALS` is in it.
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
    """Sketches, int16 (n, width), of unit vectors float32 (n, d): no product of two is less than that of the vectors.

    What they have along the basis, and the length of the rest: the rests of two vectors have a product of their lengths
    at most (Cauchy-Schwarz). That it is not less, though float32 loses some, is made sure of by longer rests: where
    what is along the basis is off by e, the square of its length is by 2 e + e^2, and the product of two by 2 e; and
    sqrt((a^2 + t) (b^2 + t)) >= a b + t.
    """
    size, width = basis.shape
    if size == width:
        return np.rint(vectors * np.float32(SCALE)).astype(np.int16)
    sketches = np.empty((len(vectors), width + 1), np.float32)
    along, small = np.zeros((len(vectors), width), np.float32), basis.astype(np.float32)
    for start in range(0, size, CHUNK):
        along += vectors[:, start : start + CHUNK] @ small[start : start + CHUNK]
    lost = width**0.5 * (CHUNK + size / CHUNK + 8) * 2.0**-24 + size * 2.0**-25
    rest = np.maximum(1 - np.einsum("nd,nd->n", along, along), 0) + np.float32(5 * lost)
    sketches[:, :width] = along
    sketches[:, width] = np.sqrt(rest)
    sketches *= np.float32(SCALE)
    return np.rint(sketches, out=sketches).astype(np.int16)


class Products(Protocol):
    """How sketches are multiplied."""

    def ready(self, sketches: np.ndarray) -> Any:
        """Sketches, int16 (n, width), as they are multiplied; to be held where they are multiplied again."""

    def near(self, left: Any, right: Any) -> tuple[np.ndarray, np.ndarray]:
        """The rows of two sets of sketches, of a `TILE` at most, that may belong to pairs; int64."""


class Plain:
    """By numpy, in float32."""

    def __init__(self, least: float) -> None:
        self.least = np.float32((least - SINGLE) * SCALE**2)
        self.room = np.empty(TILE[0] * TILE[1], np.float32)

    def ready(self, sketches: np.ndarray) -> np.ndarray:
        """As `Products` says."""
        return sketches.astype(np.float32)

    def near(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Products` says."""
        product = self.room[: len(left) * len(right)].reshape(len(left), len(right))
        np.matmul(left, right.T, out=product)
        return _at_least(product, self.least)


class Brain:
    """By torch on a processor, in bfloat16.

    Of numbers above 0 the bits of a bfloat16, as a whole number, are in the order of what they stand for, and numpy
    looks through whole numbers several times as fast as torch through these.
    """

    def __init__(self, least: float) -> None:
        import torch

        self.torch = torch
        self.least = _bits(torch, (least - BRAIN) * SCALE**2)
        self.room = torch.empty(TILE[0] * TILE[1], dtype=torch.bfloat16)

    def ready(self, sketches: np.ndarray) -> Any:
        """As `Products` says."""
        return self.torch.from_numpy(np.require(sketches, requirements=["C", "W"])).to(self.torch.bfloat16)

    def near(self, left: Any, right: Any) -> tuple[np.ndarray, np.ndarray]:
        """As `Products` says."""
        if len(left) < len(right):  # the more rows stand at the left, the less often the right is laid out for the unit
            j, i = self.near(right, left)
            return i, j
        product = self.room[: len(left) * len(right)].view(len(left), len(right))
        self.torch.mm(left, right.T, out=product)
        return _at_least(product.view(self.torch.int16).numpy(), self.least)


def _bits(torch: Any, bound: float) -> np.int16:
    """The bits of the greatest bfloat16 up to a bound; of one that is not above 0 what is less than all bits are."""
    if bound <= 0:
        return np.int16(-(2**15))
    least = torch.tensor(bound, dtype=torch.bfloat16)
    if least.item() > bound:
        least = torch.nextafter(least, torch.zeros_like(least))
    return np.int16(least.view(torch.int16).item())


def _at_least(product: np.ndarray, least: np.generic) -> tuple[np.ndarray, np.ndarray]:
    """Where a product (n, m) is no less than that: most rows are nowhere, and to look for them first is quick."""
    rows = np.flatnonzero(product.max(axis=1) >= least) if product.size else np.empty(0, np.int64)
    if not len(rows):
        return rows, rows
    i, j = np.nonzero(product[rows] >= least)
    return rows[i], j


class Torch:
    """By torch on a GPU, in float32."""

    def __init__(self, least: float, device: str) -> None:
        import torch

        self.torch, self.device = torch, device
        self.least = torch.tensor((least - SINGLE) * SCALE**2, dtype=torch.float32, device=device)

    def ready(self, sketches: np.ndarray) -> Any:
        """As `Products` says."""
        numbers = self.torch.from_numpy(np.require(sketches, requirements=["C", "W"]))
        return numbers.to(self.device).to(self.torch.float32)

    def near(self, left: Any, right: Any) -> tuple[np.ndarray, np.ndarray]:
        """As `Products` says."""
        product = left @ right.T
        rows = (product.amax(dim=1) >= self.least).nonzero()[:, 0]
        if not len(rows):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        i, j = (product[rows] >= self.least).nonzero(as_tuple=True)
        return rows[i].cpu().numpy(), j.cpu().numpy()


def products(least: float) -> Products:
    """The fastest that there is here. `least`: the similarity of pairs."""
    kind = fastest()
    if kind == "numpy":
        return Plain(least)
    return Brain(least) if kind == "cpu" else Torch(least, kind)


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
