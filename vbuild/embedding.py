"""What stages that embed clips with a network of transformers have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from vbuild.errors import UsageError
from vbuild.fields import Kind, Vector
from vbuild.media.versions import PASSES
from vbuild.models import checkpoints, encoders, identity
from vbuild.stage import Clip, Frames, Phase, Row, Stage, knob, lent, weights

if TYPE_CHECKING:
    import numpy as np

STAGES: Mapping[str, str] = {
    "clip": "clip", "siglip": "siglip", "siglip2": "naflex", "dinov2": "dinov2", "dinov3_vit": "dinov3",
    "dinov3_convnext": "dinov3", "xclip": "xclip", "vjepa2": "vjepa2", "videoprism": "videoprism",
    "pe_video": "pe_video", "pe_audio_video": "pe_video",
}  # fmt: skip
"""Type of a checkpoint → the stage that takes it."""


@dataclass(frozen=True, kw_only=True)
class Network(Stage):
    """A stage with an encoder of transformers."""

    phase: ClassVar[Phase] = "embed"
    hosted: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    uses: ClassVar[Mapping[str, int]] = {
        "passes": PASSES, "checkpoints": checkpoints.VERSION, "encoders": encoders.VERSION,
    }  # fmt: skip
    types: ClassVar[Sequence[str]] = ()
    """`model_type` of the checkpoints that it takes."""

    model: str = weights()
    """A repository of the hub, or a folder."""
    revision: str | None = weights(None)
    """A commit or a branch of the repository; null: what was fetched of it last."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """The numbers that it computes with."""
    device: str = knob("auto")
    """`cuda`, `mps` or `cpu`; `auto`: the first of them that there is."""
    attention: str = knob("auto")
    """How attention is computed, by transformers' name: sdpa, eager, flash_attention_2; `auto`: as it thinks best."""
    compile: bool = knob(False)
    """Whether torch compiles the network; worth it for many clips."""

    def models(self) -> Mapping[str, str]:
        """The weights. Raises UsageError if they are not here, or of another type."""
        self.checkpoint()
        return {"model": identity.of(self.model, self.revision)}

    def checkpoint(self) -> checkpoints.Checkpoint:
        """What its files say. Raises UsageError for a type that the stage does not take."""
        found = checkpoints.checkpoint(self.model, self.revision)
        if found.type not in self.types:
            other = f"; use stage {STAGES[found.type]}" if found.type in STAGES else ""
            takes = f"stage {self.title()} takes {', '.join(self.types)}"
            raise UsageError(f"model={self.model}: it is of the type {found.type}, and {takes}{other}")
        return found

    def sampled(self, *, count: int | None = None, fps: float | None = None) -> Frames:
        """Frames exactly as the network takes them."""
        wanted, count = self.checkpoint().pictures, count if fps is None else None
        if wanted.patches is not None:
            return Frames(count=count, fps=fps, patches=(wanted.size[0], wanted.patches), kernel=wanted.kernel)
        return Frames(
            count=count,
            fps=fps,
            size=wanted.size,
            fit="squash" if wanted.short_side is None else "crop",
            short_side=wanted.short_side,
            kernel=wanted.kernel,
            rounding="floor",
        )

    def load(self) -> encoders.Encoder:
        """The network."""
        return encoders.Encoder(
            self.model,
            self.revision,
            dtype=self.dtype,
            device=self.device,
            attention=self.attention,
            compiled=self.compile,
        )

    def embed_text(self, words: Sequence[str], model: encoders.Encoder) -> np.ndarray:
        """Unit vectors, float32 (n, width), of texts, to be compared with those of clips.

        Raises UsageError for a model that knows no words.
        """
        return model.texts(words)

    def knows_words(self) -> bool:
        """Whether there are such. Raises UsageError if the model's files are not here."""
        return self.checkpoint().type in encoders.TEXTS or not encoded(self)


