"""How pleasing a clip looks, by LAION's predictor on the vectors of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vbuild.fields import Kind, Scalar
from vbuild.models import aesthetic, identity
from vbuild.stage import Clip, Phase, Row, Stage, knob, weights

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Aesthetic(Stage):
    """A score of about 1 to 10, of vectors of CLIP L/14 that `clip_frames` made: mean over frames, and the least.

    Raters of pictures gave the scores that the predictor was trained with; published datasets keep clips whose mean is
    4.5 or 5 and more. None for a clip without a frame.

    Schuhmann, improved aesthetic predictor (sac+logos+ava1-l14-linearMSE), 2022.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    hosted: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"frames": ("vectors",)}
    writes: ClassVar[Mapping[str, Kind]] = {"": Scalar("float32"), "min": Scalar("float32")}
    uses: ClassVar[Mapping[str, int]] = {"aesthetic": aesthetic.VERSION}

    model: str = weights("ttj/sac-logos-ava1-l14-linearMSE")
    """The predictor: a repository of the hub, a folder, or the original's file (.pth)."""
    revision: str | None = weights(None)
    """A commit or a branch of the repository; null: what was fetched of it last."""
    batch: int = knob(256)

    def models(self) -> Mapping[str, str]:
        """The predictor's weights. Raises UsageError if they are not here."""
        return {"model": identity.of(self.model, self.revision)}

    def load(self) -> aesthetic.Predictor:
        """The predictor."""
        return aesthetic.Predictor(self.model, self.revision)

    def run(self, clips: Sequence[Clip], model: aesthetic.Predictor) -> Iterable[Row]:
        """The scores of each clip."""
        for clip in clips:
            vectors: np.ndarray = clip.columns["frames"]["vectors"]
            scores = model.scores(vectors)
            yield {"": scores.mean(), "min": scores.min()} if len(scores) else {"": None, "min": None}
