"""The lock of stages: code that changed without its version, and numbers that stages forgot."""

import copy
import sys
from pathlib import Path

import pytest

from vbuild.stage import Stage

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
import locks

CODE = '''
"""A module."""
from collections.abc import Sequence
import numpy as np
class Stage:
    """A stage."""
    fps: float = 2.0
    """A rate."""
    batch: int = knob(16)
    def run(self, clips: Sequence[int]) -> list[int]:
        """Runs."""
        total: int = np.sum(clips)  # adds
        return total * self.fps
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# adds", "# adds them up", True),
        ('"""Runs."""', '"""Does it."""', True),
        ("total: int =", "total =", True),
        ("clips: Sequence[int]) -> list[int]", "clips)", True),
        ("from collections.abc import Sequence\n", "from typing import Sequence\n", True),
        ("knob(16)", "knob(32)", True),
        ("total * self.fps", "(total   * self.fps)", True),
        ("total * self.fps", "total + self.fps", False),
        ("fps: float", "fps: int", False),
        ("batch: int = knob(16)", "batch: int = 16", False),
        ("import numpy as np", "import other as np", False),
    ],
)
def test_only_what_code_does_counts(old, new, same):
    """Comments, docstrings, format, hints of functions and defaults of knobs change nothing; all else does."""
    assert old in CODE
    assert (locks.normal(CODE) == locks.normal(CODE.replace(old, new))) == same


@pytest.fixture(scope="module")
def found():
    return locks.now()


@pytest.fixture
def lock(tmp_path, monkeypatch, found):
    """A lock that is up to date, and code that a test may change."""
    code = copy.deepcopy(found)
    monkeypatch.setattr(locks, "LOCK", tmp_path / "lock.json")
    monkeypatch.setattr(locks, "now", lambda: code)
    locks.accept([])
    assert not locks.problems(locks.locked(), code)
    return code


def test_changed_code_is_told_until_it_is_accepted_or_bumped(lock):
    """By its name alone, too."""
    lock["motion.Motion"]["source"] = "other"
    lock["uses passes"]["source"] = "other"
    assert set(locks.problems(locks.locked(), lock)) == {"motion.Motion", "uses passes"}
    assert locks.accept(["motion.Motion"]) == (["motion.Motion"], {})
    assert set(locks.problems(locks.locked(), lock)) == {"uses passes"}
    lock["uses passes"]["version"] += 1
    assert locks.accept([]) == (["uses passes"], {})
    assert not locks.problems(locks.locked(), lock)


def test_a_changed_default_is_refused_until_the_version_is_bumped(lock):
    """Keys leave defaults out, so the old results would be taken for the new."""
    lock["motion.Motion"]["defaults"]["fps"] = "other"
    done, refused = locks.accept([])
    assert not done
    assert "bump version" in refused["motion.Motion"]
    lock["motion.Motion"]["version"] += 1
    assert locks.accept([]) == (["motion.Motion"], {})


def test_other_columns_and_an_older_version_are_refused(lock):
    """Results of one version have one shape."""
    lock["motion.Motion"]["writes"]["more"] = "int64"
    lock["quality.Quality"]["version"] = 0
    assert set(locks.accept([])[1]) == {"motion.Motion", "quality.Quality"}


def test_a_parameter_that_came_with_a_default_is_accepted(lock):
    """Old keys stay, for they leave it out."""
    lock["motion.Motion"]["defaults"]["new"] = "any"
    lock["motion.Motion"]["source"] = "other"
    assert locks.accept([]) == (["motion.Motion"], {})


def test_what_is_new_and_what_is_gone_is_accepted(lock):
    """The lock names what there is."""
    lock["new.New"] = lock.pop("motion.Motion")
    locks.accept([])
    assert "motion.Motion" not in locks.locked()
    assert not locks.problems(locks.locked(), lock)


@pytest.mark.parametrize("cls", locks.classes(), ids=lambda cls: cls.title())
def test_stages_name_the_numbers_of_all_code_that_shapes_what_they_write(cls):
    """The pass if they ask for footage, and whatever they import of media and models, with all that this imports."""
    under = set().union(*map(locks.covered, cls.uses))
    roots = {cls.__module__} | ({"vbuild.media.passes"} if cls.asks is not Stage.asks else set())
    shaping = {m for m in locks.reached(roots, set()) if m.startswith(("vbuild.media.", "vbuild.models."))}
    assert shaping <= under, f"{cls.title()} uses {sorted(shaping - under)}; add their number to `uses`, or to COVERS"


def test_the_lock_is_what_the_code_is(found):
    """Run tools/accept where code changed and results did not; bump the version where they did."""
    told = locks.problems(locks.locked(), found)
    assert not told, "\n".join(f"{name}: {why}" for name, why in told.items())
