"""An embedding of what happens in a clip, by Perception Encoder AV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vbuild.embedding import VideoEncoder
from vbuild.media.versions import PASSES
from vbuild.models import checkpoints, encoders, pe_video
from vbuild.stage import Frames, weights

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class PeVideo(VideoEncoder):
    """A unit vector of what happens in a clip, by the video part of Perception Encoder AV.

    Its frames lie evenly from the clip's first to its last, each has a vector by the vision tower of Perception
    Encoder, and a network looks at these together. Words have vectors beside those of clips. Of a checkpoint what is
    for sound is not loaded.

    Bolya et al., Perception Encoder, 2025; Vyas et al., Pushing the frontier of audiovisual perception with large-scale
    multimodal correspondence learning, 2025.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("pe_audio_video", "pe_video")
    uses: ClassVar[Mapping[str, int]] = {
        "passes": PASSES, "checkpoints": checkpoints.VERSION, "encoders": encoders.VERSION,
        "pe_video": pe_video.VERSION,
    }  # fmt: skip

    model: str = weights("facebook/pe-av-large")

    def asks(self) -> Frames:
        """Frames of the network's size, the clip's first and last among them."""
        frames = super().asks()
        return frames if self.frames == 1 else replace(frames, ends=True)

    def load(self) -> Any:
        """The network."""
        return pe_video.Network(
            self.model,
            self.revision,
            dtype=self.dtype,
            device=self.device,
            attention=self.attention,
            compiled=self.compile,
        )

    def embed_text(self, words: Sequence[str], model: Any) -> np.ndarray:
        """Unit vectors, float32 (n, width), of texts, to be compared with those of clips."""
        found: np.ndarray = model.texts(words)
        return found

    def for_words(self) -> Self:
        """The stage with what matters to texts."""
        return replace(self, count=None, dtype="float32")
