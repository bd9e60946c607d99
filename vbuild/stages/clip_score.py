"""How well captions fit what a clip shows, by the clip's vector and theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vbuild.embedding import Texts, Worded
from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.stage import Clip, Phase, Row

if TYPE_CHECKING:
    import numpy as np

    from vbuild.stage import Window

WEIGHT = 2.5
"""What the paper multiplies the cosine by, so that scores lie in about 0..1."""


@dataclass(frozen=True, kw_only=True)
class ClipScore(Worded):
    """CLIPScore of a clip's captions: 2.5 times the cosine of the clip's vector and the text's, and 0 below 0.

    Over the clip's windows the mean, and in the column `min` the worst, which finds a window that was made up. Of the
    enhanced texts where there are. The vector is that of the whole clip, read of an embedding of a model that knows
    words (`clip`, `siglip`, `naflex`, `xclip`, `videoprism`, `pool`, `pe_video`, `internvideo2`, `cosmos_embed1`,
    `embed_server`, or a stage of your own with `embed_text`); only the model's tower for words runs. A text is cut to
    as many tokens as that takes, 77 of CLIP and 64 of SigLIP: of a longer caption its beginning is judged.
    Numbers of two models do not compare. None for a clip without a vector, or of which nothing was said.

    Hessel et al., CLIPScore: a reference-free evaluation metric for image captioning, 2021.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"vector": ("",), "caption": ("",)}
    writes: ClassVar[Mapping[str, Kind]] = {"": Scalar("float32"), "min": Scalar("float32")}

    prompt: str = "A photo depicts {}"
    """What the model is given, with the caption in place of {}; the paper's."""

    def __post_init__(self) -> None:
        """Refuses a prompt without a place for the caption."""
        if "{}" not in self.prompt:
            raise UsageError(f"prompt={self.prompt!r}: say with {{}} where the caption goes")

    def load(self) -> Texts:
        """The model's part for words."""
        return self.texts()

    def run(self, clips: Sequence[Clip], model: Texts) -> Iterable[Row]:
        """The scores of each clip."""
        said = [self._texts(clip) for clip in clips]
        vectors = iter(model.vectors([text for texts in said for text in texts]) if any(said) else ())
        for clip, texts in zip(clips, said, strict=True):
            scores = [self._score(next(vectors), clip.columns["vector"][""]) for _ in texts]
            yield {"": sum(scores) / len(scores), "min": min(scores)} if scores else {"": None, "min": None}

    def _texts(self, clip: Clip) -> list[str]:
        """What is judged of a clip."""
        windows: Sequence[Window] = clip.columns["caption"][""] or ()
        texts = [window.enhanced or window.text for window in windows]
        there = clip.columns["vector"][""] is not None
        return [self.prompt.replace("{}", text) for text in texts if text] if there else []

    def _score(self, text: np.ndarray, clip: np.ndarray) -> float:
        self.same_width(text, clip)
        return score(text, clip)


def score(text: np.ndarray, clip: np.ndarray) -> float:
    """CLIPScore of two vectors (width,)."""
    import numpy as np

    one, other = text.astype(np.float64), clip.astype(np.float64)
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return WEIGHT * max(float(one @ other) / max(lengths, 1e-12), 0.0)
