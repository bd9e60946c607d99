"""What stages have in common that ask a chat model: which one, where it runs, and how it chooses its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vbuild.errors import UsageError
from vbuild.models import identity
from vbuild.models.messages import Sampling
from vbuild.models.server import Server
from vbuild.stage import knob, weights

Dtype = Literal["bfloat16", "float16", "float32"]


@dataclass(frozen=True, kw_only=True)
class Talking:
    """A chat model, in this machine's memory or at a server."""

    model: str | None = weights(None)
    """A repository of the hub or a folder, for a model that is loaded here."""
    revision: str | None = weights(None)
    """The commit of the repository."""
    served: str | None = None
    """The model's name at the server, for one that is asked there. Such a name may come to mean other weights, of which
    nothing is known here: give names with a version."""
    server: Server | None = knob(None)
    """Where that is, and how much may be asked of it."""
    sampling: Sampling = Sampling()
    dtype: Dtype = "bfloat16"
    """Of the model's numbers, where it is loaded here; by default as such models are published, on every machine."""
    device: str = knob("auto")
    """`cuda`, `mps` or `cpu`; `auto`: the first that there is."""
    attention: str = knob("sdpa")
    """How attention is computed, as transformers calls it."""
    compile: bool = knob(False)
    """Whether torch compiles the model; worth it for many clips."""

    def __post_init__(self) -> None:
        """Refuses no model, and more than one."""
        if (self.model is None) == (self.served is None):
            raise UsageError("model: give either model, which is loaded here, or served, which a server has")
        if (self.served is None) != (self.server is None):
            raise UsageError("server: a model that is served needs a server, and only that; give both or neither")

    @property
    def called(self) -> str:
        """The model's name."""
        return self.model or self.served or ""

    def models(self) -> Mapping[str, str]:
        """The identity of what is loaded here."""
        return {} if self.model is None else {"model": identity.of(self.model, self.revision)}

    def check(self) -> None:
        """Raises UsageError where the server could not be asked."""
        if self.server is not None:
            try:
                self.server.check()
            except UsageError as error:
                raise UsageError(f"server.{error}") from error

    def arguments(self) -> dict[str, Any]:
        """What a network in this process is made with."""
        from vbuild.models import devices

        assert self.model is not None
        source, arguments = identity.pretrained(self.model, self.revision)
        return {
            "source": source, "arguments": arguments, "dtype": self.dtype, "device": devices.chosen(self.device),
            "attention": self.attention, "compiled": self.compile,
        }  # fmt: skip

    def chat(self) -> Any:
        """The model at the server."""
        from vbuild.models.chat import Chat

        assert self.server is not None
        assert self.served is not None
        return Chat(self.server, self.served)
