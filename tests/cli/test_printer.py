"""Tables fit the terminal, and where there is none a row is a line."""

import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbuild import secrets
from vbuild.cli.printer import document, hanging, table

WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=12), max_size=20).map(" ".join)


@given(st.lists(st.tuples(WORDS, st.integers(0, 10**6), WORDS), min_size=1, max_size=5), st.integers(60, 200))
def test_a_table_fits_and_loses_nothing(rows, width):
    """At any width from 60 to 200 no line is longer, every word is whole, and every number is there."""
    said = table(["a", "n", "b"], rows, width=width)
    assert all(len(line) <= width for line in said.splitlines())
    found = said.split()
    for first, number, last in rows:
        assert {*first.split(), str(number), *last.split()} <= set(found)


def test_names_that_have_no_room_go_on_behind_a_mark():
    """A path and a dotted name are parted where a person would part them, and no letter of them is lost."""
    path = "/data/films/of-the-year/first_take.mp4"
    said = table(["instance", "file", "what"], [["stages.motion_of_all", path, "word " * 20]], width=60)
    head, *lines = said.splitlines()
    assert all(len(line) <= 60 for line in lines)
    second, third = head.index("file"), head.index("what")
    assert "".join(line[:second].strip() for line in lines) == "stages.motion_of_all"
    parts = [line[second:third].strip() for line in lines if line[second:third].strip()]
    assert "".join(parts) == path
    assert all(part[-1] in "/-_" for part in parts[:-1])


def test_what_is_too_wide_for_a_table_stands_a_line_a_column():
    """Where names would be cut, as of many columns on a narrow terminal; the next row stands behind an empty line."""
    heads = ["build", *(f"count{n}" for n in range(9)), "what changed"]
    rows = [[f"20261126T22225{n}-38c59b", *range(9), "a few words " * 9] for n in range(2)]
    said = table(heads, rows, width=60)
    assert said.startswith("build         20261126T222250-38c59b\ncount0        0\n")
    assert "\n\nbuild         20261126T222251-38c59b\n" in said
    assert all(len(line) <= 60 for line in said.splitlines())
    assert len(table(heads, rows, width=200).splitlines()) < 6


def test_where_there_is_no_terminal_a_row_is_a_line():
    """However long."""
    said = table(["name", "text"], [["x", "word " * 400], ["y", "short"]])
    assert len(said.splitlines()) == 3


def test_what_looks_like_markup_is_text():
    """Brackets and colons of names stay as they are."""
    assert "[red]x[/red] :smile:" in table(["a"], [["[red]x[/red] :smile:"]])


def test_numbers_stand_to_the_right_and_nothing_is_empty():
    """Units end in one column; what is not known is no word."""
    assert table(["n", "x"], [[5, None], [100, True]]) == "  n  x\n  5\n100  yes\n"


def test_no_secret_is_printed(monkeypatch):
    """In tables and in JSON alike."""
    monkeypatch.setattr(secrets, "_HELD", ["envsecret77"])
    assert "envsecret77" not in table(["a"], [["x envsecret77 y"]])
    assert "envsecret77" not in document([{"a": ["envsecret77"]}])


def test_a_long_line_goes_on_further_in(monkeypatch):
    """Where a terminal ends; where there is none it is as it was."""
    line = "  by default, so left out: " + ", ".join(f"name{n} {n}" for n in range(20))
    assert hanging(line) == f"{line}\n"
    monkeypatch.setattr("vbuild.cli.printer.terminal_width", lambda stream=None: 60)
    first, *others = hanging(line).splitlines()
    assert all(len(one) <= 60 for one in [first, *others])
    assert first.startswith("  by default")
    assert all(one.startswith("    ") and one[4] != " " for one in others)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_says_how_wide(width):
    """On a terminal the longest line of the list of stages is as wide as that, or less."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"NO_COLOR": "1", "TERM": "dumb"}
    code = "from vbuild.cli.printer import table; print(table(['a', 'b'], [['word ' * 50, 7]]), end='')"
    subprocess.run([sys.executable, "-c", code], stdout=theirs, env=environment, check=True, timeout=60)
    os.close(theirs)
    said = b""
    while chunk := _read(ours):
        said += chunk
    os.close(ours)
    lines = [line for line in said.decode().splitlines() if line.strip()]
    assert width - 8 <= max(map(len, lines)) <= width


def _read(file: int) -> bytes:
    try:
        return os.read(file, 1 << 16)
    except OSError:  # the other end is closed
        return b""
