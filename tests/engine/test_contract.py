"""A user's stage that breaks the contract, or whose code fails before a build, is one line with key and place."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from project import Project, ran

from vbuild import digest
from vbuild.compose import load
from vbuild.contract import RESERVED
from vbuild.errors import UsageError
from vbuild.recipes import recipe
from vbuild.store.actions import schema

STAGE = '''\
"""A stage."""
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar

from vbuild import Frames, Stage


class Tone(Enum):
    """Which."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Mine(Stage):
    """A number."""

    version = 1
    phase = "measure"
    writes = {"": "float32"}
    reads: ClassVar = {}
    SCALE = 2

    level: int = 3
    tone: Tone = Tone.RED
    table: Path | None = None

    def asks(self):
        return Frames(count=1, size=(8, 8))

    def models(self):
        return {}

    def check(self):
        pass

    def run(self, clips, model):
        for clip in clips:
            yield {"": float(self.level)}
'''

NUMBER = itertools.count()

LINE = {text: n for n, text in enumerate(STAGE.splitlines(), 1)}

CLASS = LINE["@dataclass(frozen=True, kw_only=True)"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("VBUILD_STORE", raising=False)


def written(old="", new="") -> str:
    """Writes the stage with a change under a name that no module had."""
    assert old in STAGE
    module = f"contract_stage_{next(NUMBER)}"
    Path(f"{module}.py").write_text(STAGE.replace(old, new, 1))
    return module


def loaded(module: str, *more: str):
    """The dataset that has the stage."""
    target = f"+stages.red._target_={module}.Mine"
    return load(["+dataset=folder", "source.path=.", target, *more])


def test_a_stage_that_keeps_the_contract_is_taken():
    """With constants, class variables, an enum and a path."""
    assert loaded(written()).stages["red"].level == 3


WRITES = 'writes = {"": "float32"}'
ASKED = "return Frames(count=1, size=(8, 8))"
NONE = "sink = True, and asks() gives NoneType, of which a sink is fed nothing; write run()"
DECORATOR = "@dataclass(frozen=True, kw_only=True)\nclass Mine"
BROKEN = {
    "no dataclass": (DECORATOR, "class Mine", "it is no dataclass; write @dataclass(frozen=True, kw_only=True)"),
    "not frozen": (DECORATOR, "@dataclass\nclass Mine", "frozen dataclass from a frozen one"),
    "by place": (DECORATOR, "@dataclass(frozen=True)\nclass Mine", "level is given by place; write @dataclass(frozen"),
    "no version": ("version = 1", "", "it has no version; write version = 1"),
    "misspelt version": ("version = 1", "verison = 1", "it has no version; rename verison"),
    "version as a text": ("version = 1", 'version = "1"', "version='1': a whole number is expected; write version"),
    "version as a parameter": ("version = 1", "version: int = 1", "version is no parameter; write version = …"),
    "no phase": ('phase = "measure"', "", 'it has no phase; write phase = "measure"'),
    "another phase": ('"measure"', '"mesure"', "phase='mesure': it must be one of measure, embed, dedup, balance"),
    "no writes": (WRITES, "", "it has no writes; write writes = "),
    "writes a list": (WRITES, "writes = ['x']", "writes=['x']: a mapping is expected"),
    "unknown type": ('"float32"', '"flaot32"', "writes '' as 'flaot32': there is no such type; use bool, int8"),
    "vector of nothing": ('"float32"', '"vector[n]"', "writes '' as 'vector[n]': there is no such type"),
    "unknown type by parameters": (
        WRITES,
        "writes = property(lambda self: {'': f'flaot{self.level}'})",
        "as 'flaot3': ",
    ),
    "a list by parameters": (WRITES, "writes = property(lambda self: ['x'])", "writes=['x']: a mapping is expected"),
    "no identifier": ('{"": "float32"}', '{"a b": "float32"}', "writes 'a b': a field's name becomes a column"),
    "a column of every result": (
        WRITES,
        'writes = {"seconds": "float32"}',
        "'seconds': every result has the column 'sec",
    ),
    "a digest's column": (WRITES, 'writes = {"digest__x": "float32"}', "every result has the column 'digest__x'"),
    "two of one column": (
        WRITES,
        'writes = {"": "int64", "value": "int64"}',
        "'value': the field '' has the column 'value'",
    ),
    "two of one blob's": (WRITES, 'writes = {"a": "blob", "a_uri": "string"}', "the field 'a' has the column 'a_uri'"),
    "two that differ in case": (WRITES, 'writes = {"a": "int64", "A": "int64"}', "the field 'a' has the column 'A'"),
    "reads no texts": ("reads: ClassVar = {}", "reads: ClassVar = {'x': (1,)}", "a list of fields for each port"),
    "uses no number": ("reads: ClassVar = {}", "uses: ClassVar = {'x': '1'}", "a whole number for each name"),
    "named as a method": ("level: int = 3", "level: int = 3\n    load: int = 3", "load is a method of every stage"),
    "a sink of nothing": (
        "def asks(self):",
        "sink = True\n\n    def open(self, clip, model): ...\n\n    def asks(self):\n        return None",
        NONE,
    ),
    "footage without a sink": (
        ASKED,
        "return __import__('vbuild').Media()",
        "asks() gives Media, which only a sink is fed",
    ),
    "models that are no texts": (
        "        return {}",
        "        return {'model': 3}",
        "models() gives {'model': 3}: a mapping",
    ),
    "reads a text": ("reads: ClassVar = {}", "reads: ClassVar = {'x': 'mean'}", "a list of fields for each port"),
    "no type": ("level: int = 3", "level = 3", "level = 3 has no type; write level: int = … for a parameter"),
    "no type of a field of Stage": ("level: int = 3", "batch = 3", "batch = 3 has no type; write batch: int = …"),
    "a type of no use": (
        "level: int = 3",
        "level: set[int] | None = None",
        "level has the type set[int] | None, which",
    ),
    "a type that is not there": ("level: int = 3", "level: 'Nowhere' = 3", "NameError: name 'Nowhere' is not defined"),
    "no run": ("def run(", "def rum(", "it has no run(), which gives the rows"),
    "open that is not said": ("def run(", "def open(", "it has no run(), which gives the rows; one with open() says"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_breaks_the_contract_is_a_line(fault):
    """It names the key, what is wrong, what to do, and where the class is."""
    old, new, said = BROKEN[fault]
    module = written(old, new)
    with pytest.raises(UsageError) as raised:
        loaded(module)
    text = str(raised.value)
    assert text.startswith(f"stages.red._target_={module}.Mine: ")
    assert said in text
    assert f"{Path.cwd()}/{module}.py line {CLASS}" in text
    assert "\n" not in text


LEVEL, ASKS, MODELS = "    level: int = 3", "        return Frames(count=1, size=(8, 8))", "        return {}"
FAILING = {
    "syntax": ("def asks(self):", "def asks(self)", "it is no Python: expected ':'", "    def asks(self):"),
    "import": (LEVEL, "    level: int = 1 / 0", "ZeroDivisionError: division by zero", LEVEL),
    "of a module": ("from enum import", "import not_there; from enum import", "'not_there'", "from enum import Enum"),
    "exit": (LEVEL, "    __import__('sys').exit('no')", "SystemExit: no", LEVEL),
    "asks": (ASKS, "        return Frames(cuont=1)", "asks() failed: TypeError: ", ASKS),
    "writes": (WRITES, "writes = property(lambda self: {}['w'])", "writes failed: KeyError: 'w'", f"    {WRITES}"),
    "frames": (ASKS, "        return Frames(count=1, fit='crop')", "ValueError: fit='crop': it needs a size", ASKS),
    "models": (MODELS, "        return {}['w']", "models() failed: KeyError: 'w'", MODELS),
}


@pytest.mark.parametrize("fault", FAILING)
def test_what_fails_before_a_build_is_a_line(fault):
    """It names the key, the error, and the line of the user's file."""
    old, new, said, line = FAILING[fault]
    module = written(old, new)
    with pytest.raises(UsageError) as raised:
        loaded(module)
    text = str(raised.value)
    assert text.startswith(f"stages.red._target_={module}.Mine: ")
    assert said in text
    assert f"{Path.cwd()}/{module}.py line {LINE[line]}" in text
    assert "\n" not in text


def test_the_columns_of_every_result_are_known():
    """They are those that the store adds to what a stage writes."""
    assert list(RESERVED) == schema({}).names


def test_an_answer_that_is_no_request_is_a_line():
    """asks() that gives a number names the requests that there are."""
    module = written("return Frames(count=1, size=(8, 8))", "return 3")
    with pytest.raises(UsageError, match=r"asks\(\) gives int, which is no request; give Frames, Sound"):
        loaded(module)


@pytest.mark.parametrize("spelled", ["@property\n    def writes(self)", "def writes(self)"])
def test_what_is_written_may_follow_from_parameters(tmp_path, pool, spelled):
    """By a property or a method: vectors as wide as is asked for, in types of Arrow's, and another width runs anew."""
    module = written(WRITES, f"{spelled}:\n        return {{'': __import__('pyarrow').list_(F32, self.level)}}")
    text = Path(f"{module}.py").read_text().replace("float(self.level)", "[1.0] * self.level")
    Path(f"{module}.py").write_text(text.replace("class Tone", "F32 = __import__('pyarrow').float32()\n\n\nclass Tone"))
    project = Project(tmp_path / "p", {"red": loaded(module).stages["red"]})
    project.put("1.mp4", pool[1])
    for level in (3, 5):
        project.stages["red"] = replace(project.stages["red"], level=level)
        assert ran(project.build())["red"] > 0
        assert {tuple(row["red"]) for row in project.rows().values()} == {(1.0,) * level}


def test_what_a_stage_itself_refuses_has_its_key():
    """A UsageError of a stage's own keeps its words, behind the path of the key; any other error is told as code's."""
    check = "    def check(self):"
    module = written(check, f"    def __post_init__(self):\n        int(self.level, 0)\n\n{check}")
    with pytest.raises(UsageError, match=rf"{module}.Mine: making it failed: TypeError: .*{module}.py line \d+\)"):
        loaded(module)
    with pytest.raises(UsageError, match=r"^stages\.red\.level='x': a whole number is expected$"):
        loaded(written(), "+stages.red.level=x")


def vbuild(*arguments):
    """Runs the command and returns what it left."""
    code = "from vbuild.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=dict(os.environ), timeout=120
    )


def test_a_check_that_fails_is_a_line(pool):
    """A build says it without a traceback, and ends with 2."""
    Path("videos").mkdir()
    Path("videos/1.mp4").write_bytes(pool[1].read_bytes())
    module = written("        pass", "        raise ValueError('no\\nluck')")
    done = vbuild("+dataset=folder", "source.path=videos", f"+stages.red._target_={module}.Mine")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"vbuild: stages.red._target_={module}.Mine: check() failed: ValueError: no luck "
        f"({Path.cwd()}/{module}.py line {LINE['        pass']}); mend it\n"
    )


def test_an_enum_is_named_by_value_or_name_and_keyed_by_value():
    """A wrong one lists the members."""
    module = written()
    for text in ("blue", "BLUE"):
        assert recipe(loaded(module, f"+stages.red.tone={text}").stages["red"]).params == {"tone": "blue"}
    assert recipe(loaded(module, "+stages.red.tone=red").stages["red"]).params == {}
    with pytest.raises(UsageError, match=r"^stages\.red\.tone=bleu: it must be one of red, blue; did you mean 'blue'"):
        loaded(module, "+stages.red.tone=bleu")


def test_a_path_is_keyed_by_what_it_holds():
    """Wherever the file lies; a folder by its files; one that is not there is a line."""
    module = written()

    def params(path):
        return recipe(loaded(module, f"+stages.red.table={path}").stages["red"]).params["table"]

    Path("a.txt").write_text("1")
    Path("b.txt").write_text("1")
    first = params("a.txt")
    assert first == params("b.txt") == digest.of_file(Path("a.txt")).hex()
    Path("b.txt").write_text("2")
    assert params("b.txt") != first
    Path("folder/deep").mkdir(parents=True)
    Path("folder/deep/a.txt").write_text("1")
    whole = params("folder")
    Path("folder/deep/b.txt").write_text("1")
    assert len({first, whole, params("folder")}) == 3
    with pytest.raises(UsageError, match=r"^stages\.red\.table=away\.txt: there is no such file or folder; give"):
        loaded(module, "+stages.red.table=away.txt")


def test_a_file_that_is_a_default_is_keyed_by_what_it_holds():
    """A default's path is the same and its file another: another recipe."""
    module = written("table: Path | None = None", "table: Path = Path('table.txt')")
    found = set()
    for text in ("1", "2"):
        Path("table.txt").write_text(text)
        found.add(recipe(loaded(module).stages["red"]).id)
    assert len(found) == 2


def test_a_changed_file_runs_its_stage_again_and_nothing_else(tmp_path, pool):
    """A build whose file is as it was is up to date; another content of it runs the stage that reads it."""
    module = written("float(self.level)", "float(self.table.read_text()) + (self.tone is Tone.BLUE)")
    Path("table.txt").write_text("1")
    stage = loaded(module, "+stages.red.table=table.txt", "+stages.red.tone=blue").stages["red"]
    project = Project(tmp_path / "p", {"red": stage})
    project.put("1.mp4", pool[1])
    project.build()
    assert {row["red"] for row in project.rows().values()} == {2.0}
    assert project.build().up_to_date
    Path("table.txt").rename("moved.txt")
    project.stages["red"] = replace(stage, table=Path("moved.txt"))
    assert project.build().up_to_date
    Path("moved.txt").write_text("5")
    assert ran(project.build()).keys() == {"red"}
    assert {row["red"] for row in project.rows().values()} == {6.0}
