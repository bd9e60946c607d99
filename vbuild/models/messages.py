"""What a chat model is asked and what it answers, wherever it runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vbuild.errors import AnswerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

VERSION = 1
"""How JSON is read out of an answer, and asked for."""

Status = Literal["success", "truncated", "blocked"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How an answer's tokens are chosen."""

    max_tokens: int = 512
    """Tokens of an answer, at most."""
    temperature: float = 0.0
    """0: always the likeliest token."""
    top_p: float = 1.0
    """The likeliest tokens that make up this share of probability are drawn from."""
    repetition_penalty: float = 1.0
    """More than 1: what was said becomes less likely."""
    seed: int = 0
    """Of the draws, where the temperature is not 0."""

    def __post_init__(self) -> None:
        """Refuses what no model can do."""
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens={self.max_tokens}: must be 1 or more")
        if self.temperature < 0:
            raise UsageError(f"temperature={self.temperature}: must be 0 or more")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p={self.top_p}: it is a share, more than 0 and up to 1")
        if not self.repetition_penalty > 0:
            raise UsageError(f"repetition_penalty={self.repetition_penalty}: must be more than 0")


@dataclass(frozen=True)
class Video:
    """Frames of a video."""

    pixels: np.ndarray
    """uint8 (n, h, w, 3), RGB."""
    times: np.ndarray
    """float64 (n,): seconds from its start."""
    duration: float
    """Seconds."""

    @property
    def rate(self) -> float:
        """Frames a second; of one frame alone, by the video's duration."""
        if len(self.times) > 1 and self.times[-1] > self.times[0]:
            return float((len(self.times) - 1) / (self.times[-1] - self.times[0]))
        return 1 / self.duration if self.duration > 0 else 1.0


@dataclass(frozen=True)
class Files:
    """The same as files, for a server."""

    data: tuple[bytes, ...]
    kind: Literal["image/jpeg", "video/mp4"]
    times: tuple[float, ...] = ()
    """Seconds of each picture from the video's start."""


@dataclass(frozen=True)
class Prompt:
    """One question, with what it is about."""

    text: str
    video: Video | Files | None = None
    system: str | None = None
    schema: Mapping[str, Any] | None = None
    """The JSON schema of the answer, where it is to be JSON."""


@dataclass(frozen=True)
class Answer:
    """What a model said."""

    text: str
    status: Status = "success"
    """`truncated`: it would have said more than it may; `blocked`: it, or its server, refused."""
    tokens: int | None = None
    """Tokens said."""


def schema(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object that has just these keys, each of a schema of its own."""
    return {"type": "object", "properties": dict(fields), "required": list(fields), "additionalProperties": False}


def parsed(text: str) -> dict[str, Any]:
    """The first JSON object of an answer, its keys' spaces as underscores.

    What stands around it is left out, commas missing between lines and those too many are mended, as NeMo's Cosmos
    Curator does. Raises AnswerError if there is none.
    """
    for start in (found.start() for found in re.finditer(r"\{", text)):
        body = text[start : _end(text, start)]
        for tried in (body, _mended(body)):
            try:
                value = json.loads(tried, strict=False)
            except ValueError:
                continue
            return {str(key).strip().replace(" ", "_"): item for key, item in value.items()}
    raise AnswerError(f"the model's answer holds no JSON object: {shortened(text)}")


def _end(text: str, start: int) -> int:
    """The place behind the brace that closes the one at a place; the text's end, where none does."""
    depth, quoted, escaped = 0, False, False
    for place in range(start, len(text)):
        letter = text[place]
        if quoted:
            quoted = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            quoted = True
        elif letter in "{}":
            depth += 1 if letter == "{" else -1
            if depth == 0:
                return place + 1
    return len(text)


def _mended(body: str) -> str:
    """With commas between values and the keys on the next lines, and none before a brace."""
    body = re.sub(r'(["\d\]}el])[ \t]*\n(\s*")', r"\1,\n\2", body)
    return re.sub(r",(\s*[}\]])", r"\1", body)


def shortened(text: str, most: int = 200) -> str:
    """A text in one line, for a message."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence."""
    return ", ".join(words[:-1]) + f" and {words[-1]}" if len(words) > 1 else "".join(words)


ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def counted(number: int) -> str:
    """A number below a million in English words."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = number % 100
        return f"{ONES[number // 100]} hundred" + (f" and {counted(rest)}" if rest else "")
    rest = number % 1000
    joint = " and " if 0 < rest < 100 else ", "
    return f"{counted(number // 1000)} thousand" + (f"{joint}{counted(rest)}" if rest else "")
