"""Plain measures of captions, by which bad ones are found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.stage import Clip, Phase, Row, Stage, Window, knob

REFUSALS = re.compile(
    r"\b(?:as an ai\b|as a (?:large )?language model|"
    r"i(?:'m| am) (?:sorry|afraid)\b|i apologi[sz]e|"
    r"i(?:'m| am) (?:unable|not able|not allowed) to|i (?:can't|cannot|can not|won't|will not|could not|couldn't)\b|"
    r"(?:no|without) (?:video|image|frames?|visual (?:content|input)) (?:was |were |is |are |has been )?(?:provided|"
    r"attached|shared)|(?<![^.!?] )unable to (?:see|view|access|describe|assist|help|watch)\b)",
    re.IGNORECASE,
)
"""What models say where they do not say what was asked."""

WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


@dataclass(frozen=True, kw_only=True)
class CaptionStats(Stage):
    """How long captions are, how much they repeat themselves, and whether the model refused.

    Of a clip's windows together, of the enhanced texts where there are.

    - `words`: how many there are.
    - `repetition`: the share of runs of `run_length` words that stood in the same window before, of the worst window;
      0.2 is much, more is a model that does not find its end. None where no window has as many words.
    - `refusal`: whether a window holds what models say instead of a description.
    - `failed`, `truncated`: shares of the windows of which nothing was said, and whose text was cut short.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"": ("",)}
    writes: ClassVar[Mapping[str, Kind]] = {
        "words": Scalar("int64"),
        "repetition": Scalar("float32"),
        "refusal": Scalar("bool"),
        "failed": Scalar("float32"),
        "truncated": Scalar("float32"),
    }

    run_length: int = 4
    """Words that make up a run."""
    batch: int = knob(512)

    def __post_init__(self) -> None:
        """Refuses runs of nothing."""
        if self.run_length < 1:
            raise UsageError(f"run_length={self.run_length}: must be 1 or more words")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The measures of each clip's caption; all None for a clip without a window."""
        for clip in clips:
            windows = clip.columns[""][""] or []
            yield self._measures(windows) if windows else dict.fromkeys(self.writes)

    def _measures(self, windows: Sequence[Window]) -> Row:
        texts = [window.enhanced or window.text or "" for window in windows]
        words = [WORD.findall(text.lower()) for text in texts]
        shares = [repetition(some, self.run_length) for some in words if len(some) >= self.run_length]
        return {
            "words": sum(map(len, words)),
            "repetition": max(shares, default=None),
            "refusal": any(REFUSALS.search(text.replace("\u2019", "'")) for text in texts),
            "failed": sum(not text for text in texts) / len(texts),
            "truncated": sum(window.status == "truncated" for window in windows) / len(windows),
        }


def repetition(words: Sequence[str], length: int) -> float:
    """The share of the runs of so many words that stood before."""
    runs = [tuple(words[n : n + length]) for n in range(len(words) - length + 1)]
    return 1 - len(set(runs)) / len(runs)
