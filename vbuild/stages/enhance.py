"""Captions written anew by a language model, longer and richer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vbuild import fields
from vbuild.models import chat, generation, llm, messages, prompts, server
from vbuild.models.messages import Answer, Prompt
from vbuild.stage import Clip, Phase, Row, Stage, Window, knob, weights
from vbuild.talking import Talking


@dataclass(frozen=True, kw_only=True)
class Enhance(Talking, Stage):
    """The captions that it reads, each window's with an enhanced text beside the first one.

    Windows of which nothing was said stay as they are, and so does one that the model, or its server, will not enhance.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"": ("",)}
    writes: ClassVar[Mapping[str, fields.Kind]] = {"": fields.Caption()}
    uses: ClassVar[Mapping[str, int]] = {
        "messages": messages.VERSION, "prompts": prompts.VERSION, "generation": generation.VERSION,
        "llm": llm.VERSION, "server": server.VERSION, "chat": chat.VERSION,
    }  # fmt: skip

    model: str | None = weights("Qwen/Qwen2.5-14B-Instruct")
    """A repository of the hub or a folder, for a model that is loaded here; null for one that is served."""
    prompt: str = "default"
    """What the model is told to do with each caption: `default`, `av-surveillance`, or a text. `{motion_mean}` in it is
    the clip's own value in that column, of a stage or of the source's list."""
    batch: int = knob(32)

    def __post_init__(self) -> None:
        """Refuses what the model could not be told."""
        Talking.__post_init__(self)
        self.told()

    def effective(self) -> Enhance:
        """The stage with what has an effect where its model is."""
        named = {text: name for name, text in prompts.ENHANCE.items()}
        told = replace(self, prompt=named.get(self.prompt, self.prompt))
        return replace(told, dtype=Enhance.dtype) if self.served is not None else told

    @property
    def mentions(self) -> Sequence[str]:
        """The columns that the prompt names."""
        return prompts.mentions(self.told())

    def told(self) -> str:
        """The prompt."""
        return prompts.chosen("prompt", self.prompt, prompts.ENHANCE)

    def load(self) -> Any:
        """The model, or the way to its server."""
        return self.chat() if self.served is not None else llm.Writer(**self.arguments(), most=self.batch)

    def run(self, clips: Sequence[Clip], model: Any) -> Iterable[Row | Exception]:
        """The captions of each clip with their enhanced texts; a clip of which one gets no answer has none."""
        captions: list[list[Window]] = [list(clip.columns[""][""] or []) for clip in clips]
        places = [(n, k) for n, windows in enumerate(captions) for k, window in enumerate(windows) if window.text]
        systems = [prompts.filled(self.told(), prompts.values(clip.columns, self.mentions)) for clip in clips]
        asked = [Prompt(prompts.plain(captions[n][k].text or ""), system=systems[n]) for n, k in places]
        failed: dict[int, Exception] = {}
        for (n, k), said in zip(places, model.answers(asked, self.sampling) if asked else [], strict=True):
            if isinstance(said, Answer):
                captions[n][k] = replace(captions[n][k], enhanced=said.text or None)
            else:
                failed.setdefault(n, said)
        return [failed.get(n) or {"": windows} for n, windows in enumerate(captions)]
