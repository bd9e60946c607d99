"""An embedding of what a clip shows, or of what was said of it, by a server's model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from vbuild.errors import UsageError
from vbuild.fields import Kind, Vector
from vbuild.media.versions import PASSES, STILLS
from vbuild.models import embeddings, server
from vbuild.models.embeddings import Embeddings, Form
from vbuild.models.server import Server
from vbuild.stage import Clip, Frames, Phase, Row, Stage, knob

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class EmbedServer(Stage):
    """A unit vector of a clip's pictures, or of a text of it, by any server with OpenAI's `/v1/embeddings`.

    Of pictures or windows that have a vector each it is the middle of their unit vectors. Texts have vectors beside it,
    by the same server. None for a clip without a frame, or without a word.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    uses: ClassVar[Mapping[str, int]] = {
        "passes": PASSES, "stills": STILLS, "server": server.VERSION, "embeddings": embeddings.VERSION,
    }  # fmt: skip

    served: str = "Qwen/Qwen3-VL-Embedding-2B"
    """The model's name at the server. Such a name may come to mean other weights, of which nothing is known here: give
    names with a version."""
    server: Server = knob(Server(base_url="http://127.0.0.1:8000/v1"))
    """Where that is, and how much may be asked of it."""
    width: int = 2048
    """Numbers of the model's vectors."""
    shorten: bool = False
    """Whether the server is asked for vectors of `width` numbers, by a model that has them in several lengths."""
    payload: Literal["pictures", "text"] = "pictures"
    """What the vector is of: the clip's pictures, or the caption or the text that `of` names."""
    form: Form = "messages"
    """How pictures are sent: `messages`, as vLLM takes them, each by itself; `together`, all of a clip in one message,
    for a model that has one vector for many pictures; `items`, as Jina takes them."""
    instruction: str = ""
    """What the model is told beside pictures, or before a text, if it was trained to be told."""
    query: str = knob("{}")
    """How a text that is searched for is written, with the text in place of {}."""
    count: int = 8
    """Frames of a clip, evenly over it."""
    fps: float | None = None
    """Frames a second, instead of `count`."""
    short_side: int = 448
    """Pixels to which the shorter side of the picture is shrunk."""
    quality: int = 90
    """Of the jpegs that are sent, 0 to 100."""
    batch: int = knob(64)

    def __post_init__(self) -> None:
        """Refuses what nothing could be asked with."""
        for name in ("width", "count", "short_side"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)}: must be 1 or more")
        if self.fps is not None and not self.fps > 0:
            raise UsageError(f"fps={self.fps}: must be more than 0")
        if not 0 <= self.quality <= 100:
            raise UsageError(f"quality={self.quality}: must be from 0 to 100")
        if "{}" not in self.query:
            raise UsageError(f"query={self.query!r}: say with {{}} where the text goes")

    def effective(self) -> EmbedServer:
        """The stage with what has an effect on what is sent."""
        if self.payload == "text":
            of = EmbedServer
            told = replace(self, count=of.count, fps=None, short_side=of.short_side, quality=of.quality)
            return told if self.form == "items" else replace(told, form="messages")
        return self if self.fps is None else replace(self, count=EmbedServer.count)

    @property
    def writes(self) -> Mapping[str, Kind]:
        """A unit vector."""
        return {"": Vector(self.width)}

    @property
    def reads(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The caption or the text, where that is sent."""
        return {"": ("",)} if self.payload == "text" else {}

    def asks(self) -> Frames | None:
        """Frames; nothing where a text is sent."""
        if self.payload == "text":
            return None
        count = self.count if self.fps is None else None
        return Frames(count=count, fps=self.fps, short_side=self.short_side, kernel="bicubic")

    def check(self) -> None:
        """Raises UsageError where the server could not be asked."""
        try:
            self.server.check()
        except UsageError as error:
            raise UsageError(f"server.{error}") from error

    def prepare(self, clip: Clip) -> Clip:
        """Jpegs of the frames."""
        if clip.frames is None:
            return clip
        from vbuild.media.images import image

        made = tuple(image(pixels[..., ::-1], "jpeg", self.quality) for pixels in clip.frames.pixels)
        return replace(clip, frames=None, made=made)

    def shape(self, clip: Clip) -> tuple[object, ...]:  # noqa: ARG002
        """All go together."""
        return ()

    def load(self) -> Embeddings:
        """The way to the server."""
        return Embeddings(self.server, self.served, self.width, form=self.form, shorten=self.shorten)

    def run(self, clips: Sequence[Clip], model: Embeddings) -> Iterable[Row | Exception]:
        """The vector of each clip, or why it has none."""
        if self.payload == "text":
            found = model.of_texts([[self.instruction + text for text in texts(clip)] for clip in clips])
        else:
            found = model.of_pictures([clip.made or () for clip in clips], self.instruction)
        return [one if isinstance(one, Exception) else {"": middle(one)} for one in found]

    def embed_text(self, words: Sequence[str], model: Embeddings) -> np.ndarray:
        """Unit vectors, float32 (n, width), of texts, to be compared with those of clips.

        Raises what the server says why it has none.
        """
        (found,) = model.of_texts([[self.query.replace("{}", text) for text in words]])
        if isinstance(found, Exception):
            raise found
        return found

    def for_words(self) -> EmbedServer:
        """The stage with what matters to texts, which are sent as they are."""
        of = EmbedServer
        told = replace(self, payload="text", instruction="", query="{}").effective()
        return replace(told, payload=of.payload)


def texts(clip: Clip) -> list[str]:
    """What was said of a clip: its windows', the enhanced ones where there are, or one text."""
    said = clip.columns[""][""] or ()
    every = [said] if isinstance(said, str) else [window.enhanced or window.text for window in said]
    return [text for text in every if text]


def middle(vectors: np.ndarray) -> np.ndarray | None:
    """The unit vector in the middle of unit vectors (n, width); None of none."""
    import numpy as np

    return embeddings.units(vectors.astype(np.float64).mean(0)) if len(vectors) else None