@dataclass(frozen=True, kw_only=True)
class FrameEncoder(Network):
    """Embeds frames, and takes the middle of their unit vectors."""

    count: int = 8
    """Frames of a clip, evenly over it."""
    fps: float | None = None
    """Frames a second, instead of `count`."""

    def __post_init__(self) -> None:
        """Refuses none."""
        if self.count < 1 or (self.fps is not None and not self.fps > 0):
            raise UsageError(f"count={self.count}, fps={self.fps}: must be more than 0")

    def effective(self) -> Self:
        """With `fps` there is no count."""
        return self if self.fps is None else replace(self, count=type(self).count)

    @property
    def writes(self) -> Mapping[str, Kind]:
        """A unit vector."""
        return {"": Vector(self.checkpoint().width)}

    def asks(self) -> Frames:
        """Frames as the checkpoint's own processor makes them."""
        return self.sampled(count=self.count, fps=self.fps)

    def shape(self, clip: Clip) -> tuple[object, ...]:  # noqa: ARG002
        """Clips of any number of frames go together."""
        return ()

    def run(self, clips: Sequence[Clip], model: encoders.Encoder) -> Iterable[Row]:
        """A vector of each clip; None for a clip without a frame."""
        return [{"": encoders.mean(part)} for part in of_frames(clips, model)]


