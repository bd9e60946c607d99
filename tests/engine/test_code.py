"""A user's stage that changed under its old version is told of, and never said to have had today's defaults."""

import importlib
import sys

import pytest
from project import Project

STAGE = """
from dataclasses import dataclass
from vbuild import Frames, Stage

SCALE = 2

@dataclass(frozen=True, kw_only=True)
class Redness(Stage):
    \"\"\"How red.\"\"\"

    version = 1
    phase = "measure"
    writes = {"": "float32"}

    frames: int = 8

    def asks(self):
        return Frames(count=self.frames, size=(8, 8))

    def run(self, clips, model):
        for clip in clips:
            yield {"": float(clip.frames.pixels.mean()) * SCALE}  # brightness

class Other:
    level = 1
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the stage's file with a change, and gives the class that it then holds."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def written(old="", new=""):
        assert old in STAGE
        (tmp_path / "redness.py").write_text(STAGE.replace(old, new))
        sys.modules.pop("redness", None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return importlib.import_module("redness").Redness

    yield written
    sys.modules.pop("redness", None)


def test_changed_code_under_an_old_version_is_said_each_time(tmp_path, pool, write):
    """By plan and by build, until the version is raised or the code is as it was; other words change nothing."""
    project = Project(tmp_path / "p", {"red": write()()})
    project.put("1.mp4", pool[1])
    project.build()
    said = ["red: its code changed since version 1: raise version"]
    for old, new, notes in (
        ("# brightness", "# how bright", []),
        ("How red", "How red it is", []),
        ("level = 1", "level = 2", []),
        ("SCALE = 2", "SCALE = 3", said),
        (".mean()", ".max()", said),
        ("version = 1", "version = 2", []),
    ):
        project.stages["red"] = write(old, new)()
        assert project.plan().notes == notes, new
    project.stages["red"] = write(".mean()", ".max()")()
    assert [project.build().notes for _ in range(2)] == [said, said]
    project.stages["red"] = write()()
    assert project.build().notes == []
    assert project.build().up_to_date


def test_a_default_is_told_as_it_was(tmp_path, pool, write):
    """Keys leave defaults out, so another default under the old version is told; reasons name the one that held."""
    project = Project(tmp_path / "p", {"red": write()()})
    project.put("1.mp4", pool[1])
    project.build()
    project.stages["red"] = write("frames: int = 8", "frames: int = 4")()
    assert project.plan().notes == ["red: the default of frames changed from 8 to 4 since version 1: raise version"]
    project.stages["red"] = write("frames: int = 8", "frames: int = 4")(frames=2)
    (reason,) = next(s.reasons for s in project.plan().stages if s.name == "red")
    assert reason == "frames 8 \u2192 2"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": "redness"}', "\x00"])
def test_a_torn_note_is_no_note(tmp_path, pool, write, text):
    """It stops neither a plan nor a build, and the next results write it anew."""
    project = Project(tmp_path / "p", {"red": write()()})
    project.put("1.mp4", pool[1])
    project.build()
    (note,) = (project.store / "actions").glob("redness*/*.json")
    whole = note.read_text()
    note.write_text(text)
    project.stages["red"] = write()(frames=2)
    assert project.plan().notes == []
    project.stages["red"] = write()()
    project.put("2.mp4", pool[2])
    project.build()
    assert note.read_text() == whole
