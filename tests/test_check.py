"""Plain data becomes dataclasses by their hints, or one line that names the key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from vbuild.check import convert, hint, into, nearest
from vbuild.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A group in a group."""

    size: tuple[int, int] | None = None

    def __post_init__(self):
        if self.size == (0, 0):
            raise UsageError("size=(0, 0): it must hold something")


@dataclass(frozen=True, kw_only=True)
class Outer:
    """One field of each kind."""

    count: int
    share: float = 0.5
    on: bool = True
    text: str = ""
    place: Path = Path()
    mode: Literal["fast", "slow"] = "fast"
    names: tuple[str, ...] = ()
    of: str | Mapping[str, str] | None = None
    inner: Inner = field(default_factory=Inner)
    rest: Any = None


class Tone(Enum):
    """A value of one member is the name of another."""

    LIGHT = "pale"
    LOW = "dark"
    HIGH = "LIGHT"


class Size(IntEnum):
    """Members that are numbers."""

    NONE = 0
    SOME = 1


@pytest.mark.parametrize(("kind", "members"), [(Tone, "pale, dark, LIGHT"), (Size, "NONE, SOME")])
def test_a_member_that_is_not_there_is_refused(kind, members):
    """With those that are."""
    with pytest.raises(UsageError, match=f"^x=9: it must be one of {members}$"):
        convert(kind, 9, "x")


def test_what_is_written_becomes_what_is_declared():
    """Numbers, texts, lists, groups and null, as a yaml or a shell gives them."""
    found = into(
        Outer,
        {"count": "8", "share": 1, "on": "false", "text": 7, "place": "~/x", "names": "a", "inner": {"size": [3, "4"]}},
        "",
    )
    assert found == Outer(
        count=8, share=1.0, on=False, text="7", place=Path.home() / "x", names=("a",), inner=Inner(size=(3, 4))
    )
    assert (type(found.count), type(found.share)) == (int, float)


@pytest.mark.parametrize(
    ("kind", "value", "made"),
    [
        (int, 8.0, 8),
        (int, "8e0", 8),
        (int, 2**60 + 1, 2**60 + 1),
        (float, "1e-3", 0.001),
        (bool, "True", True),
        (int | None, None, None),
        (str | None, "null", "null"),
        (str | Mapping[str, str], {"a": "b"}, {"a": "b"}),
        (str | Mapping[str, str], "a", "a"),
        (int | float, 2.5, 2.5),
        (int | str, "4", "4"),
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (Tone | None, "dark", Tone.LOW),
        (Tone, "LOW", Tone.LOW),
        (Tone, "LIGHT", Tone.HIGH),
        (Size, "0", Size.NONE),
        (Size, "NONE", Size.NONE),
    ],
)
def test_one_value(kind, value, made):
    """The first type that takes a value has it; one that is already of a type stays."""
    assert convert(kind, value, "x") == made


WRONG = [
    ({}, "top.count: a value is needed; give top.count=…"),
    ({"count": 1.5}, "top.count=1.5: a whole number is expected"),
    ({"count": True}, "top.count=True: a whole number is expected"),
    ({"count": "inf"}, "top.count='inf': a whole number is expected"),
    ({"count": None}, "top.count=None: a whole number is expected"),
    ({"count": 1, "share": "nan"}, "top.share='nan': a number is expected"),
    ({"count": 1, "on": 1}, "top.on=1: true or false is expected"),
    ({"count": 1, "text": [1]}, "top.text=[1]: a text is expected"),
    ({"count": 1, "place": ""}, "top.place='': a path is expected"),
    ({"count": 1, "mode": "fst"}, "top.mode=fst: it must be one of fast, slow; did you mean 'fast'?"),
    ({"count": 1, "inner": 3}, "top.inner=3: a group of keys is expected"),
    ({"count": 1, "inner": {"size": [1]}}, "top.inner.size=[1]: a list of 2 values is expected"),
    ({"count": 1, "inner": {"size": [1, "x"]}}, "top.inner.size[1]='x': a whole number is expected"),
    ({"count": 1, "inner": {"size": [0, 0]}}, "top.inner.size=(0, 0): it must hold something"),
    ({"count": 1, "inner": {"siz": [1, 1]}}, "top.inner.siz: there is no such key; did you mean 'size'?"),
    ({"count": 1, "of": {"a": [1]}}, "top.of={'a': [1]}: a text is expected"),
    ({"cuont": 1}, "top.cuont: there is no such key; did you mean 'count'?"),
    ([1], "top=[1]: a group of keys is expected"),
]


@pytest.mark.parametrize(("data", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_cannot_be_is_refused(data, said):
    """The message gives the whole path of the key, its value and what was expected."""
    with pytest.raises(UsageError) as raised:
        into(Outer, data, "top")
    assert str(raised.value) == said


def test_hints():
    """The nearest name, or all of them where none is near and they are few; none of names by the hundred."""
    assert hint("motoin", ["motion", "quality"]) == "; did you mean 'motion'?"
    assert hint("x", ["b", "a"]) == "; there are a, b"
    assert hint("x", []) == hint("x", [f"name{n}" for n in range(100)]) == nearest("x", ["b", "a"]) == ""
