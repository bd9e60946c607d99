"""Near-duplicate pairs are those of the definition, however they are looked for and in whatever order vectors come."""

import shutil

import clouds
import numpy as np
import pytest
from embeddings import Vectors

from vbuild.decisions import compare
from vbuild.near import chores, kernel
from vbuild.near.centroids import unit
from vbuild.near.ground import Ground

N, REACH = 500, 0.1


@pytest.fixture
def small(monkeypatch):
    """Partitions are made of few vectors, chores are of few rows, and tiles are small and odd."""
    for name, value in (("MANY", 60), ("PARTITION", 12), ("NARROW", 20.0), ("STEP", 70), ("PARTED", 7), ("COMMIT", 90)):
        monkeypatch.setattr(compare, name, value)
    monkeypatch.setattr(compare, "CROWD", 0)
    for module in (kernel, chores, compare):
        monkeypatch.setattr(module, "TILE", (17, 29))
    for name, value in (("MOST", 40), ("GATHERED", 100), ("ROWS", 33), ("WHOLE", 100)):
        monkeypatch.setattr(chores, name, value)


@pytest.fixture
def few(small, monkeypatch):
    """Each new vector is measured against all borders by itself."""
    for name, value in (("CROWD", 1000), ("VISITS", 40)):
        monkeypatch.setattr(compare, name, value)


def made(tmp_path, kind, of="float32", n=N, size=140):
    """Vectors longer than sketches for a small reach are wide, and the pairs of the definition among them as stored."""
    vectors = Vectors(tmp_path, clouds.SETS[kind](n, size, np.random.default_rng(7)), of)
    return vectors, clouds.brute(vectors.vectors, REACH)


@pytest.mark.parametrize("of", ["float16", "float32"])
@pytest.mark.parametrize("kind", clouds.SETS)
@pytest.mark.parametrize(("way", "chore"), [(None, "Tile"), ("small", "Join"), ("few", "Visit")])
def test_every_pair_within_reach_is_found_once(tmp_path, kind, of, way, chore, request):
    """With its similarity; for narrower reaches without a look at a vector."""
    if way:
        request.getfixturevalue(way)
    vectors, pairs = made(tmp_path, kind, of)
    vectors.put(range(N))
    vectors.compare(range(N), REACH)
    assert vectors.found(range(N), REACH) == pairs
    assert pairs
    assert {name for name in ("Tile", "Join", "Visit") if vectors.chores[name]} == {chore}
    before = vectors.chores.total()
    vectors.compare(range(N), 0.05)
    assert vectors.chores.total() == before
    assert vectors.found(range(N), 0.05) == {p: s for p, s in pairs.items() if s >= 0.95}


@pytest.mark.parametrize("kind", clouds.SETS)
@pytest.mark.parametrize("batches", [1, 3, 20])
@pytest.mark.parametrize(("seed", "way"), [(1, "small"), (2, "small"), (1, "few")])
def test_the_order_in_which_vectors_come_changes_nothing(tmp_path, kind, batches, seed, way, request):
    """Nor in how many goes, and what centroids they make."""
    request.getfixturevalue(way)
    vectors, pairs = made(tmp_path, kind)
    order = np.random.default_rng(seed).permutation(N)
    for part in np.array_split(order, batches):
        vectors.put(part)
        vectors.compare(part, REACH)
    assert vectors.found(range(N), REACH) == pairs
    assert not vectors.uncompared(range(N), REACH).new


@pytest.mark.parametrize("seed", [1, 2])
def test_the_centroids_change_nothing(tmp_path, small, monkeypatch, seed):
    """Not even senseless ones, nor a senseless basis."""
    random = np.random.default_rng(seed)
    middles = unit(random.normal(size=(25, 300))).astype("f4")
    monkeypatch.setattr(chores.kmeans, "centroids", lambda sample, k, **_: middles[:k])
    monkeypatch.setattr(chores, "basis_of", lambda s, w: np.linalg.qr(random.normal(size=(s.shape[1], w - 1)))[0])
    vectors, pairs = made(tmp_path, "grouped", size=300)
    vectors.put(range(N))
    vectors.compare(range(N), REACH)
    assert vectors.chores["Join"]
    assert vectors.found(range(N), REACH) == pairs


def test_a_vector_is_read_again_once_for_all_chores(tmp_path, monkeypatch):
    """However many pairs it stands in."""
    monkeypatch.setattr(compare, "PARTED", 7)
    for module in (kernel, chores, compare):
        monkeypatch.setattr(module, "TILE", (17, 29))
    vectors, pairs = made(tmp_path, "dense")
    vectors.put(range(N))
    read, stored = [], Ground.stored
    monkeypatch.setattr(Ground, "stored", lambda ground, rows: read.append(len(rows)) or stored(ground, rows))
    vectors.compare(range(N), REACH)
    assert vectors.chores["Tile"] > 1
    assert sum(read) <= N + 1 + N  # each for its sketch, one for what they are, and again
    assert vectors.found(range(N), REACH) == pairs


def test_one_comparing_takes_nothing_for_what_another_read(tmp_path):
    """Though both are of as many vectors of one version of their results, in one place, in one process."""
    vectors, pairs = made(tmp_path, "dense", n=400)
    vectors.put(range(400))
    for half in (range(200), range(200, 400)):
        shutil.rmtree(vectors.pairs.folder, ignore_errors=True)
        vectors.compare(half, REACH)
        assert vectors.found(half, REACH) == {p: s for p, s in pairs.items() if set(p) <= set(half)} != {}


