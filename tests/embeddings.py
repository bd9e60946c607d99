"""A store with vectors in it, as a stage would have written them, and workers that compare them here."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vbuild.decisions.compare import complete, near_vectors, uncompared
from vbuild.digest import keys_of
from vbuild.near.kernel import threshold
from vbuild.recipes import recipe
from vbuild.stage import Phase, Stage, outputs
from vbuild.store.actions import Actions, encode
from vbuild.store.pairs import pairs


@dataclass(frozen=True, kw_only=True)
class Embedding(Stage):
    """Vectors that are given."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    size: int = 24
    of: str = "float32"

    @property
    def writes(self) -> Mapping[str, str]:
        """A vector."""
        return {"": f"vector[{self.size}, {self.of}]"}


class Vectors:
    """Vectors of which any may come to the store, be compared, and leave."""

    find = staticmethod(near_vectors)

    def __init__(self, root, vectors, of="float32"):
        self.vectors = np.asarray(vectors).astype(of)
        self.store(root, Embedding(size=self.vectors.shape[1], of=of), self.vectors)

    def store(self, root, stage, values):
        """What there is to be stored, and where."""
        made = recipe(stage)
        self.results = Actions(root).results(made, outputs(stage))
        self.pairs = pairs(root, made.id)
        rows = [{"": value} for value in values]
        n = len(rows)
        keys = [bytes(key) for key in np.arange(n, dtype=np.uint64).repeat(2).view("V16").tolist()]
        self.table = encode(stage, rows, keys=keys, warnings=[None] * n, seconds=0.0, build="b")
        self.digests = keys_of(self.table["digest__value"])
        self.chores: Counter[str] = Counter()

    def put(self, rows):
        """Vectors come to the store."""
        self.results.append(self.table.take(np.asarray(rows)))

    def drop(self, rows):
        """Vectors leave it."""
        self.results.delete(keys_of(self.table["key"].take(np.asarray(rows))))

    def run(self, chores):
        """Does chores, the last first, and what they leave; each is counted."""
        waiting = deque(chores)
        while waiting:
            chore = waiting.pop()
            self.chores[type(chore).__name__] += 1
            made = chore.run()
            if made.rest is not None:
                waiting.append(made.rest)
            yield made.table

    def compare(self, rows, reach, run=None):
        """Vectors are compared; says how many were new."""
        return complete(self.pairs, self.results, self.digests[np.asarray(rows)], reach, run or self.run, self.find)

    def uncompared(self, rows, reach):
        """How many are yet to be."""
        return uncompared(self.pairs, self.digests[np.asarray(rows)], reach)

    def found(self, rows, reach):
        """The pairs that the store knows of some of them, by their numbers, with their similarities."""
        rows = np.asarray(rows)
        a, b, similarity = self.pairs.edges(self.digests[rows], threshold(reach))
        sides = np.sort(np.stack([rows[a], rows[b]]), axis=0).T.tolist()
        assert len({tuple(side) for side in sides}) == len(sides)
        return dict(zip(map(tuple, sides), similarity.tolist(), strict=True))
