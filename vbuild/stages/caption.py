"""What a vision-language model says of each window of a clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from vbuild import fields
from vbuild.errors import AnswerError, UsageError
from vbuild.media.versions import PASSES, STILLS
from vbuild.models import chat, generation, messages, prompts, server, vlm
from vbuild.models.messages import Answer, Prompt
from vbuild.stage import Clip, Frames, Phase, Row, Stage, Window, knob, weights
from vbuild.watching import Watching, seen

WHOLE = "caption"
"""The key of a structured answer that holds the caption."""


@dataclass(frozen=True, kw_only=True)
class Caption(Watching, Stage):
    """A caption of each window of a clip, by a model that is loaded here or by a server.

    `status` of a window: success; truncated, where `sampling.max_tokens` were not enough; blocked, where the server
    would not say it; error. With `structure`, each of its keys is a column too: what was said of all windows, each
    thing once, a line each.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    partial: ClassVar[bool] = True
    uses: ClassVar[Mapping[str, int]] = {
        "passes": PASSES, "stills": STILLS, "messages": messages.VERSION, "prompts": prompts.VERSION,
        "generation": generation.VERSION, "vlm": vlm.VERSION, "server": server.VERSION, "chat": chat.VERSION,
    }  # fmt: skip

    model: str | None = weights("Qwen/Qwen3-VL-8B-Instruct")
    """A repository of the hub or a folder, for a model that is loaded here; null for one that is served."""
    prompt: str = "default"
    """`default`, `av`, `av-surveillance`, or a text. `{motion_mean}` in it is the clip's own value in that column,
    of a stage or of the source's list."""
    refine: str | None = None
    """Where the model shall look twice: `default`, or a text in which `{caption}` is what it said first."""
    structure: Mapping[str, str] = field(default_factory=dict)
    """Columns to be answered beside the caption, with what each shall hold."""
    payload: Literal["frames", "clip"] = "frames"
    """What a server is sent: the sampled frames as jpegs, or the clip's own file, of the stage that `of` names."""
    batch: int = knob(8)

    def __post_init__(self) -> None:
        """Refuses what the model could not be asked."""
        Watching.__post_init__(self)
        if self.payload == "clip" and (self.served is None or self.windows.effective().frames is not None):
            raise UsageError("payload=clip: it is for a server, and for whole clips; give windows.frames=null")
        for name in self.structure:
            if not name.isidentifier() or name == WHOLE:
                raise UsageError(f"structure.{name}: it becomes a column; use letters, digits and _, and not {WHOLE}")
        self.asked()
        self.asked_again("")

    def effective(self) -> Caption:
        """The stage with what has an effect where its model is."""
        told = Watching.effective(self)
        if self.prompt in prompts.PROMPTS.values():
            told = replace(told, prompt=next(n for n, text in prompts.PROMPTS.items() if text == self.prompt))
        return replace(told, quality=Caption.quality) if self.payload == "clip" else told

    @property
    def writes(self) -> Mapping[str, fields.Kind]:
        """The caption, and the columns of its structure."""
        return {"": fields.Caption(), **dict.fromkeys(self.structure, fields.Scalar("string"))}

    @property
    def reads(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The clip's file, where that is sent."""
        return {"": ("",)} if self.payload == "clip" else {}

    @property
    def mentions(self) -> Sequence[str]:
        """The columns that the prompt names."""
        return prompts.mentions(prompts.chosen("prompt", self.prompt, prompts.PROMPTS))

    def asks(self) -> Frames | None:
        """Frames of each window; nothing where the clip's file is sent."""
        return None if self.payload == "clip" else Watching.asks(self)

    def run(self, clips: Sequence[Clip], model: Any) -> Iterable[Row | Exception]:
        """What is said of each window, or why nothing is."""
        asked = [Prompt(self._text(clip), seen(clip), schema=self._schema()) for clip in clips]
        said: list[Answer | Exception] = model.answers(asked, self.sampling)
        if self.refine is not None:
            said = self._again(asked, said, model)
        return [self._row(clip, one) for clip, one in zip(clips, said, strict=True)]

    def _again(self, asked: Sequence[Prompt], said: Sequence[Answer | Exception], model: Any) -> list[Any]:
        """The same once more of what was said first, and of what has been said the tokens of both."""
        first = {n: one for n, one in enumerate(said) if isinstance(one, Answer) and one.status != "blocked"}
        again = [replace(asked[n], text=self.asked_again(one.text)) for n, one in first.items()]
        second = dict(zip(first, model.answers(again, self.sampling), strict=True)) if again else {}
        return [_both(one, second[n]) if n in second else one for n, one in enumerate(said)]

    def asked(self) -> str:
        """The prompt, with what is wanted of the answer's form."""
        return prompts.chosen("prompt", self.prompt, prompts.PROMPTS) + self._form()

    def asked_again(self, said: str) -> str:
        """The second prompt, of what was said first."""
        if self.refine is None:
            return ""
        text = prompts.chosen("refine", self.refine, {"default": prompts.REFINE})
        if "{caption}" not in text:
            raise UsageError("refine: the text has no {caption} in it, where what was said first shall stand")
        return text.replace("{caption}", prompts.plain(said)) + self._form()

    def _form(self) -> str:
        if not self.structure:
            return ""
        keys = {WHOLE: "the whole description", **self.structure}
        told = "\n".join(f"- {name}: {about}" for name, about in keys.items())
        return f"\nAnswer with one JSON object and nothing else, with these keys, each a text:\n{told}"

    def _schema(self) -> Mapping[str, Any] | None:
        text = {"type": "string"}
        return messages.schema(dict.fromkeys((WHOLE, *self.structure), text)) if self.structure else None

    def _text(self, clip: Clip) -> str:
        """The prompt with the clip's own values."""
        return prompts.filled(self.asked(), prompts.values(clip.columns, self.mentions))

    def _row(self, clip: Clip, said: Answer | Exception) -> Row | Exception:
        """What was said of a window, with the values of the structure."""
        if isinstance(said, Exception):
            return said
        values: Mapping[str, Any] = {}
        text: str | None = said.text
        if self.structure and said.status != "blocked":
            try:
                values = messages.parsed(said.text)
            except AnswerError as error:
                return error
            text = str(values.get(WHOLE) or "") or None
        window = Window(
            None if said.status == "blocked" else text, status=said.status, tokens=said.tokens, model=self.called
        )  # fmt: skip
        row = {name: prompts.said(values[name]) for name in self.structure if values.get(name)}
        if clip.window is None:
            return {"": [window], **{name: row.get(name) for name in self.structure}}
        return {"": replace(window, start=clip.window.start, end=clip.window.end), **row}

    def join(self, left: Row, parts: Sequence[Row | None]) -> Row:
        """The windows of a clip, with those that failed, and what was said of them."""
        windows = [
            Window(None, stretch.start, stretch.end, status="error", model=self.called) if part is None else part[""]
            for stretch, part in zip(left["windows"], parts, strict=True)
        ]
        row: dict[str, Any] = {"": windows}
        for name in self.structure:
            values = dict.fromkeys(part[name] for part in parts if part is not None and part.get(name))
            row[name] = "\n".join(values) or None
        return row


def _both(first: Answer | Exception, second: Answer | Exception) -> Answer | Exception:
    """What was said at last, with the tokens of both."""
    if isinstance(first, Exception) or isinstance(second, Exception):
        return second
    return replace(second, tokens=(first.tokens or 0) + (second.tokens or 0))
