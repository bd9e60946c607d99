"""A vector of what happens in a clip, by Cosmos-Embed1, to which texts may be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from vbuild.errors import UsageError
from vbuild.fields import Kind, Vector
from vbuild.media.versions import PASSES
from vbuild.models import cosmos_embed1, devices, elsewhere, identity
from vbuild.stage import Clip, Frames, Phase, Row, Stage, knob, weights

if TYPE_CHECKING:
    import numpy as np

PINNED = {
    "nvidia/Cosmos-Embed1-224p": "85f56274be7ce439175b4587fa6e3525556d4832",
    "nvidia/Cosmos-Embed1-336p": "5d8309dd5c9ec8f856b16d589693004c907c9a57",
    "nvidia/Cosmos-Embed1-448p": "9f4ff4d8d3df0968276b2191806344000d6752a9",
}
"""Repository → the commit that is meant where no revision is given, whose code is run."""

SETTINGS = ("config.json", "processor_config.json", "preprocessor_config.json")


@dataclass(frozen=True, kw_only=True)
class CosmosEmbed1(Stage):
    """A unit vector, of as many numbers as the checkpoint's configuration says, of eight pictures of a clip.

    They lie evenly from the clip's first to its last, and are squashed to a square of the size that the checkpoint's
    configuration says; its own processor does the rest. None for a clip without a frame. Model and processor are the
    code that the checkpoint's repository brings; it may run in another interpreter, for it was written for older
    libraries.

    NVIDIA, Cosmos-Embed1: a joint video-text embedder for physical AI, 2025.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES, "cosmos_embed1": cosmos_embed1.VERSION}

    model: str = weights("nvidia/Cosmos-Embed1-336p")
    """The checkpoint: a repository of the hub, or a folder."""
    revision: str | None = weights(None)
    """Its commit; None: one that is known to serve, of another repository the last that was fetched."""
    trust_remote_code: bool = knob(False)
    """Whether the code that the checkpoint brings may run: without it there is no such model."""
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    python: str | None = knob(None)
    """The Python of the environment that the model runs in; None: this one."""
    device: str = knob("auto")
    """`cuda`, `mps` or `cpu`; `auto`: the first of them that there is."""
    attention: str = knob("auto")
    """How attention is computed, by transformers' name, if the checkpoint's code can; `auto`: as that thinks best."""
    compile: bool = knob(False)
    """Whether torch compiles what looks at pictures; worth it for many clips."""

    def __post_init__(self) -> None:
        """Names the commit that is meant."""
        if self.revision is None:
            object.__setattr__(self, "revision", PINNED.get(self.model))

    @property
    def writes(self) -> Mapping[str, Kind]:
        """The vector. Raises UsageError for a model that is not here."""
        return {"": Vector(self._setting("embed_dim"))}

    def asks(self) -> Frames:
        """Eight pictures of the network's size, the clip's last among them."""
        side = self._setting("resolution")
        return Frames(count=cosmos_embed1.FRAMES, ends=True, size=(side, side), kernel="bicubic")

    def models(self) -> Mapping[str, str]:
        """The checkpoint, with its code. Raises UsageError if it is not here."""
        return {"model": identity.of(self.model, self.revision)}

    def encoders(self) -> Mapping[str, str]:
        """The environment, where it is another, by the versions of what computes in it."""
        if self.python is None:
            return {}
        return {"python": ", ".join(f"{name} {version}" for name, version in elsewhere.about(self.python).items())}

    def check(self) -> None:
        """Raises UsageError where the code may not run, is not the checkpoint's own, or is for another transformers."""
        if not self.trust_remote_code:
            raise UsageError("trust_remote_code=false: the model is code of its repository; say true if you trust it")
        settings = self._settings()
        named = settings.get("auto_map", {})
        if foreign := sorted(str(name) for name in named.values() if "--" in str(name)):
            raise UsageError(
                f"model={self.model}: its config.json has code of another repository run ({foreign[0]}), of no commit "
                "in particular; copy that code into the folder, and take what stands before -- out of auto_map"
            )
        about = elsewhere.about(self.python) if self.python else elsewhere.here()
        if missing := [name for name in ("torch", "transformers") if name not in about]:
            raise UsageError(f"python={self.python or 'null'}: it lacks {missing[0]}; {MADE}")
        wanted, there = str(settings.get("transformers_version", "")), about["transformers"]
        if wanted and wanted.split(".")[0] != there.split(".")[0]:
            raise UsageError(
                f"python={self.python or 'null'}: its transformers is {there}, and the code of {self.model} is for "
                f"{wanted}, with whose successors it may give other vectors without a word; {MADE}"
            )

    def _settings(self) -> dict[str, Any]:
        """What the checkpoint's configuration says."""
        folder = identity.locate(self.model, self.revision).path
        found: dict[str, Any] = {}
        for file in (folder / name for name in reversed(SETTINGS)):
            if file.is_file():
                found |= json.loads(file.read_text(encoding="utf-8"))
        return found

    def _setting(self, name: str) -> int:
        """A number of the checkpoint's configuration; of a square the side."""
        value = self._settings().get(name)
        side = value[0] if isinstance(value, list) and len(set(value)) == 1 else value
        if not isinstance(side, int):
            raise UsageError(
                f"model={self.model}: {name} is {value!r} in {' and '.join(SETTINGS[:2])}; give a whole model"
            )
        return side

    def load(self) -> cosmos_embed1.Network | elsewhere.Elsewhere:
        """The network, here or in the other interpreter."""
        name, arguments = identity.pretrained(self.model, self.revision)
        given: dict[str, Any] = {"model": name, "loads": arguments, "dtype": self.dtype}
        given |= {"size": self._setting("resolution"), "dim": self._setting("embed_dim")}
        given |= {"attention": self.attention, "compiled": self.compile}
        if self.python is None:
            return cosmos_embed1.Network(**given, device=devices.chosen(self.device))
        file = Path(cosmos_embed1.__file__)
        return elsewhere.Elsewhere(self.python, file, "Network", **given, device=self.device)

    def run(self, clips: Sequence[Clip], model: cosmos_embed1.Network | elsewhere.Elsewhere) -> Iterable[Row]:
        """Unit vectors, float32."""
        import numpy as np

        pictures = [clip.frames.pixels for clip in clips if clip.frames is not None]
        there = [some for some in pictures if len(some)]
        vectors = iter(elsewhere.ask(model, "clips", np.stack(there)) if there else ())
        return [{"": next(vectors) if len(some) else None} for some in pictures]

    def embed_text(self, words: Sequence[str], model: cosmos_embed1.Network | elsewhere.Elsewhere) -> np.ndarray:
        """Of texts, cut to 128 tokens, unit vectors to compare with those of clips: float32 (n, size)."""
        found: np.ndarray = elsewhere.ask(model, "texts", list(words))
        return found

    def for_words(self) -> Self:
        """The stage with what matters to texts."""
        return replace(self, dtype="float32")

    def word_scale(self, model: cosmos_embed1.Network | elsewhere.Elsewhere) -> tuple[float, float, bool]:
        """How cosines become probabilities, which are shares of 1."""
        return float(elsewhere.ask(model, "scale")), 0.0, False


MADE = "`tools/cosmos-env FOLDER` makes the environment that it wants, and says what to give as python"
