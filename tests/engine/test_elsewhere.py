"""A model in another interpreter: what is handed over, whose its faults are, and that it does not outlive its host."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny
from processes import running, until

from vbuild.errors import PlaceError, UsageError
from vbuild.models import cosmos_embed1, elsewhere, guest
from vbuild.models.elsewhere import Elsewhere

CODE = """
import os, signal, sys, time
class Thing:
    def __init__(self, gain):
        self.gain = gain
        print("to standard output")
        print("to standard error", file=sys.stderr)
    def same(self, *values): return list(values)
    def louder(self, array):
        array *= self.gain
        return array
    def modules(self): return [sorted(m for m in sys.modules if m.split(".")[0] == "vbuild"), sys.path]
    def wrong(self): raise TypeError("not so")
    def crowded(self):
        class OutOfMemoryError(RuntimeError): pass
        raise OutOfMemoryError("CUDA out of memory")
    def undecodable(self): b"\\xff".decode()
    def unspeakable(self): return {1, 2}
    def leave(self):
        print("no more", file=sys.stderr)
        os._exit(3)
    def killed(self): os.kill(os.getpid(), signal.SIGKILL)
    def pid(self): return os.getpid()
    def sleep(self, marker):
        open(marker, "w").write(str(os.getpid()))
        time.sleep(600)
"""


@pytest.fixture
def file(tmp_path):
    """A class that stands alone."""
    path = tmp_path / "thing.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def thing(file):
    made = Elsewhere(sys.executable, file, "Thing", gain=3)
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["uint8", "int64", "float16", "float32", "float64", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (5,), (2, 3, 4)])
def test_arrays_come_back_as_they_were(thing, kind, shape):
    """Of any type and shape, among other values, and however they lie in memory."""
    array = np.random.default_rng(1).integers(0, 200, shape).astype(kind)
    (back, turned, rest) = thing.call("same", array, array.T, {"a": [1, 2.5, "ä", None, True], "b": {}})
    for found, wanted in ((back, array), (turned, array.T)):
        assert found.dtype == wanted.dtype
        assert found.shape == wanted.shape
        assert (found == wanted).all()
    assert rest == {"a": [1, 2.5, "ä", None, True], "b": {}}


def test_large_arrays_may_be_written_to(thing):
    """On both sides, and nobody waits for the other for ever."""
    array = np.ones((30, 1000, 1000), np.uint8)
    found = thing.call("louder", array)
    assert (found == 3).all()
    found += 1
    assert (array == 1).all()


def test_other_values_are_refused_on_either_side(thing):
    """And the next call is answered."""
    with pytest.raises(TypeError, match="only numbers, texts"):
        thing.call("same", object())
    with pytest.raises(TypeError, match="only numbers, texts"):
        thing.call("same", np.array([object()]))
    with pytest.raises(TypeError, match="only numbers, texts"):
        thing.call("unspeakable")
    assert thing.call("same", 1) == [1]


def test_nothing_of_this_program_is_there(tmp_path, file, monkeypatch):
    """Neither its modules nor the folder it runs in; and versions are told."""
    python = tiny.interpreter(tmp_path / "env")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(guest.__file__).parents[2]))
    there = Elsewhere(python, file, "Thing", gain=3)
    modules, path = there.call("modules")
    assert modules == []
    assert not {"", str(tmp_path), os.environ["PYTHONPATH"], str(Path(guest.__file__).parent)} & set(path)
    assert there.versions == elsewhere.about(python) == elsewhere.here()
    assert {"python", "numpy", "torch", "transformers"} <= there.versions.keys()


@pytest.mark.parametrize(
    ("method", "kind", "message"),
    [
        ("wrong", TypeError, "not so"),
        ("crowded", RuntimeError, "OutOfMemoryError: CUDA out of memory"),
        ("undecodable", RuntimeError, "UnicodeDecodeError: 'utf-8' codec can't decode"),
        ("nothing", AttributeError, "no attribute 'nothing'"),
    ],
)
def test_what_a_method_raises_is_raised_here(thing, method, kind, message):
    """As the nearest of Python's own classes, so that it is told whose fault it is, with where it was raised."""
    with pytest.raises(kind, match=message) as told:
        thing.call(method)
    assert "guest.py" in told.value.__notes__[0]
    assert thing.call("same", 1) == [1]


def test_what_making_the_object_raises_is_raised_here(file):
    """With nothing left running."""
    before = {child.pid for child in psutil.Process().children()}  # such as loky's, of other tests
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        Elsewhere(sys.executable, file, "Thing", other=3)
    assert {child.pid for child in psutil.Process().children()} <= before


@pytest.mark.parametrize(("method", "how"), [("leave", "ended with exit code 3"), ("killed", "was ended by SIGKILL")])
def test_its_end_is_the_places_failure(thing, method, how):
    """With what it said last; the next call starts it anew."""
    with pytest.raises(PlaceError, match=f"its process {how}; it said: .*to standard error"):
        thing.call(method)
    assert thing.call("same", 1) == [1]


def test_ctrl_c_does_not_reach_it(thing):
    """It is for the build's process alone."""
    os.kill(thing.call("pid"), signal.SIGINT)
    assert thing.call("same", 1) == [1]


def test_it_ends_when_nobody_has_it(file):
    """Without being told."""
    made = Elsewhere(sys.executable, file, "Thing", gain=3)
    pid = made.call("pid")
    del made
    assert not running(pid)


HOST = """
import sys
sys.path[:0] = [sys.argv[3]]
from pathlib import Path
from vbuild.models.elsewhere import Elsewhere
Elsewhere(sys.executable, Path(sys.argv[1]), "Thing", gain=3).call("sleep", sys.argv[2])
"""


def test_it_does_not_outlive_a_host_that_is_killed(tmp_path, file):
    """Though it was at work."""
    marker = tmp_path / "pid"
    root = str(Path(guest.__file__).parents[2])
    host = subprocess.Popen([sys.executable, "-c", HOST, str(file), str(marker), root])
    until(lambda: marker.is_file() and marker.read_text())
    host.kill()
    host.wait()
    until(lambda: not running(int(marker.read_text())))


def test_an_interpreter_that_is_none_is_told(tmp_path, file):
    """When it is to be used, and before."""
    nowhere, other = str(tmp_path / "python"), "/bin/false"
    with pytest.raises(PlaceError, match=r"python=.*: it cannot be started \(No such file or directory\)"):
        Elsewhere(nowhere, file, "Thing", gain=3)
    with pytest.raises(UsageError, match=r"python=.*: it cannot be started \(No such file or directory\)"):
        elsewhere.about(nowhere)
    with pytest.raises(UsageError, match="it is no Python that runs"):
        elsewhere.about(other)


@pytest.mark.parametrize("module", [guest, cosmos_embed1])
def test_what_runs_there_stands_alone(module):
    """It imports nothing of vbuild, and is Python as older interpreters have it."""
    source = Path(module.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    named = [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    named += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in named if name.startswith("vbuild")]
