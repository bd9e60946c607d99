"""A dataset to which nothing has happened is known to be up to date by a glance that loads nothing heavy."""

import os
import subprocess
import sys

import made
import pytest
from project import CLOCK, Project

from vbuild.engine import up_to_date
from vbuild.stages.probe import Probe
from vbuild.store import stamps

HEAVY = {"numpy", "pyarrow", "lance", "lancedb", "torch", "transformers", "duckdb", "av", "cv2", "joblib", "pandas"}

GLANCE = """
import sys
from vbuild.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_glance_loads_nothing_heavy(tmp_path, shots):
    """From the command line to the answer, with shipped stages: json, os and xxhash do."""
    (tmp_path / "videos").mkdir()
    path = tmp_path / "videos" / "a.mp4"
    path.write_bytes(shots[0].read_bytes())
    os.utime(path, (10**9, 10**9))
    words = ["vbuild", "+dataset=folder", f"source.path={tmp_path}/videos", f"store={tmp_path}/store"]
    code = f"import sys; sys.argv = {[*words, 'executor.workers=0']!r}\n{GLANCE}"
    said = [
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        for _ in range(2)
    ]
    for done in said:
        assert done.returncode == 0, done.stdout + done.stderr
    built, glanced = (set(done.stdout.rpartition("loaded: ")[2].split()) for done in said)
    assert {"numpy", "pyarrow", "lance", "av"} <= built
    assert "xxhash" in glanced
    assert not glanced & HEAVY
    assert "up to date" in said[1].stdout


@pytest.fixture
def project(tmp_path, pool):
    """One video, built."""
    project = Project(tmp_path, {"tone": made.Tone()})
    project.put("0.mp4", pool[0])
    project.build()
    return project


def touch(path):
    moment = next(CLOCK)
    os.utime(path, (moment, moment))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: touch(p.videos / "0.mp4"),
        lambda p: (p.videos / "0.mp4").rename(p.videos / "1.mp4"),
        lambda p: p.stages.update(tone=made.Tone(gain=2.0)),
        lambda p: p.where.update(w="tone_mean > 1"),
        lambda p: stamps.bump(p.store),
        lambda p: (p.store / "datasets" / "d" / "clips.lance").rename(p.store / "clips.lance"),
        lambda p: (p.store / "stamps" / "d.json").write_text("{"),
    ],
    ids=["touched", "renamed", "parameter", "predicate", "epoch", "table", "stamp"],
)
def test_whatever_may_matter_ends_the_short_cut(project, change):
    """Files, parameters, predicates, the store's epoch, tables, and a stamp that cannot be read."""
    assert up_to_date(project.config()) is not None
    change(project)
    assert up_to_date(project.config()) is None


def test_another_probe_ends_the_short_cut(project, monkeypatch):
    """Every build begins with the probe, though no dataset names it."""
    monkeypatch.setattr(Probe, "version", Probe.version + 1)
    assert up_to_date(project.config()) is None


def test_a_young_file_gets_no_stamp(tmp_path, pool):
    """A file that may still change within a tick of the clock is looked at again."""
    project = Project(tmp_path, {"tone": made.Tone()})
    path = project.put("0.mp4", pool[0])
    os.utime(path)
    project.build()
    assert up_to_date(project.config()) is None
    assert not [s for s in project.build().stages if s.ran]
