"""What a classifier of pictures says of a clip's frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from vbuild.embedding import Network, named, of_frames
from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.models import checkpoints, encoders
from vbuild.stage import Clip, Frames, Phase, Row, weights

MOST = 64
"""Labels that become columns without being named."""


@dataclass(frozen=True, kw_only=True)
class Classifier(Network):
    """The probability of each label of a classifier of pictures: any of the hub, over a clip's frames.

    A column a label, by the letters and digits of the name that the checkpoint has for it. None for a clip without a
    frame. What one threshold decides is `where`'s.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"

    model: str = weights("Falconsai/nsfw_image_detection")
    fps: float = 1.0
    """Frames a second."""
    over: Literal["mean", "max"] = "mean"
    """What of the frames' probabilities is written."""
    labels: tuple[str, ...] = ()
    """Those that are written; none: all, if they are few."""

    def __post_init__(self) -> None:
        """Refuses no frames."""
        if not self.fps > 0:
            raise UsageError(f"fps={self.fps}: must be more than 0")

    def checkpoint(self) -> checkpoints.Checkpoint:
        """What the model's files say. Raises UsageError for one that is no classifier of pictures."""
        found = checkpoints.checkpoint(self.model, self.revision)
        kinds = [str(kind) for kind in found.config.get("architectures") or ()]
        if not any(kind.endswith("ForImageClassification") for kind in kinds):
            said = ", ".join(kinds) or "of no known kind"
            raise UsageError(f"model={self.model}: it is no classifier of pictures, but {said}; take one that is")
        return found

    def chosen(self) -> dict[str, int]:
        """Field → number of the label. Raises UsageError for labels that the model does not know, and for too many."""
        known = {str(name): int(number) for number, name in self.checkpoint().config.get("id2label", {}).items()}
        if unknown := [label for label in self.labels if label not in known]:
            raise UsageError(f"labels={unknown}: the model knows {', '.join([*known][:20])}")
        if not self.labels and len(known) > MOST:
            raise UsageError(f"labels: the model knows {len(known)}, such as {', '.join([*known][:5])}; say which")
        found = {named(label): known[label] for label in self.labels or known}
        if "" in found or len(found) != len(self.labels or known):
            raise UsageError("labels: two of them would have one column; say which are wanted")
        return found

    @property
    def writes(self) -> Mapping[str, Kind]:
        """A probability of each label."""
        return dict.fromkeys(self.chosen(), Scalar("float32"))

    def asks(self) -> Frames:
        """Frames as the checkpoint's own processor makes them."""
        return self.sampled(fps=self.fps)

    def shape(self, clip: Clip) -> tuple[object, ...]:  # noqa: ARG002
        """Clips of any number of frames go together."""
        return ()

    def load(self) -> encoders.Encoder:
        """The network."""
        return encoders.Classifying(
            self.model, self.revision, dtype=self.dtype, device=self.device, attention=self.attention,
            compiled=self.compile,
        )  # fmt: skip

    def run(self, clips: Sequence[Clip], model: encoders.Encoder) -> Iterable[Row]:
        """The probabilities of each clip."""
        chosen = self.chosen()
        for found in of_frames(clips, model):
            over = (found.mean(0) if self.over == "mean" else found.max(0)) if len(found) else None
            yield {name: None if over is None else over[number] for name, number in chosen.items()}
