"""Captions as T5 has them: a vector a token, for exports that a video model is trained with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from vbuild.errors import AnswerError, UsageError
from vbuild.fields import BlobField, Kind, List, Scalar
from vbuild.models import checkpoints, encoders, identity, t5
from vbuild.stage import Blob, Clip, Phase, Row, Stage, knob, weights

if TYPE_CHECKING:
    import numpy as np

    from vbuild.stage import Window


@dataclass(frozen=True, kw_only=True)
class T5(Stage):
    """The vectors of a clip's captions by the encoder of T5: float16 (tokens, width) of each window.

    They are one safetensors file a clip, in which the vectors of a window stand under its number, from "0" on: as many
    as its text has tokens, its end's among them, and not filled up to `max_tokens`. `tokens` tells how many of each
    window; 0 of one of which nothing was said, which is not in the file. Of the enhanced texts where there are. None
    for a clip of which nothing was said.

    By default it is the encoder of T5-11B, whose vectors of 1024 numbers Cosmos-Predict and NeMo's Cosmos Curator take.

    Raffel et al., Exploring the limits of transfer learning with a unified text-to-text transformer, 2020.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    types: ClassVar[Sequence[str]] = t5.TYPES
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"": ("",)}
    writes: ClassVar[Mapping[str, Kind]] = {"": BlobField(), "tokens": List(Scalar("int64"))}
    uses: ClassVar[Mapping[str, int]] = {
        "t5": t5.VERSION, "encoders": encoders.VERSION, "checkpoints": checkpoints.VERSION,
    }  # fmt: skip

    model: str = weights("google-t5/t5-11b")
    """A repository of the hub, or a folder, of the type t5, mt5 or umt5; of a whole model the encoder is loaded."""
    revision: str | None = weights(None)
    """A commit or a branch of the repository; null: what was fetched of it last."""
    max_tokens: int = 512
    """Tokens of a text, at most; what is longer is cut off at its end."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """The numbers that it computes with; those that are kept are float16."""
    device: str = knob("auto")
    """`cuda`, `mps` or `cpu`; `auto`: the first of them that there is."""
    attention: str = knob("auto")
    """How attention is computed, by transformers' name; `auto`: as it thinks best."""
    compile: bool = knob(False)
    """Whether torch compiles the encoder; worth it for many clips."""

    def __post_init__(self) -> None:
        """Refuses texts of nothing."""
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens={self.max_tokens}: must be 1 or more")

    def models(self) -> Mapping[str, str]:
        """The weights. Raises UsageError if they are not here, or of another type."""
        t5.check(self.model, self.revision)
        return {"model": identity.of(self.model, self.revision)}

    def load(self) -> t5.Tower:
        """The encoder."""
        return t5.Tower(
            self.model, self.revision, dtype=self.dtype, device=self.device, attention=self.attention,
            compiled=self.compile,
        )  # fmt: skip

    def run(self, clips: Sequence[Clip], model: t5.Tower) -> Iterable[Row | Exception]:
        """The vectors of each clip's windows; a clip of which one is more than float16 can be has none."""
        windows: list[Sequence[Window]] = [clip.columns[""][""] or () for clip in clips]
        texts = [[window.enhanced or window.text or "" for window in some] for some in windows]
        vectors = iter(model.vectors([text for some in texts for text in some if text], self.max_tokens))
        for some in texts:
            yield _row([next(vectors) if text else None for text in some])


def _row(vectors: Sequence[np.ndarray | None]) -> Row | Exception:
    """What is kept of the vectors of a clip's windows."""
    import numpy as np
    from safetensors.numpy import save

    said = {str(n): one for n, one in enumerate(vectors) if one is not None}
    if not said:
        return {"": None, "tokens": None}
    if not all(np.isfinite(one).all() for one in said.values()):
        return AnswerError("a text's vectors are more than float16 can be, or no numbers; compute with dtype=float32")
    tokens = [0 if one is None else len(one) for one in vectors]
    return {"": Blob(save(said), ".safetensors"), "tokens": tokens}