def test_nothing_is_compared_twice(tmp_path, small):
    """New vectors are compared with the old, and old ones never with each other."""
    vectors, pairs = made(tmp_path, "dense")
    vectors.put(range(N))
    vectors.compare(range(450), REACH)
    told = vectors.uncompared(range(N), REACH)
    assert (told.new, told.known) == (50, 450)
    seen = []

    def run(some):
        for table in vectors.run(some):
            seen.append(table)
            yield table

    vectors.compare(range(N), REACH, run)
    joined = [table for table in seen if "similarity" in table.column_names]
    assert sum(map(len, joined)) == sum(pair[1] >= 450 for pair in pairs) > 0
    assert sum(table["rows"][0].as_py() for table in seen if table.column_names == ["rows"]) == 50
    assert vectors.found(range(N), REACH) == pairs


def test_a_clip_that_falls_and_returns_costs_nothing(tmp_path, small):
    """It is known as long as its vector is in the store, whoever asks for it."""
    vectors, pairs = made(tmp_path, "grouped")
    vectors.put(range(N))
    vectors.compare(range(N), REACH)
    before = vectors.chores.total()
    half = {pair: s for pair, s in pairs.items() if pair[1] < 250}
    assert vectors.found(range(250), REACH) == half
    vectors.compare(range(250), REACH)
    vectors.compare(range(N), REACH)
    assert vectors.chores.total() == before
    assert vectors.found(range(N), REACH) == pairs


def test_a_vector_that_left_the_store_and_comes_back_is_compared_anew(tmp_path, small):
    """What came meanwhile could not be compared with it."""
    vectors, pairs = made(tmp_path, "dense")
    vectors.put(range(400))
    vectors.compare(range(400), REACH)
    vectors.drop(range(100))
    vectors.put(range(400, N))
    vectors.compare(range(100, N), REACH)
    vectors.put(range(100))
    assert vectors.uncompared(range(N), REACH).new == 100
    vectors.compare(range(N), REACH)
    assert vectors.found(range(N), REACH) == pairs


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_kill_loses_no_pair(tmp_path, small, after):
    """Whether it comes before all, between pairs, or before what was compared is noted."""
    vectors, pairs = made(tmp_path, "dense")
    vectors.put(range(N))
    vectors.compare(range(100), REACH)

    def killed(some):
        for n, table in enumerate(vectors.run(some)):
            if n == after and table.column_names[0] == "a":
                raise KeyboardInterrupt
            yield table

    with pytest.raises(KeyboardInterrupt):
        vectors.compare(range(N), REACH, killed)
    assert vectors.uncompared(range(N), REACH).new == N - 100
    assert not (vectors.pairs.folder / ".work").exists()
    vectors.compare(range(N), REACH)
    assert vectors.found(range(N), REACH) == pairs


def test_sketches_that_are_lost_or_torn_are_made_again(tmp_path, small):
    """They are no more than a help."""
    vectors, pairs = made(tmp_path, "grouped")
    vectors.put(range(N))
    vectors.compare(range(200), REACH)
    shelf = vectors.pairs.folder / "sketches"
    with (shelf / "sketches.i16").open("ab") as file:
        file.write(b"torn")
    vectors.compare(range(300), REACH)
    (shelf / "learned.json").write_text("{")
    vectors.compare(range(N), REACH)
    assert vectors.found(range(N), REACH) == pairs


def test_a_wider_reach_is_looked_for_among_all(tmp_path, small):
    """What was compared for a narrower one counts for nothing then, and for a narrower one again."""
    vectors, pairs = made(tmp_path, "dense", n=200)
    vectors.put(range(200))
    vectors.compare(range(200), 0.01)
    assert vectors.uncompared(range(200), REACH).new == 200
    vectors.compare(range(200), REACH)
    assert vectors.found(range(200), REACH) == {p: s for p, s in pairs.items() if p[1] < 200}
    assert not vectors.uncompared(range(200), 0.02).new


def test_pairs_of_few_are_read_by_key(tmp_path, small, monkeypatch):
    """They are the same that a look at all of them gives."""
    from vbuild.store import pairs as stored

    vectors, pairs = made(tmp_path, "dense")
    vectors.put(range(N))
    monkeypatch.setattr(stored, "MANY", 10)
    for part in np.array_split(np.arange(N), 9):
        vectors.compare(part, REACH)
    monkeypatch.setattr(stored, "A_KEY", 0)
    monkeypatch.setattr(stored, "KEYS", 7)
    assert vectors.found(range(20), REACH) == {p: s for p, s in pairs.items() if p[1] < 20}
    assert vectors.found(range(N), REACH) == pairs
    import lance

    edges = lance.dataset(str(vectors.pairs.folder / "edges.lance"))
    assert [index.field_names for index in edges.describe_indices()] == [["a"]]


def test_bits_that_are_equal_have_one_vector(tmp_path):
    """Two rows of one vector are one that is compared."""
    vectors, _ = made(tmp_path, "grouped", n=100)
    vectors.put(range(100))
    vectors.put(range(50))
    vectors.compare(range(100), REACH)
    assert vectors.found(range(100), REACH) == clouds.brute(vectors.vectors, REACH)


def test_a_vector_of_zeros_is_refused(tmp_path):
    """A vector without a direction is near nothing and far from nothing."""
    vectors = Vectors(tmp_path, np.zeros((2, 4)))
    vectors.put([0])
    with pytest.raises(Exception, match="zeros"):
        vectors.compare([0], REACH)
