"""What all verbs print with: tables that fit the terminal, and JSON for programs."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vbuild.secrets import masked, masked_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NARROW, WIDE = 60, 200
"""Columns between which a terminal is laid out for."""

USUAL = 120
"""Columns of running text where there is no terminal."""

SHORT = 8
"""Letters of a word that no line's end parts."""

ENDLESS = 1 << 16
"""Columns where there is no terminal: a row is a line, however long."""


def terminal_width(stream: Any = None) -> int | None:
    """How many columns are laid out for; None where a stream, by default stdout, is no terminal."""
    if not is_terminal(sys.stdout if stream is None else stream):
        return None
    return min(max(shutil.get_terminal_size().columns, NARROW), WIDE)


def is_terminal(stream: Any) -> bool:
    """Whether a person looks at a stream."""
    return stream is not None and not stream.closed and bool(stream.isatty())


def table(
    heads: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = (), width: int | None = None
) -> str:
    """Rows under their heads, in as many columns as the terminal has, or `width`.

    Numbers, and the columns that `right` names, stand to the right; what has no room goes on in the next line. Where
    that would cut names, each row stands by itself, a line a column. No secret is shown.
    """
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    seen = terminal_width()
    cells = [[masked(_cell(value)) for value in row] for row in rows]
    texts = [[head, *(row[n] for row in cells)] for n, head in enumerate(heads)]
    widths = _widths(texts, width or seen or ENDLESS)
    if widths is None:
        return _sheets(heads, cells, width or seen or ENDLESS)
    counted = [bool(rows) and all(isinstance(row[n], int | float) for row in rows) for n in range(len(heads))]
    numbers = [number or head in right for head, number in zip(heads, counted, strict=True)]
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for head, number, wide in zip(heads, numbers, widths, strict=True):
        drawn.add_column(Text(head), justify="right" if number else "left", width=wide, overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(_parted(text, wide)) for text, wide in zip(row, widths, strict=True)))
    buffer = StringIO()
    Console(file=buffer, width=sum(widths) + 2 * len(widths), height=25, force_terminal=seen is not None).print(drawn)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def _widths(texts: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """How wide each column is, of which the texts are given; None if something would have to be cut amid a name.

    The widest give way first. Words are whole where there is room for that; else paths and names go on in the next
    line behind a mark.
    """
    from rich.cells import cell_len

    natural = [max(map(cell_len, column)) for column in texts]
    words = [max(cell_len(word) for text in column for word in text.split() or [""]) for column in texts]
    pieces = [
        max(cell_len(piece) for text in column for word in text.split() or [""] for piece in _pieces(word))
        for column in texts
    ]
    room = width - 2 * (len(texts) - 1)
    for least in (words, pieces):
        for cap in range(min(max(natural, default=1), max(room, 1)), 0, -1):
            widths = [min(wide, max(most, cap)) for wide, most in zip(natural, least, strict=True)]
            if sum(widths) <= room:
                return widths
    return None


def _pieces(word: str) -> list[str]:
    """A word in parts, each up to a mark behind which a line may end; a short word is one."""
    return re.findall(r"[^/._,:=-]*[/._,:=-]+|[^/._,:=-]+", word) if len(word) > SHORT else [word]


def _parted(text: str, width: int) -> str:
    """A text in which words that are wider than a column go on in the next line behind a mark."""
    from rich.cells import cell_len

    if all(cell_len(word) <= width for word in text.split()):
        return text
    lines = [""]
    for word in re.split(r"(\s+)", text):
        pieces = [word] if cell_len(word) <= width else _pieces(word)
        whole = cell_len(lines[-1]) + sum(map(cell_len, pieces)) <= width
        for piece in ["".join(pieces)] if whole else pieces:
            if cell_len(lines[-1]) + cell_len(piece.rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def _sheets(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Rows one below the other, a line a column, where a table would be too wide to be read."""
    import textwrap

    behind = max(map(len, heads)) + 2
    lines = []
    for row in rows:
        for head, text in zip(heads, row, strict=True):
            lines += textwrap.wrap(
                f"{head:<{behind}}{text}", width, subsequent_indent=" " * behind, break_on_hyphens=False
            )
        lines.append("")
    return "".join(f"{line.rstrip()}\n" for line in lines[:-1])


def _cell(value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


def document(value: Any) -> str:
    """Plain data, or dataclasses, as JSON; without secrets."""
    import json

    return json.dumps(masked_data(_plain(value)), indent=1, default=str) + "\n"


def _plain(value: Any) -> Any:
    import dataclasses

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def size(count: int) -> str:
    """Bytes as people read them."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def some(n: int, what: str) -> str:
    """A number of things."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def wrapped(text: str, indent: str = "") -> str:
    """A text in lines that fit the terminal, each behind an indent."""
    import textwrap

    seen = terminal_width() or USUAL
    return textwrap.fill(text, seen, initial_indent=indent, subsequent_indent=indent) + "\n"


def hanging(line: str) -> str:
    """A line that goes on further in where the terminal ends; as it is where there is none."""
    import textwrap

    seen = terminal_width()
    if seen is None:
        return f"{line}\n"
    further = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, seen, subsequent_indent=further, break_on_hyphens=False) + "\n"


@contextmanager
def muted() -> Iterator[None]:
    """Within, nobody listening to stdout ends nothing: what else is written to it goes nowhere."""
    try:
        yield
    except BrokenPipeError:
        mute()


def mute() -> None:
    """Sends to nowhere what else is written to stdout, the interpreter's flush at exit too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != 1:
        os.dup2(nowhere, 1)
        os.close(nowhere)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  it lasts as long as the process
