"""Questions about a clip that a vision-language model answers with a probability."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any, ClassVar

from vbuild.errors import AnswerError, UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import PASSES, STILLS
from vbuild.models import chat, generation, messages, server, vlm
from vbuild.models.messages import Answer, Prompt
from vbuild.stage import Clip, Phase, Row, Stage, knob, weights
from vbuild.watching import Watching, seen

YES: tuple[Sequence[str], ...] = (("Yes", "yes", "YES"), ("No", "no", "NO"))
"""How the two answers may be written."""


@dataclass(frozen=True, kw_only=True)
class Ask(Watching, Stage):
    """How likely each answer is: a column of each question that is answered by yes or no, and one of each choice.

    A model that is loaded here looks at a window once and is asked each question by itself; a probability is that of an
    answer's first token among the first tokens of the answers that are allowed. A server is asked all of them at once
    and answers as JSON, with 1 for what it says and 0 for all else.

    A clip's value is the mean of its windows', of those that were answered: of a server's answers the share of its
    windows. None where there is none. A clip is dropped by `where`, such as `ask_slideshow <= 0.5 or ask_slideshow is
    null`; NeMo Curator drops those of which more than half of the windows are answered so.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    partial: ClassVar[bool] = True
    uses: ClassVar[Mapping[str, int]] = {
        "passes": PASSES, "stills": STILLS, "messages": messages.VERSION, "generation": generation.VERSION,
        "vlm": vlm.VERSION, "server": server.VERSION, "chat": chat.VERSION,
    }  # fmt: skip

    model: str | None = weights("Qwen/Qwen3-VL-8B-Instruct")
    """A repository of the hub or a folder, for a model that is loaded here; null for one that is served."""
    questions: Mapping[str, str] = field(default_factory=lambda: {"people": "Are there people in the video?"})
    """Name → question; of one that has no choices the column is the probability of yes."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a question → its answers, of which one is to be chosen: a column each, NAME_answer."""
    batch: int = knob(8)

    def __post_init__(self) -> None:
        """Refuses questions without a name that a column may have, and choices that are none."""
        Watching.__post_init__(self)
        if not self.questions:
            raise UsageError("questions: there is none; give a name and a question")
        for name in self.questions:
            if not name.isidentifier():
                raise UsageError(f"questions.{name}: it becomes a column; use letters, digits and _")
        for name, options in self.choices.items():
            if name not in self.questions:
                raise UsageError(f"choices.{name}: there is no question of that name")
            if not 2 <= len(options) <= len(ascii_uppercase):
                raise UsageError(f"choices.{name}: from 2 to {len(ascii_uppercase)} answers are needed")
        columns = [name for names in self._columns().values() for name in names]
        if len(set(columns)) < len(columns) or "" in columns:
            raise UsageError("choices: two answers would be one column; give them other words")

    def _columns(self) -> dict[str, list[str]]:
        """Of each question its columns, in the order of its answers."""
        return {
            name: [f"{name}_{_slug(option)}" for option in self.choices[name]] if name in self.choices else [name]
            for name in self.questions
        }

    @property
    def writes(self) -> Mapping[str, Kind]:
        """A probability each."""
        return {column: Scalar("float32") for columns in self._columns().values() for column in columns}

    def run(self, clips: Sequence[Clip], model: Any) -> Iterable[Row | Exception]:
        """The probabilities of each window."""
        return self._read(clips, model) if self.served is not None else self._weighed(clips, model)

    def _weighed(self, clips: Sequence[Clip], model: Any) -> list[Row]:
        """By a model that is loaded here."""
        asked = self._columns()
        questions = [vlm.Question(self.asked(name), self._answers(name)) for name in asked]
        odds = model.odds([seen(clip) for clip in clips], questions)
        rows: list[dict[str, float]] = [{} for _ in clips]
        for columns, found in zip(asked.values(), odds, strict=True):
            for row, shares in zip(rows, found.tolist(), strict=True):
                row.update(zip(columns, shares, strict=False))  # of yes and no the first
        return list(rows)

    def _answers(self, name: str) -> Sequence[Sequence[str]]:
        """How each answer to a question by itself may be written."""
        options = self.choices.get(name)
        return YES if options is None else [(letter,) for letter in ascii_uppercase[: len(options)]]

    def asked(self, name: str) -> str:
        """A question by itself, with what may be answered."""
        if name not in self.choices:
            return f"{self.questions[name]}\nAnswer with one word, yes or no."
        lines = [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, self.choices[name], strict=False)]
        return "\n".join([self.questions[name], *lines, "Answer with one letter."])

    def _read(self, clips: Sequence[Clip], model: Any) -> list[Row | Exception]:
        """By a server."""
        text, form = self.asked_together(), self._form()
        said: list[Answer | Exception] = model.answers(
            [Prompt(text, seen(clip), schema=form) for clip in clips], self.sampling
        )
        return [one if isinstance(one, Exception) else self._row(one) for one in said]

    def asked_together(self) -> str:
        """All questions, and the form of the answer."""
        lines = [f"- {name}: {self.questions[name]} ({' | '.join(self._allowed(name))})" for name in self.questions]
        head = "Answer these questions about the video with one JSON object and nothing else, with a text for each key:"
        return "\n".join([head, *lines])

    def _allowed(self, name: str) -> tuple[str, ...]:
        return self.choices.get(name, ("yes", "no"))

    def _form(self) -> Mapping[str, Any]:
        return messages.schema({n: {"type": "string", "enum": [*self._allowed(n)]} for n in self.questions})

    def _row(self, said: Answer) -> Row | Exception:
        """What a server's answer says of each question."""
        if said.status == "blocked":
            return AnswerError("the server would not answer")
        try:
            values = {_slug(name): _slug(str(value)) for name, value in messages.parsed(said.text).items()}
        except AnswerError as error:
            return error
        row: dict[str, float] = {}
        for name, columns in self._columns().items():
            allowed = [_slug(option) for option in self._allowed(name)]
            if (value := values.get(_slug(name))) not in allowed:
                return AnswerError(f"the model's answer has none of {', '.join(self._allowed(name))} for {name}")
            row |= zip(columns, (float(value == option) for option in allowed), strict=False)
        return row

    def join(self, left: Row, parts: Sequence[Row | None]) -> Row:  # noqa: ARG002
        """The means over the windows that were answered."""
        rows = [part for part in parts if part is not None]
        return {column: sum(row[column] for row in rows) / len(rows) if rows else None for column in self.writes}


def _slug(text: str) -> str:
    """A text as a part of a column's name."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
