"""Which clips are of a kind, by their embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vbuild.decisions.decision import Decision
from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.stage import Phase


@dataclass(frozen=True, kw_only=True)
class Cluster(Decision):
    """Puts each clip into one of `k` clusters by its embedding, with the cosine distance to the middle of it.

    Spherical k-means (Dhillon and Modha, 2001): middles are unit vectors, found from a sample of the vectors of the
    clips that are left where it stands, those of the lowest digests, in order of their digests; seeded by k-means++. So
    the columns follow from the clips and these parameters alone, whatever came first, and whoever computed it; and for
    the same reason other clips may make other clusters, unless `centroids` holds them fast. Clusters are numbered by
    size, the largest of the sample is 0; bit-equal vectors count once. A clip without a vector, or dropped before, has
    null.

    It is in no key, and what was found is remembered beside the store's results: another build asks only for what is
    new. Of a million vectors of 768 numbers and 1000 clusters that takes, at most, some 70 seconds of one processor to
    find the middles, and 25 to find the nearest of each (scaled from a tenth).
    """

    phase: ClassVar[Phase] = "balance"
    adds: ClassVar[Mapping[str, Kind]] = {"": Scalar("int32"), "distance": Scalar("float32")}

    of: str | None = None
    """The instance whose vectors it goes by."""
    k: int | None = None
    """Clusters; fewer where there are not as many vectors. null: the square root of the number of vectors."""
    seed: int = 0
    """Another one begins the search elsewhere."""
    sample: int = 65536
    """Vectors, at most, of which the middles are found."""
    rounds: int = 25
    """Steps of the search, at most; it ends where nothing moves."""
    centroids: Path | None = None
    """A .npy file of k vectors to take instead of searching, such as one that a former build left: clusters then stay
    what they are, whatever is added. `seed`, `sample` and `rounds` mean nothing then; `k` must be null, or theirs."""

    def __post_init__(self) -> None:
        """Refuses clusters of nothing."""
        for name in ("k", "sample", "rounds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: must be 1 or more")
        if self.k is not None and self.k > self.sample:
            raise UsageError(f"k={self.k}: a sample of {self.sample} vectors has no more clusters; raise sample")
        if self.seed < 0:
            raise UsageError(f"seed={self.seed}: must be 0 or more")
