"""Sketches lose no pair, whichever library multiplies them."""

import clouds
import numpy as np
import pytest

from vbuild.near.centroids import unit
from vbuild.near.kernel import SCALE, Brain, Plain, Torch, basis_of, brainy, sketches_of, threshold, width_for

SIZES = (3, 40, 128, 200, 300)

KERNELS = {"numpy": Plain, "bfloat16": Brain, "as on a GPU": lambda least: Torch(least, "cpu")}


def sketched(vectors, reach):
    flat = unit(vectors)
    width = width_for(reach, flat.shape[1])
    return sketches_of(flat.astype(np.float32), basis_of(flat[: len(flat) // 3 + 1], width))


@pytest.mark.parametrize("kind", clouds.SETS)
@pytest.mark.parametrize("size", SIZES)
def test_no_product_of_sketches_is_less_than_that_of_the_vectors(kind, size):
    """But for what rounding takes."""
    flat = unit(clouds.SETS[kind](300, size, np.random.default_rng(size)))
    for reach in (0.02, 0.3):
        small = sketched(flat, reach).astype(np.float64) / SCALE
        assert small.shape == (300, width_for(reach, size))
        assert (small @ small.T - flat @ flat.T).min() > -5e-4


@pytest.mark.parametrize("by", KERNELS)
@pytest.mark.parametrize("kind", clouds.SETS)
@pytest.mark.parametrize("reach", [0.0, 0.02, 0.1, 0.6, 0.999])
def test_every_pair_is_among_what_is_let_through(by, kind, reach):
    """By each library, of vectors that are longer than their sketches."""
    vectors = clouds.SETS[kind](250, 300, np.random.default_rng(1))
    small = sketched(vectors, reach)
    kernel = KERNELS[by](threshold(reach))
    i, j = kernel.near(kernel.ready(small), kernel.ready(small))
    let = set(zip(i.tolist(), j.tolist(), strict=True))
    assert clouds.brute(vectors, reach).keys() <= let


@pytest.mark.parametrize("by", KERNELS)
def test_what_is_far_is_not_let_through(by):
    """Else a sketch would be of no use."""
    vectors = clouds.scattered(400, 300, np.random.default_rng(2))
    kernel = KERNELS[by](threshold(0.05))
    small = kernel.ready(sketched(vectors, 0.05))
    i, _ = kernel.near(small, small)
    assert len(i) < 400 * 400 / 10


def test_sketches_may_be_of_memory_that_is_read_only():
    """As Arrow's is; PyTorch, which warns of it once, is given none."""
    import torch

    small = sketched(clouds.scattered(20, 300, np.random.default_rng(2)), 0.05)
    small.flags.writeable = False
    torch.set_warn_always(True)
    try:
        kernel = Torch(threshold(0.05), "cpu")
        i, j = kernel.near(kernel.ready(small), kernel.ready(small))
    finally:
        torch.set_warn_always(False)
    assert (i == j).sum() == 20


def test_a_processor_says_whether_it_knows_short_floats(tmp_path):
    """By its flags; one that says nothing does not."""
    told = tmp_path / "cpuinfo"
    told.write_text("processor: 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n")
    assert brainy(told)
    told.write_text("processor: 0\nflags\t\t: fpu avx512f sse\n")
    assert not brainy(told)
    assert not brainy(tmp_path / "none")
