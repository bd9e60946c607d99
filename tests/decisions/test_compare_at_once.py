"""Processes that compare the same recipe in one store, at once: no pair between what either brought is missed."""

import clouds
import lance
import numpy as np
import pytest
from embeddings import Vectors
from processes import go, starting

N, SIZE, REACH = 400, 40, 0.1

CODE = """
import sys
from pathlib import Path
import test_compare_at_once as here
vectors = here.vectors(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read(1)
told = vectors.compare(range(int(sys.argv[2]), int(sys.argv[3])), here.REACH)
print(told.new, told.known, flush=True)
"""


def vectors(root):
    """The same of them in every process."""
    return Vectors(root, clouds.dense(N, SIZE, np.random.default_rng(11)))


def comparing(root, first, last):
    """A process that is ready to compare some of them, and does at a sign."""
    return starting("decisions", CODE, root, first, last)


@pytest.mark.parametrize(
    "parts", [[(0, 200), (200, N)], [(0, 300), (100, N)], [(0, 150), (130, 280), (250, N)], [(0, N), (0, N)]], ids=str
)
def test_every_pair_is_found_once(tmp_path, parts):
    """Of parts that share nothing, some, or all: each vector is compared with all that came, and never again."""
    some = vectors(tmp_path)
    some.put(range(N))
    processes = [comparing(tmp_path, *part) for part in parts]
    go(processes)
    said = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(parts), said
    pairs = clouds.brute(some.vectors, REACH)
    assert pairs
    assert some.found(range(N), REACH) == pairs
    assert lance.dataset(str(some.pairs.folder / "edges.lance")).count_rows() == len(pairs)
    assert lance.dataset(str(some.pairs.folder / "compared.lance")).count_rows() == N
    assert not some.uncompared(range(N), REACH).new


def test_one_that_dies_leaves_the_other_all(tmp_path):
    """Killed while the other waits for it, or before: what it had not noted is compared by whoever comes."""
    some = vectors(tmp_path)
    some.put(range(N))
    processes = [comparing(tmp_path, 0, 250), comparing(tmp_path, 150, N)]
    go(processes)
    processes[0].kill()
    processes[0].communicate(timeout=100)
    _, err = processes[1].communicate(timeout=100)
    assert processes[1].returncode == 0, err
    some.compare(range(N), REACH)
    assert some.found(range(N), REACH) == clouds.brute(some.vectors, REACH)