@dataclass(frozen=True, kw_only=True)
class VideoEncoder(Network):
    """Embeds frames together, as a video; of a clip with fewer frames some are seen twice."""

    count: int | None = None
    """Frames of a clip, evenly over it; null: as many as the checkpoint was trained with."""

    def __post_init__(self) -> None:
        """Refuses none."""
        if self.count is not None and self.count < 1:
            raise UsageError(f"count={self.count}: must be more than 0")

    @property
    def writes(self) -> Mapping[str, Kind]:
        """A unit vector."""
        return {"": Vector(self.checkpoint().width)}

    @property
    def frames(self) -> int:
        """How many the network is given."""
        return self.count or self.checkpoint().frames

    def asks(self) -> Frames:
        """Frames as the checkpoint's own processor makes them."""
        return self.sampled(count=self.frames)

    def shape(self, clip: Clip) -> tuple[object, ...]:  # noqa: ARG002
        """All are filled up to one length."""
        return ()

    def run(self, clips: Sequence[Clip], model: encoders.Encoder) -> Iterable[Row]:
        """A vector of each clip; None for a clip without a frame."""
        import numpy as np

        wanted = self.frames
        found = [pixels_of(clip) for clip in clips]
        filled = [pixels[np.arange(wanted) * len(pixels) // wanted] for pixels in found if len(pixels)]
        vectors = iter(model.videos(np.stack(filled)) if filled else ())
        return [{"": next(vectors) if len(pixels) else None} for pixels in found]


def named(label: str) -> str:
    """The field of a label: its letters and digits."""
    return re.sub(r"\W+", "_", label.lower()).strip("_")


def pixels_of(clip: Clip) -> np.ndarray:
    """The frames of a clip, uint8 (n, h, w, 3)."""
    assert clip.frames is not None
    return clip.frames.pixels


def of_frames(clips: Sequence[Clip], model: Any) -> list[np.ndarray]:
    """Of each clip the unit vectors of its frames, float32 (n, width); those of one shape run together."""
    import numpy as np

    found = [np.empty((0, model.checkpoint.width), np.float32)] * len(clips)
    alike: dict[tuple[int, ...], list[int]] = {}
    for n, clip in enumerate(clips):
        if len(pixels := pixels_of(clip)):
            alike.setdefault(pixels.shape[1:], []).append(n)
    for places in alike.values():  # of most models pictures have but one shape
        some = [pixels_of(clips[n]) for n in places]
        parts = np.split(model.images(np.concatenate(some)), np.cumsum([len(pixels) for pixels in some])[:-1])
        for n, vectors in zip(places, parts, strict=True):
            found[n] = vectors
    return found


@dataclass(frozen=True, kw_only=True)
class Reader(Stage):
    """Reads vectors that a network made, and asks nothing of the footage."""

    uses: ClassVar[Mapping[str, int]] = {"checkpoints": checkpoints.VERSION, "encoders": encoders.VERSION}

    model: str | None = weights(None)
    """The model that made the vectors, which its first port reads; null: that of the stage it reads."""
    revision: str | None = weights(None)
    """A commit or a branch of it."""
    batch: int = knob(256)

    def models(self) -> Mapping[str, str]:
        """The weights. Raises UsageError if they are not here."""
        return {"model": identity.of(self._named(), self.revision)}

    def _named(self) -> str:
        if self.model is None:
            raise UsageError(f"model: {self.title()} needs the model of the vectors that it reads; say which")
        return self.model

    def checkpoint(self) -> checkpoints.Checkpoint:
        """What the model's files say."""
        return checkpoints.checkpoint(self._named(), self.revision)

    def knows_words(self) -> bool:
        """Whether texts have vectors beside those that it reads. Raises UsageError as `checkpoint`."""
        return self.checkpoint().type in encoders.TEXTS

    def encoder(self, device: str = "cpu") -> encoders.Encoder:
        """The model, on the processor if nothing else is said."""
        return encoders.Encoder(self._named(), self.revision, dtype="float32", device=device, attention="auto")


class Scale(NamedTuple):
    """How a model's cosines of texts and clips become probabilities, as it was trained: `factor` * cosine + `shift`."""

    factor: float
    shift: float = 0.0
    apart: bool = False
    """Whether each text has a probability by itself; else they are shares of 1."""


@dataclass(frozen=True)
class Texts:
    """What makes vectors of texts beside those of clips."""

    vectors: Callable[[Sequence[str]], np.ndarray]
    """Unit vectors, float32 (n, width), of texts."""
    scale: Callable[[], Scale]
    """Raises PlaceError for a model that does not say."""


def encoded(stage: Stage) -> bool:
    """Whether the words of a stage's model go through `encoders.Encoder`, by the model's name alone."""
    return isinstance(stage, Network) and type(stage).embed_text is Network.embed_text


@dataclass(frozen=True, kw_only=True)
class Worded(Reader):
    """Compares texts with vectors of any stage that has `embed_text`, by that very stage where the name of a model of
    transformers is not enough.

    Such a stage may have `for_words()`, the stage with all that matters to texts and nothing else, `load_words()`, a
    part of its model that is enough for them, and `word_scale(model)`, what a `Scale` is made of.
    """

    device: str = knob("auto")
    """Where the model of words runs: `cuda`, `mps` or `cpu`; `auto`: as the stage that is read, or the first there
    is."""
    maker: Stage | None = lent()

    def effective(self) -> Self:
        """Of the stage that made the vectors, what matters to texts."""
        return self if self.maker is None else replace(self, maker=_for_words(self.maker))

    def models(self) -> Mapping[str, str]:
        """The weights. Raises UsageError if they are not here, or know no words."""
        if self.maker is not None:
            own = {} if self.model is None else {"model": identity.of(self.model, self.revision)}
            return {**self.maker.models(), **own}
        if self.model is None:
            raise UsageError(f"model: {self.title()} compares words, and nothing that it reads knows any; {WORDY} do")
        found = super().models()
        encoders.worded(self.model, checkpoints.kind_of(self.model, self.revision), WORDY)
        return found

    def check(self) -> None:
        """Raises UsageError where the model could not run."""
        if self.maker is not None:
            try:
                self.maker.check()
            except UsageError as error:
                raise UsageError(f"of: of the model of words, {error}") from error

    def texts(self) -> Texts:
        """The model's part for words."""
        if self.maker is None:
            encoder = self.encoder(self.device)
            apart = encoder.checkpoint.type in encoders.SIGLIPS
            return Texts(encoder.texts, lambda: Scale(*encoder.scale, apart))
        maker: Any = _for_words(self.maker)
        if self.device != "auto" and "device" in {f.name for f in fields(maker)}:
            maker = replace(maker, device=self.device)
        model = maker.load_words() if hasattr(maker, "load_words") else maker.load()
        return Texts(lambda words: maker.embed_text(words, model), lambda: Scale(*maker.word_scale(model)))

    def same_width(self, text: np.ndarray, clip: np.ndarray) -> None:
        """Raises UsageError for vectors (width,) that do not compare."""
        if len(text) != len(clip):
            raise UsageError(
                f"model={self.model}: its texts are vectors of {len(text)} numbers, and those that are read have "
                f"{len(clip)}; give the model that made them"
            )


WORDY = "clip, siglip, naflex, xclip, videoprism, pe_video, internvideo2, cosmos_embed1 and embed_server"
"""Stages whose models know words."""


def _for_words(stage: Any) -> Any:
    return stage.for_words() if hasattr(stage, "for_words") else stage
