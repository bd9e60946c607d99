"""How well texts fit a clip, by their vectors and the clip's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from vbuild.embedding import Scale, Worded, named
from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.stage import Clip, Phase, Row

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Tags(Worded):
    """Of each label how well it fits a clip, and in the instance's own column the one that fits best.

    Reads an embedding of a model that knows words, by `of`: of `clip`, `siglip`, `naflex`, `xclip`, `videoprism`,
    `pool`, `pe_video`, `internvideo2`, `cosmos_embed1`, `embed_server`, or of a stage of your own with `embed_text`.
    Other labels run the model on words alone. None for a clip without an embedding.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    hosted: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"vector": ("",)}

    labels: tuple[str, ...] = ()
    """Texts; the column of one is called by its letters and digits."""
    prompt: str = "a photo of {}"
    """What the model is given, with the label in place of {}."""
    scale: Literal["probability", "cosine"] = "probability"
    """`probability`: by the model's own scale, as it was trained; of SigLIP each label by itself, of others among the
    labels, where they come to 1; pe_video and servers tell of none. `cosine`: that of the vectors."""

    def __post_init__(self) -> None:
        """Refuses labels that have no column of their own, and a prompt without a place for them."""
        columns = [named(label) for label in self.labels]
        twice = [label for label, name in zip(self.labels, columns, strict=True) if columns.count(name) > 1]
        if twice or "" in columns:
            raise UsageError(f"labels={twice or list(self.labels)}: each needs letters of its own, for its column")
        if "{}" not in self.prompt:
            raise UsageError(f"prompt={self.prompt!r}: say with {{}} where the label goes")

    @property
    def writes(self) -> Mapping[str, Kind]:
        """A number of each label."""
        return {"": Scalar("string"), **dict.fromkeys(map(named, self.labels), Scalar("float32"))}

    def models(self) -> Mapping[str, str]:
        """The weights. Raises UsageError if they are not here, and without labels."""
        if not self.labels:
            raise UsageError("labels: say which, as in labels=[indoors,outdoors]")
        if self.scale == "probability" and self.maker is not None and not hasattr(self.maker, "word_scale"):
            name = self.maker.title()
            raise UsageError(f"scale=probability: {name} has no scale of its model that makes it one; say cosine")
        return super().models()

    def load(self) -> tuple[np.ndarray, Scale | None]:
        """The vectors of the labels, and the scale of the model where it is wanted."""
        texts = self.texts()
        words = [self.prompt.replace("{}", label) for label in self.labels]
        return texts.vectors(words), texts.scale() if self.scale == "probability" else None

    def run(self, clips: Sequence[Clip], model: tuple[np.ndarray, Scale | None]) -> Iterable[Row]:
        """How well each label fits each clip."""
        import numpy as np

        texts, scale = model
        for clip in clips:
            vector = clip.columns["vector"][""]
            if vector is None:
                yield dict.fromkeys(self.writes)
                continue
            self.same_width(texts[0], vector)
            found = np.einsum("nw,w->n", texts.astype(np.float64), vector.astype(np.float64))
            best = self.labels[int(found.argmax())]
            if scale is not None:
                strong = found * scale.factor + scale.shift
                spread = np.exp(strong - strong.max())
                found = 1 / (1 + np.exp(-strong)) if scale.apart else spread / spread.sum()
            yield {"": best, **dict(zip(map(named, self.labels), found.tolist(), strict=True))}
