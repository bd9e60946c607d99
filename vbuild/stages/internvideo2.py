"""A vector of what happens in a clip, by InternVideo2 of stage 2, to which texts may be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vbuild.errors import UsageError
from vbuild.fields import Kind, Vector
from vbuild.media.versions import PASSES
from vbuild.models import devices, identity, internvideo2
from vbuild.stage import Clip, Frames, Phase, Row, Sampled, Stage, knob, weights

if TYPE_CHECKING:
    import numpy as np

PINNED = {
    "OpenGVLab/InternVideo2-Stage2_1B-224p-f4": "4362e1f88a992e7edbfd7696f7f78b7f79426dfd",
    "google-bert/bert-large-uncased": "6da4b6a26a1877e173fca3225479512db81a5e5b",
}
"""Repository → the commit that is meant where no revision is given."""


@dataclass(frozen=True, kw_only=True)
class InternVideo2(Stage):
    """A unit vector of 512 numbers of four pictures of a clip; None for a clip without a frame.

    Pictures are squashed to 224 x 224 pixels and normalised as ImageNet's are. The vector is that of the vision tower's
    attention pool, projected; texts go through the text tower, the first layers of a BERT, and are projected too.

    Wang et al., InternVideo2: Scaling Foundation Models for Multimodal Video Understanding, 2024.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = {"": Vector(internvideo2.DIM)}
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "internvideo2": internvideo2.VERSION}

    model: str = weights("OpenGVLab/InternVideo2-Stage2_1B-224p-f4")
    """The checkpoint: a repository of the hub, a folder with one .pt file, or the file."""
    revision: str | None = weights(None)
    """Its commit; None: one that is known to serve, of another repository the last that was fetched."""
    text: str = weights("google-bert/bert-large-uncased")
    """The BERT that the text tower was made from, whose configuration and words are taken: a repository or a folder."""
    text_revision: str | None = weights(None)
    heads: int = 16
    """Heads of attention in the vision tower, of which a checkpoint says nothing: 25 in that of 6B."""
    sampling: Literal["middles", "curator"] = "middles"
    """Which four: the middles of four equal parts, as the model was judged by those who made it; or, of two a second,
    each n-th from the first on, n being a quarter of how many there are, as NeMo Curator takes them."""
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    device: str = knob("auto")
    """`cuda`, `mps` or `cpu`; `auto`: the first of them that there is."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = knob("auto")
    """How the vision tower's attention is computed, by transformers' names; `auto`: as torch thinks best."""
    compile: bool = knob(False)
    """Whether torch compiles the vision tower; worth it for many clips."""

    def __post_init__(self) -> None:
        """Names the commits that are meant. Raises UsageError for a number of heads that is none."""
        if self.heads < 1:
            raise UsageError(f"heads={self.heads}: must be more than 0")
        for name, revision in (("model", "revision"), ("text", "text_revision")):
            if getattr(self, revision) is None:
                object.__setattr__(self, revision, PINNED.get(getattr(self, name)))

    def asks(self) -> Frames:
        """Four pictures of the network's size, or more of which four are taken."""
        if self.sampling == "curator":
            return Frames(fps=2.0, size=internvideo2.SIZE, kernel="bilinear")
        return Frames(count=internvideo2.FRAMES, size=internvideo2.SIZE, kernel="bilinear")

    def models(self) -> Mapping[str, str]:
        """Checkpoint and BERT. Raises UsageError for what is not here."""
        return {
            "model": identity.of(self.model, self.revision),
            "text": identity.of(self.text, self.text_revision),
        }

    def load(self) -> internvideo2.Network:
        """Both towers."""
        return internvideo2.Network(
            self._file(), self._text, heads=self.heads, dtype=self.dtype, device=devices.chosen(self.device),
            attention=self.attention, compiled=self.compile,
        )  # fmt: skip

    def _file(self) -> Path:
        return _file(identity.locate(self.model, self.revision).path)

    def _text(self) -> tuple[Any, Any]:
        from transformers import AutoTokenizer, BertConfig

        name, arguments = identity.pretrained(self.text, self.text_revision)
        config = BertConfig.from_pretrained(name, **arguments)
        return config, AutoTokenizer.from_pretrained(name, **arguments)

    def prepare(self, clip: Clip) -> Clip:
        """Leaves four of a clip's pictures."""
        found = clip.frames
        if found is None or not len(found.times) or self.sampling == "middles":
            return clip
        chosen = chosen_by_curator(len(found.times))
        return replace(clip, frames=Sampled(found.pixels[chosen], found.times[chosen]))

    def run(self, clips: Sequence[Clip], model: internvideo2.Network) -> Iterable[Row]:
        """Unit vectors, float32 (512,)."""
        import numpy as np

        pictures = [clip.frames.pixels for clip in clips if clip.frames is not None]
        there = [some for some in pictures if len(some)]
        vectors = iter(model.clips(np.stack(there)) if there else ())
        return [{"": next(vectors) if len(some) else None} for some in pictures]

    def embed_text(self, words: Sequence[str], model: internvideo2.Words) -> np.ndarray:
        """Of texts, cut to 40 tokens, unit vectors to compare with those of clips: float32 (n, 512)."""
        return model.texts(words)

    def for_words(self) -> InternVideo2:
        """The stage with what matters to texts."""
        return replace(self, heads=InternVideo2.heads, sampling=InternVideo2.sampling, dtype="float32")

    def load_words(self) -> internvideo2.Words:
        """The text tower."""
        return internvideo2.Words(self._file(), self._text, dtype=self.dtype, device=devices.chosen(self.device))

    def word_scale(self, model: internvideo2.Words) -> tuple[float, float, bool]:
        """How cosines become probabilities, which are shares of 1."""
        return model.scale, 0.0, False


def chosen_by_curator(count: int) -> list[int]:
    """Which four of so many pictures NeMo Curator takes; of fewer than four, evenly, some of them more than once."""
    step = count // internvideo2.FRAMES
    if step:
        return list(range(0, step * internvideo2.FRAMES, step))
    return [n * count // internvideo2.FRAMES for n in range(internvideo2.FRAMES)]


def _file(path: Path) -> Path:
    """The checkpoint in a folder. Raises UsageError if there is none, or more than one."""
    found = [path] if path.is_file() else sorted(path.glob("*.pt"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise UsageError(f"model={path}: one .pt file is wanted there, and there is {names}; give the file's path")
    return found[0]
