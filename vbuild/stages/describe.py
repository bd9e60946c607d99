"""What was measured of a clip, said in one plain sentence: a caption that needs no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar

from vbuild.fields import Caption, Kind
from vbuild.stage import Clip, Phase, Row, Stage, Window, knob

Scale = Sequence[tuple[float, str]]
"""Limit → the word for values below it, in rising order; "" says nothing."""

ADJECTIVES: Sequence[tuple[str, str, Scale]] = (
    ("quality", "black", ((0.9, ""), (inf, "black"))),
    ("quality", "brightness", ((0.25, "dark"), (0.6, ""), (inf, "bright"))),
)
"""Port, field and words of what is said before the noun."""

STILL = 0.0003
"""`motion.top`, share of height + width, under which a clip is still: of real footage empty rooms and photographs are,
and people in a wide shot are not."""

FAST = 0.006
"""`motion.mean`, in the same unit, from which it is fast."""

LOOKS: Sequence[tuple[str, str, Scale]] = (
    ("quality", "contrast", ((0.12, "low-contrast"), (0.27, ""), (inf, "high-contrast"))),
    ("quality", "sharpness", ((100, "soft"), (500, ""), (inf, "crisp"))),
)
"""The same, for clips that show something."""

COLOURS: Scale = ((0.01, " in black and white"), (0.07, " in muted colours"), (0.2, ""), (inf, " in vivid colours"))
"""Of `colorfulness`."""

FEATURES: Sequence[tuple[str, str, Scale]] = (
    ("quality", "letterbox", ((0.05, ""), (inf, "letterbox bars"))),
    ("quality", "pillarbox", ((0.05, ""), (inf, "pillarbox bars"))),
    ("quality", "black", ((0.1, ""), (0.9, "black stretches"), (inf, ""))),
    ("quality", "freeze", ((0.9, ""), (inf, "hardly any change"))),
)
"""What is said behind the noun."""


@dataclass(frozen=True, kw_only=True)
class Describe(Stage):
    """One sentence of what motion and quality measured: "A dark, still shot in muted colours with letterbox bars."

    Text search thus finds footage without a captioner. What is null or not wired is not spoken of.
    """

    version: ClassVar[int] = 2
    phase: ClassVar[Phase] = "annotate"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {
        "motion?": ("mean", "top"),
        "quality?": (
            "sharpness",
            "brightness",
            "contrast",
            "colorfulness",
            "black",
            "freeze",
            "letterbox",
            "pillarbox",
        ),
    }
    writes: ClassVar[Mapping[str, Kind]] = {"": Caption()}

    batch: int = knob(512)

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """The sentence of each clip."""
        for clip in clips:
            yield {"": [Window(text=sentence(clip.columns))]}


def sentence(measures: Mapping[str, Row]) -> str:
    """The sentence of what was measured, by port and field."""
    adjectives = _words(measures, ADJECTIVES) + _pace(measures.get("motion", {}))
    colours = ""
    if "black" not in adjectives:
        adjectives += _words(measures, LOOKS)
        colours = _word(measures.get("quality", {}).get("colorfulness"), COLOURS)
    features = _words(measures, FEATURES)
    before = f"{', '.join(adjectives)} " if adjectives else ""
    behind = f" with {_listed(features)}" if features else ""
    return f"A {before}shot{colours}{behind}."


def _pace(motion: Row) -> list[str]:
    mean, top = motion.get("mean"), motion.get("top")
    if mean is None or top is None:
        return []
    return ["still" if top < STILL else "moving" if mean < FAST else "fast-moving"]


def _words(measures: Mapping[str, Row], said: Sequence[tuple[str, str, Scale]]) -> list[str]:
    words = [_word(measures.get(port, {}).get(f), scale) for port, f, scale in said]
    return [word for word in words if word]


def _word(value: float | None, scale: Scale) -> str:
    return "" if value is None else next(word for limit, word in scale if value < limit)


def _listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
