"""An embedding of what a clip shows in its own shape, by SigLIP 2's NaFlex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from vbuild.embedding import FrameEncoder
from vbuild.errors import UsageError
from vbuild.stage import Frames, weights


@dataclass(frozen=True, kw_only=True)
class NaFlex(FrameEncoder):
    """A unit vector of what a clip shows, by SigLIP 2's NaFlex: the middle of its frames' vectors.

    Pictures keep their shape, tall or wide, and are as large as so many patches allow. Words have vectors beside those
    of frames: the larger the cosine, the better a text fits.

    Tschannen et al., SigLIP 2: multilingual vision-language encoders, 2025.
    """

    version: ClassVar[int] = 1
    types: ClassVar[Sequence[str]] = ("siglip2",)

    model: str = weights("google/siglip2-base-patch16-naflex")
    patches: int | None = None
    """Patches of a picture, at most: more see finer things, and cost more; null: as the checkpoint's files say, 256."""

    def __post_init__(self) -> None:
        """Refuses pictures of nothing."""
        super().__post_init__()
        if self.patches is not None and self.patches < 1:
            raise UsageError(f"patches={self.patches}: must be 1 or more")

    def effective(self) -> Self:
        """As many patches as the checkpoint says are none that are said."""
        told = super().effective()
        return replace(told, patches=None) if self.patches == self.checkpoint().pictures.patches else told

    def sampled(self, *, count: int | None = None, fps: float | None = None) -> Frames:
        """Frames exactly as the network takes them."""
        frames = super().sampled(count=count, fps=fps)
        assert frames.patches is not None
        return replace(frames, patches=(frames.patches[0], self.patches or frames.patches[1]))
