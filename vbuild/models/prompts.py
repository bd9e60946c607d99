"""The words in which captioners are asked, and columns of a clip among them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vbuild.errors import UsageError
from vbuild.windows import Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = 2
"""What the named prompts say, and how columns are written among words."""

PROMPTS: Mapping[str, str] = {
    "default": "Elaborate on the visual and narrative elements of the video in detail.",
    "av": (
        "The video was taken by a camera on a moving vehicle. Describe in detail what a driver would have to know: how "
        "the vehicle itself moves and turns; the other vehicles, what they do and how near they come; people on foot "
        "and on cycles; lanes, road marks, signs and signals; weather, light and the state of the road; landmarks; and "
        "whoever drives aggressively or against the rules."
    ),
    "av-surveillance": (
        "The video was taken by a fixed camera that watches a road. Describe in detail what happens in its view: the "
        "vehicles, how they move and how near they come to one another; people on foot and on cycles; lanes, road "
        "marks, signs and signals; weather, light and the state of the road; landmarks; and whoever drives "
        "aggressively or against the rules."
    ),
}
"""By their names in NeMo Curator. `default` is its documented text; the others ask for what its own ask for."""

REFINE = (
    "This was said of the video: {caption}\n"
    "Look again and write a better description of it: correct what is wrong, add what is missing, make what is seen "
    "and felt sharper, and stay clear and precise. Answer with the description alone."
)

ENHANCE: Mapping[str, str] = {
    "default": (
        "You are given the description of a video. Rewrite it to be longer and richer in detail, colour and feeling, "
        "without adding anything that contradicts it. Answer with the description alone."
    ),
    "av-surveillance": (
        "You are given the description of a video from a fixed camera that watches a road. Rewrite it to be longer and "
        "richer in detail: the movements of vehicles and people, the road, its signs and signals, weather and light, "
        "without adding anything that contradicts it. Answer with the description alone."
    ),
}

CONTROL = re.compile(r"[<\[](?=[^\s<>\[\]])")
"""Where a mark may begin that a tokenizer reads as more than its letters: <|im_start|>, <image>, </s>, [INST]."""

MENTION = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def chosen(field: str, text: str, known: Mapping[str, str]) -> str:
    """A prompt by its name, or as it is written. Raises UsageError, of the field, for a word that is no name."""
    if text in known:
        return known[text]
    if not text.strip() or " " not in text.strip():
        raise UsageError(f"{field}={text}: it is none of {', '.join(known)}; name one of them, or write a text")
    return text


def mentions(text: str) -> tuple[str, ...]:
    """The columns that a prompt names in braces, each once, in order."""
    return tuple(dict.fromkeys(MENTION.findall(text)))


def values(columns: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """The values of columns that a prompt names, of what a clip has by its ports."""
    return {name: next(iter(columns[name].values())) for name in names}


def filled(text: str, columns: Mapping[str, Any]) -> str:
    """A prompt with the values of its columns, `plain`; what is not among them stays as it is."""
    return MENTION.sub(lambda found: plain(said(columns[found[1]])) if found[1] in columns else found[0], text)


def plain(text: str) -> str:
    """A text of which no tokenizer makes marks of its own: what a clip shows must not speak for whoever asks."""
    return CONTROL.sub(lambda found: f"{found[0]} ", text)


def said(value: Any) -> str:
    """A value of a column in words."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Window):
        return value.enhanced or value.text or ""
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        return ", ".join(found for found in map(said, value) if found) or "none"
    return str(value)
