"""An embedding of a clip, of the vectors of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vbuild.embedding import Reader
from vbuild.fields import Kind, Vector
from vbuild.models import encoders
from vbuild.stage import Clip, Phase, Row

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Pool(Reader):
    """A unit vector in the middle of those that `clip_frames` has of a clip's frames; no network runs.

    None for a clip without a frame. Texts can be searched by it where the model knows words.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"frames": ("vectors",)}

    @property
    def writes(self) -> Mapping[str, Kind]:
        """A unit vector."""
        return {"": Vector(self.checkpoint().width)}

    def run(self, clips: Sequence[Clip], model: object) -> Iterable[Row]:  # noqa: ARG002
        """The middle of each clip's vectors."""
        for clip in clips:
            vectors: np.ndarray = clip.columns["frames"]["vectors"]
            yield {"": encoders.mean(vectors)}
