"""What is secret in urls, and what came of the environment, masked wherever it would be written or shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

PLAIN = frozenset(("id", "v", "name", "file", "filename", "path", "format", "part", "version", "versionid"))
"""Parameters of a url's query that tell which file it is; the value of every other may be a key."""

TEXT = 6
"""Letters from which on a value of the environment is masked within texts; a shorter one stands in any word."""

_USER = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY = re.compile(r"(://[^\s?'\"<>]*\?)([^\s'\"<>]*[^\s'\"<>:;,.)\]])")
_HELD: list[str] = []
"""The longest first."""


def hold(value: str) -> None:
    """Takes a value for a secret from now on, in this process."""
    if value and value not in _HELD:
        _HELD.append(value)
        _HELD.sort(key=len, reverse=True)


def masked(text: str) -> str:
    """A text without the secrets in it; what is masked stays as it is."""
    if "://" in text:
        text = _QUERY.sub(lambda match: match[1] + _query(match[2]), _USER.sub(f"{MASK}@", text))
    for value in _HELD:
        if len(value) >= TEXT or value == text:
            text = text.replace(value, MASK)
    return text


def _query(text: str) -> str:
    """The query of a url, with the values masked that do not tell which file it is."""
    parts = (part.partition("=") for part in text.split("&"))
    return "&".join(
        f"{name}={value if name.lower() in PLAIN else MASK}" if equals else MASK for name, equals, value in parts
    )


def masked_data(value: Any) -> Any:
    """Plain data with its texts masked."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {masked_data(name): masked_data(item) for name, item in value.items()}
    return [masked_data(item) for item in value] if isinstance(value, list | tuple) else value


def display_names(uris: list[str]) -> list[str]:
    """What files are called in tables and messages: no two alike, in the order of the uris."""
    count: dict[str, int] = {}
    given = []
    for uri in uris:
        name = masked(uri) if "://" in uri else uri
        if name != uri:
            count[name] = count.get(name, 0) + 1
            name += f"#{count[name]}" if count[name] > 1 else ""
        given.append(name)
    return given
